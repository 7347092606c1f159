"""The history of another tool against files and ledger: what fits is taken over, everything that does not is told, and then nothing is."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from dbcustody.migration import atlas, flyway, prisma
from dbcustody.migration.adoption import Adoption, Proof, weigh
from dbcustody.migration.foreign_folder import lay_out
from dbcustody.migration.history import Kind
from dbcustody.migration.layout import LaidFile, Layout, Tool
from dbcustody.migration.ledger import Attempt, State
from dbcustody.migration.predecessor import ForeignRow, Mark, Predecessor

THEN = datetime(2023, 1, 1, 12, tzinfo=UTC)
FLYWAY = {"V1__a.sql": "select 1;\n", "V2__b.sql": "select 2;\n", "V3__c.sql": "select 3;\n"}


def layout_of(tool: Tool, files: dict[str, str]) -> Layout:
    """Return what the folder of *tool* holds."""
    return lay_out(tool, [LaidFile(path=path, content=text.encode()) for path, text in files.items()])


def row(key: str, mark: Mark = Mark.IN, checksum: str | None = None, name: str = "") -> ForeignRow:
    """Return a row of another tool."""
    return ForeignRow(key=key, name=name or f"version {key}", mark=mark, checksum=checksum, finished=THEN)


def history_of(tool: Tool, *rows: ForeignRow) -> Predecessor:
    """Return the table of *tool*."""
    return Predecessor(tool=tool, table="public.history", rows=rows)


def of_flyway(*rows: ForeignRow, attempts: tuple[Attempt, ...] = (), allows: bool = False) -> Adoption:
    """Return what of Flyway's *rows* can be taken over."""
    layout = layout_of(Tool.FLYWAY, FLYWAY)
    return weigh(layout, history_of(Tool.FLYWAY, *rows), attempts, allows_out_of_order=allows)


def crc(text: str) -> str:
    """Return the checksum that Flyway keeps of *text*."""
    return flyway.checksum(text.encode())


def attempt(key: str, state: State, text: str | None = None, ordinal: int = 1) -> Attempt:
    """Return a row of our ledger."""
    checksum = None if text is None else hashlib.sha256(text.encode()).hexdigest()
    return Attempt(ordinal=ordinal, revision=key, name=f"V{key}", state=state, checksum=checksum)


def proofs(found: Adoption) -> list[tuple[str, Proof]]:
    """Return what is known of each that is in."""
    return [(entry.script.revision, entry.proof) for entry in found.entries]


def kinds(found: Adoption) -> list[tuple[Kind, str]]:
    """Return what stands in the way."""
    return [(one.kind, one.name) for one in found.differences]


def test_what_fits_is_taken_over_in_the_order_of_the_other_history() -> None:
    """With the time of the other tool; what it did not run stays pending."""
    found = of_flyway(row("2", checksum=crc("select 2;")), row("1", checksum=crc("select 1;")))
    assert proofs(found) == [("2", Proof.VERIFIED), ("1", Proof.VERIFIED)]
    assert (found.pending, found.differences, len(found.new)) == (("V3__c",), (), 2)
    assert found.entries[0].finished == THEN


def test_everything_that_contradicts_is_told_together() -> None:
    """Failed, edited, missing and late."""
    found = of_flyway(row("1", Mark.FAILED), row("9"), row("3", checksum="7"))
    assert kinds(found) == [
        (Kind.PARTIAL, "version 1"), (Kind.MISSING, "version 9"), (Kind.EDITED, "V3__c"), (Kind.OUT_OF_ORDER, "V1__a"),
        (Kind.OUT_OF_ORDER, "V2__b"),
    ]  # fmt: skip
    assert "flyway repair" in found.differences[0].helps
    assert kinds(of_flyway(row("3"), allows=True)) == []


def test_what_was_undone_is_pending() -> None:
    """The last row of a version counts."""
    found = of_flyway(row("1"), row("2"), row("2", Mark.OUT), row("1", Mark.OUT), row("1"))
    assert (proofs(found), found.pending) == ([("1", Proof.NOT_KEPT)], ("V2__b", "V3__c"))


def test_what_a_baseline_covers_is_in_and_was_never_seen() -> None:
    """The baseline itself needs no file; what comes after it is pending."""
    found = of_flyway(row("2.5", Mark.UP_TO))
    assert (proofs(found), found.pending) == ([("1", Proof.COVERED), ("2", Proof.COVERED)], ("V3__c",))
    assert (found.differences, found.entries[0].checksum) == ((), None)
    with_file = of_flyway(row("2", Mark.UP_TO), row("3", checksum=crc("select 3;")))
    assert proofs(with_file) == [("1", Proof.COVERED), ("2", Proof.COVERED), ("3", Proof.VERIFIED)]


def test_behind_and_failed_and_edited_and_unknown_are_told_of_prisma() -> None:
    """Its own status ends with the first of them; and a database with rows of no file is not up to date."""
    layout = layout_of(Tool.PRISMA, {"1_a/migration.sql": "select 1;", "2_b/migration.sql": "select 2;"})
    sound, other = (hashlib.sha256(text).hexdigest() for text in (b"select 1;", b"select 9;"))
    told = weigh(layout, history_of(Tool.PRISMA, row("1_a", checksum=other), row("3_c"), row("2_b", Mark.FAILED)), ())
    assert kinds(told) == [(Kind.PARTIAL, "version 2_b"), (Kind.MISSING, "version 3_c"), (Kind.EDITED, "1_a")]
    assert told.pending == ("2_b",)
    late = weigh(layout, history_of(Tool.PRISMA, row("2_b")), ())
    assert kinds(late) == [(Kind.OUT_OF_ORDER, "1_a")]
    fine = weigh(layout, history_of(Tool.PRISMA, row("2_b", Mark.ASIDE), row("1_a", checksum=sound)), ())
    assert (proofs(fine), fine.pending, fine.differences) == ([("1_a", Proof.VERIFIED)], ("2_b",), ())


def test_golang_migrate_keeps_a_version_and_no_checksum() -> None:
    """Every file up to it has run; the file of the version itself must be there."""
    layout = layout_of(
        Tool.GOLANG_MIGRATE, {"1_a.up.sql": "select 1;", "2_b.up.sql": "select 2;", "10_c.up.sql": "select 3;"}
    )
    found = weigh(layout, history_of(Tool.GOLANG_MIGRATE, row("2", Mark.UP_TO)), ())
    assert (proofs(found), found.pending) == ([("1", Proof.NOT_KEPT), ("2", Proof.NOT_KEPT)], ("10_c",))
    lost = weigh(layout, history_of(Tool.GOLANG_MIGRATE, row("5", Mark.UP_TO)), ())
    assert kinds(lost) == [(Kind.MISSING, "version 5")]
    dirty = weigh(layout, history_of(Tool.GOLANG_MIGRATE, row("2", Mark.FAILED)), ())
    assert (kinds(dirty), "migrate force" in dirty.differences[0].helps) == ([(Kind.PARTIAL, "version 2")], True)


def test_a_dirty_golang_migrate_has_taken_nothing_back() -> None:
    """Its one row says nothing of what was in before it."""
    layout = layout_of(Tool.GOLANG_MIGRATE, {"1_a.up.sql": "select 1;", "2_b.up.sql": "select 2;"})
    ours = (attempt("1", State.IMPORTED, "select 1;"),)
    dirty = weigh(layout, history_of(Tool.GOLANG_MIGRATE, row("2", Mark.FAILED)), ours)
    gone = weigh(layout, history_of(Tool.GOLANG_MIGRATE), ours)
    assert (kinds(dirty), kinds(gone)) == ([(Kind.PARTIAL, "version 2")], [(Kind.UNKNOWN, "V1")])


def test_what_is_in_our_ledger_already_is_known() -> None:
    """By whatever way it came there; nothing is left to do."""
    ours = (
        attempt("1", State.IMPORTED, "select 1;\n"),
        attempt("2", State.APPLIED, "select 2;\n", 2),
        attempt("3", State.APPLIED, "select 3;\n", 3),
    )
    found = of_flyway(row("1"), row("2"), attempts=ours)
    assert ([entry.is_known for entry in found.entries], found.new, found.pending, found.differences) == (
        [True, True],
        (),
        (),
        (),
    )


@pytest.mark.parametrize(
    ("state", "text", "kind"),
    [
        (State.ROLLED_BACK, "select 1;\n", Kind.UNKNOWN),
        (State.PARTIAL, "select 1;\n", Kind.PARTIAL),
        (State.STARTED, "select 1;\n", Kind.PARTIAL),
        (State.IMPORTED, "select 9;\n", Kind.EDITED),
    ],
)
def test_our_ledger_is_not_overruled(state: State, text: str, kind: Kind) -> None:
    """Whoever is right, a person finds out."""
    assert kinds(of_flyway(row("1"), attempts=(attempt("1", state, text),))) == [(kind, "V1__a")]


def test_a_failure_of_ours_or_a_text_that_nobody_kept_contradicts_nothing() -> None:
    """A failure left nothing; a ledger without a checksum does not say otherwise."""
    assert kinds(of_flyway(row("1"), attempts=(attempt("1", State.FAILED, "select 9;\n"),))) == []
    assert kinds(of_flyway(row("1"), attempts=(attempt("1", State.IMPORTED),))) == []


def test_what_the_other_tool_took_back_after_it_was_adopted() -> None:
    """Is told; what we ran ourselves it never knew."""
    ours = (attempt("1", State.IMPORTED, "select 1;\n"), attempt("2", State.APPLIED, "select 2;\n", 2))
    assert kinds(of_flyway(row("1"), row("1", Mark.OUT), attempts=ours)) == [(Kind.UNKNOWN, "V1")]


def test_repeatable_migrations_stay_where_they_are() -> None:
    """And are told."""
    found = of_flyway(row("1"), row("R__v.sql", Mark.ASIDE, name="R__v.sql"), row("0", Mark.ASIDE, name="schema"))
    assert (found.asides, found.differences) == (("R__v.sql: is a repeatable migration, and stays Flyway's",), ())


def test_whether_a_table_was_ever_used() -> None:
    """Rows that count no more are no history; one that may not be read may be one."""
    used = [history_of(Tool.PRISMA, row("1", mark)).is_used for mark in Mark]
    assert dict(zip(Mark, used, strict=True)) == {
        Mark.IN: True, Mark.UP_TO: True, Mark.OUT: False, Mark.FAILED: True, Mark.ASIDE: False
    }  # fmt: skip
    closed = replace(history_of(Tool.PRISMA), rows=None)
    assert (closed.is_used, closed.present, str(closed)) == (True, {}, "Prisma (public.history)")


def test_what_a_table_claims() -> None:
    """By a row of its own, or by one that stands for all before it; what is no version of that tool is not among them."""
    counted = history_of(Tool.GOLANG_MIGRATE, row("3", Mark.UP_TO))
    assert [counted.claims(key) for key in ("2", "3", "10", "first")] == [True, True, False, False]
    assert [history_of(Tool.PRISMA, row("a")).claims(key) for key in ("a", "b")] == [True, False]


@pytest.mark.parametrize(
    ("kept", "given"),
    [("a\nb\n", "a\nb\n"), ("a\r\nb\r\n", "a\nb\n"), ("a\nb\n", "a\r\nb\r\n"), ("a\nb\r", "a\r\nb\r")],
)
def test_prisma_compares_over_line_ends(kept: str, given: str) -> None:
    """Those of Unix and of Windows, as its engine does."""
    assert prisma.fits(given.encode(), hashlib.sha256(kept.encode()).hexdigest())


@pytest.mark.parametrize("tool", [Tool.FLYWAY, Tool.GOLANG_MIGRATE, Tool.ATLAS])
def test_names_of_ours_are_no_versions_of_theirs(tool: Tool) -> None:
    """Although `20230101_120000` could be read as a number, as two, or as a text that is smaller."""
    assert not history_of(tool, row("20240101000000", Mark.UP_TO)).claims("20230101_120000")


def test_what_the_other_tool_ran_after_it_was_adopted() -> None:
    """Is unheard of; a baseline needs not be heard of, and another application's history is none of ours."""
    assert history_of(Tool.PRISMA, row("a"), row("b")).unheard({"a"}) == ("version b",)
    assert history_of(Tool.PRISMA, row("a"), row("b")).unheard({"a", "b", "c"}) == ()
    assert history_of(Tool.PRISMA, row("a"), row("b")).unheard({"c"}) == ()
    begun = history_of(Tool.PRISMA, row("a"), row("b", Mark.FAILED))
    assert (begun.unheard({"a"}), begun.has_touched("a"), begun.has_touched("b"), begun.has_touched("c")) == (
        ("version b",), True, True, False
    )  # fmt: skip
    assert history_of(Tool.FLYWAY, row("1", Mark.UP_TO), row("2")).unheard({"0.5", "2"}) == ()
    assert history_of(Tool.GOLANG_MIGRATE, row("3", Mark.UP_TO)).unheard({"1", "2"}) == ("version 3",)


def test_prisma_compares_byte_by_byte() -> None:
    """A blank more is an edit; checksums of old versions lack zeros; none at all fits nothing."""
    old = "".join(f"{byte:x}" for byte in hashlib.sha256(b"select 3;").digest())
    assert len(old) < 64
    assert prisma.fits(b"select 3;", old)
    assert not prisma.fits(b"select 4;", old)
    assert not prisma.fits(b"select 1; ", hashlib.sha256(b"select 1;").hexdigest())
    assert not prisma.fits(b"select 1;", "")


@pytest.mark.parametrize(
    ("content", "checksum"),
    [
        (b"create table a (id int);\r\ncreate table b (id int);\r\n", "-1695403018"),
        ("\ufeffcreate table c (t text default 'ä');".encode(), "776785577"),
        (b"create table z (id int);", "1196745732"),
        (b"create view v as select 1;\n", "-412160773"),
        (b"", "0"),
    ],
)
def test_checksums_as_flyway_has_written_them(content: bytes, checksum: str) -> None:
    """Found in the table that Flyway 10.22 had made of these files."""
    assert flyway.checksum(content) == checksum


ATLAS = {
    "20230101120000_a.sql": "create table a (id int);\n",
    "20230102120000_b.sql": "alter table a add b int;\r\n",
    "20230103120000_c.sql": "-- atlas:sum ignore\n\nselect 1;\n",
    "20230104120000_d.sql": "select 2;\n",
}
SUMS = {
    "20230101120000_a.sql": "ZzFTthDRYrW++wdGZ0t5yPIaCHShZAWh0sRBawW03+o=",
    "20230102120000_b.sql": "ISrChT919LG82cIgIKjXlYrDlbSDlXdRvlYtr+lBU3w=",
    "20230104120000_d.sql": "F67XgjDieFDeyuBRTQKjReVlYilWQu/ZsxOWtxvNcuE=",
}
"""As `sql/migrate` of Atlas has computed them of these files."""
SUM_FILE = "h1:B/ACJ0MZNO6JfQuLRz1mhQKlg0u7/lfKV8EIU9cKWoU=\n" + "".join(
    f"{name} h1:{value}\n" for name, value in SUMS.items()
)


def of_atlas(files: dict[str, str], *rows: ForeignRow) -> Adoption:
    """Return what of Atlas's *rows* can be taken over."""
    return weigh(layout_of(Tool.ATLAS, files), history_of(Tool.ATLAS, *rows), (), allows_out_of_order=True)


def version(name: str) -> str:
    """Return the version of a file of Atlas."""
    return name.partition("_")[0]


def test_checksums_as_atlas_has_computed_them() -> None:
    """Each of a file and all before it; the file of sums fits, and is told when a file is more or less."""
    found = of_atlas(ATLAS, *(row(version(name), checksum=value) for name, value in SUMS.items()))
    assert [proof for _, proof in proofs(found)] == [Proof.VERIFIED] * 3
    assert layout_of(Tool.ATLAS, ATLAS | {"atlas.sum": SUM_FILE}).asides == ()
    more = layout_of(Tool.ATLAS, ATLAS | {"atlas.sum": SUM_FILE, "20230105120000_e.sql": "select 3;\n"})
    assert more.asides[0].startswith("atlas.sum: does not fit the files")
    assert atlas.bare("h1:abc") == "abc"


def test_a_file_that_came_between_edits_nothing() -> None:
    """Atlas counted without it; a file that was changed is an edit, of it or of one before."""
    rows = [row(version(name), checksum=SUMS[name]) for name in list(SUMS)[:2]]
    between = of_atlas(ATLAS | {"20230101130000_late.sql": "select 9;\n"}, *rows)
    edited = of_atlas(ATLAS | {"20230101120000_a.sql": "create table a (id bigint);\n"}, *rows)
    assert [proof for _, proof in proofs(between)] == [Proof.VERIFIED, Proof.VERIFIED]
    assert kinds(edited) == [(Kind.EDITED, "20230101120000_a"), (Kind.EDITED, "20230102120000_b")]
    assert "it or a file before it was edited" in edited.differences[0].what
