"""Waivers: what is accepted, by whom, and what is accepted in vain."""

from __future__ import annotations

from dbcustody.migration.directive import Waiver
from dbcustody.migration.finding import Finding, Recipe, Severity
from dbcustody.migration.forecast import Risk
from dbcustody.migration.lint import Judged, judge
from dbcustody.migration.script import SourceFile, read_scripts

DROP = "alter table t drop column c"
WAIVED = f"-- dbcustody: allow drop-column because nobody reads it\n{DROP}"


def judged(text: str, *waivers: Waiver) -> Judged:
    """Return *text*, judged."""
    source = read_scripts([SourceFile(name="20260101_000000_x.sql", content=text.encode())])
    assert source.faults == ()
    (one,) = judge(source.scripts, {}, waivers=waivers)
    return one


def told(text: str, *waivers: Waiver) -> list[tuple[str, str | None]]:
    """Return rules and reasons."""
    return [(one.rule, one.waived) for one in judged(text, *waivers).findings]


def test_a_finding_is_waived_with_a_reason() -> None:
    """By the head of the file, whose reason counts, or by a policy; it stays to be seen."""
    policy = Waiver("drop-column", "the policy")
    assert told(DROP) == [("drop-column", None)]
    assert told(WAIVED) == told(WAIVED, policy) == [("drop-column", "nobody reads it")]
    assert told(DROP, policy) == [("drop-column", "the policy")]


def test_a_waiver_in_vain_is_told() -> None:
    """One of a head; a policy is for many files, and need not be used in each."""
    assert told("-- dbcustody: allow truncate because x\nselect 1", Waiver("drop-table", "y")) == [
        ("waiver-unused", None)
    ]
    found = judged("-- dbcustody: allow drop-colum because x\nselect 1").findings
    assert [(one.rule, one.helps) for one in found] == [("waiver-unknown", "is drop-column meant")]
    assert "docs/migrations.md" in judged("-- dbcustody: allow zzz because x\nselect 1").findings[0].helps


def test_the_rules_of_another_linter_are_not_known_here() -> None:
    """Whether one exists, it alone knows; that it finds nothing is told all the same."""
    assert told("-- dbcustody: allow squawk-ban-drop-not-null because x\nselect 1") == [("waiver-unused", None)]


def test_what_is_waived_asks_for_no_caution() -> None:
    """What it does stays what it is."""
    assert judged("grant select on t to public").risk is Risk.CAUTION
    assert judged("-- dbcustody: allow grant-public because x\ngrant select on t to public").risk is Risk.SAFE
    assert judged(WAIVED).risk is Risk.DESTRUCTIVE


def test_a_finding_is_told_on_one_line() -> None:
    """With its place, and the reason for which it is waived; a recipe is told file by file."""
    finding = Finding(rule="r", severity=Severity.ERROR, what="it hurts", helps="do not")
    placed = Finding(
        rule="r", severity=Severity.NOTE, what="it hurts", helps="do not", file="f.sql", line=3, waived="why"
    )
    assert str(finding) == "Error r: it hurts; do not"
    assert str(placed) == "f.sql: line 3: Note r: it hurts; do not (waived: why)"
    assert str(Recipe(migrations=("a;\n",))) == "a;\n"
    two = "-- 1 of 2, a file of its own\na;\n-- 2 of 2, a file of its own\nb;\n-- wait\n"
    assert str(Recipe(migrations=("a;\n", "b;\n"), remark="wait")) == two
