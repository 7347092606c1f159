"""The report of squawk becomes findings of ours: at the right statement, without what the runner does anyway, and never silently."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dbcustody.migration.body import Body, read_body
from dbcustody.migration.finding import Severity
from dbcustody.migration.lint import judge
from dbcustody.migration.script import SourceFile, read_scripts
from dbcustody.migration.squawk import missing, read_report

TEXT = "-- for people\nselect 'ä'; alter table t alter a drop not null;\nselect 2"


def body() -> Body:
    """Return a file."""
    found = read_body("20260101_000000_x.sql", TEXT.encode(), is_down=False).body
    assert found is not None
    return found


def entry(**changes: Any) -> dict[str, Any]:
    """Return one entry of a report, as squawk 2.70 writes it."""
    usual = {
        "file": "stdin", "line": 1, "column": 13, "level": "Warning", "message": "Dropping a `NOT NULL`\nmay break.", "help": None,
        "rule_name": "ban-drop-not-null", "column_end": 40, "line_end": 1,
    }  # fmt: skip
    return usual | changes


def test_an_entry_is_put_where_it_belongs() -> None:
    """Its column counts bytes, its line from 0; what it says is one line."""
    (finding,) = read_report(json.dumps([entry()]), body())
    assert (finding.rule, finding.severity, finding.line, finding.statement) == (
        "squawk-ban-drop-not-null", Severity.WARNING, 2, 2,
    )  # fmt: skip
    assert (finding.what, finding.helps) == ("Dropping a `NOT NULL` may break", "see what squawk says of this rule")
    places = [entry(column=12), entry(line=0, column=0), entry(line=9), entry(line=2, help="Do it.\n")]
    found = read_report(json.dumps(places), body())
    assert [one.statement for one in found] == [1, None, 3, 3]
    assert found[3].helps == "Do it"


def test_what_the_runner_does_and_what_we_have_ourselves_is_left_out() -> None:
    """What is a matter of taste, or of squawk's grammar, is only noted."""
    rules = (
        "require-lock-timeout",
        "prefer-robust-stmts",
        "changing-column-type",
        "ban-drop-table",
        "prefer-text-field",
        "syntax-error",
    )
    found = read_report(json.dumps([entry(rule_name=rule) for rule in rules]), body())
    assert [(one.rule, one.severity) for one in found] == [
        ("squawk-prefer-text-field", Severity.NOTE),
        ("squawk-syntax-error", Severity.NOTE),
    ]


@pytest.mark.parametrize(
    "report", ["", "no json", "{}", "[{}]", "[1]", '[{"rule_name": "a", "message": "b", "line": "x", "column": 1}]']
)
def test_what_is_no_report_is_refused(report: str) -> None:
    """Whoever asked says so in a finding."""
    with pytest.raises(ValueError, match=r"."):
        read_report(report, body())


def test_that_it_could_not_look_is_a_finding() -> None:
    """It stands among the others, and can be waived."""
    source = read_scripts(
        [SourceFile(name="20260101_000000_x.sql", content=b"-- dbcustody: allow squawk-missing because x\nselect 1")]
    )
    (judged,) = judge(source.scripts, {}, others={"20260101_000000_x.sql": [missing("it is not there")]})
    (finding,) = judged.findings
    assert (finding.file, finding.line, finding.severity, finding.waived) == (
        "20260101_000000_x.sql",
        None,
        Severity.WARNING,
        "x",
    )
    assert "it is not there" in finding.what
