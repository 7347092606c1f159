"""Histories: where each revision stands by the ledger, and every way in which a database and a source differ."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbcustody.migration.history import History, Kind, compare
from dbcustody.migration.ledger import Attempt, Standing, State, records, repeated
from dbcustody.migration.script import Script, SourceFile, read_scripts

if TYPE_CHECKING:
    from collections.abc import Sequence


@cache
def scripts(letters: str, **texts: str) -> tuple[Script, ...]:
    """Return a script for each of *letters*; the letter is its revision and its day, and the text is one of *texts* or plain."""
    files = [
        SourceFile(
            name=f"202601{ord(letter) - 96:02d}_000000_{letter}.sql",
            content=texts.get(letter, f"-- dbcustody: revision {letter}\nselect '{letter}'").encode(),
        )
        for letter in letters
    ]
    return read_scripts(files).scripts


ALL = {script.revision: script for script in scripts("abcdefg")}


def attempt(
    ordinal: int, revision: str, state: State = State.APPLIED, *, checksum: str | None = "", is_allowed: bool = False
) -> Attempt:
    """Return an attempt at *revision*, with the checksum of its plain text."""
    script = ALL[revision]
    return Attempt(
        ordinal=ordinal,
        revision=revision,
        name=script.name,
        state=state,
        checksum=script.checksum if checksum == "" else checksum,
        was_allowed_out_of_order=is_allowed,
    )


def ledger(letters: str) -> list[Attempt]:
    """Return a ledger in which *letters* were applied one after the other."""
    return [attempt(ordinal, letter) for ordinal, letter in enumerate(letters, 1)]


def pending(history: History) -> str:
    """Return the letters of what is pending."""
    return "".join(script.revision for script in history.pending)


def differences(history: History) -> list[tuple[str, Kind]]:
    """Return each difference as the letter of its migration and its kind."""
    return [(difference.name.rpartition("_")[2], difference.kind) for difference in history.differences]


@pytest.mark.parametrize(
    ("states", "standing"),
    [
        ((State.STARTED,), Standing.UNSETTLED),
        ((State.APPLIED,), Standing.IN),
        ((State.FAILED,), None),
        ((State.PARTIAL,), Standing.PARTIAL),
        ((State.IMPORTED,), Standing.IN),
        ((State.PARTIAL, State.RESOLVED_APPLIED), Standing.IN),
        ((State.PARTIAL, State.RESOLVED_ROLLED_BACK), Standing.OUT),
        ((State.APPLIED, State.ROLLED_BACK), Standing.OUT),
        ((State.APPLIED, State.ROLLED_BACK, State.APPLIED), Standing.IN),
        ((State.APPLIED, State.FAILED), Standing.IN),
        ((State.PARTIAL, State.FAILED), Standing.PARTIAL),
    ],
)
def test_where_a_revision_stands(states: tuple[State, ...], standing: Standing | None) -> None:
    """The last attempt decides, but one that failed as a whole left everything as it was."""
    rows = [attempt(ordinal, "a", state) for ordinal, state in enumerate(states)]
    found = records(reversed(rows)).get("a")
    assert (found.standing if found else None) is standing


def test_revisions_stand_in_the_order_in_which_they_came_in() -> None:
    """One that was taken out and came again came in last."""
    rows = [*ledger("abc"), attempt(4, "a", State.ROLLED_BACK), attempt(5, "a")]
    assert list(records(rows)) == ["b", "c", "a"]


def test_applied_twice() -> None:
    """Seen whatever lies between but a way back; an import is no second time, nor is a resolution, which settles those before."""
    rows = [
        *ledger("ab"), attempt(3, "a"), attempt(4, "b", State.ROLLED_BACK), attempt(5, "b"), attempt(6, "a", State.FAILED),
        attempt(7, "a", State.IMPORTED), attempt(8, "a"),
    ]  # fmt: skip
    assert [row.ordinal for row in repeated(rows)] == [3, 8]
    assert [row.ordinal for row in repeated([*rows, attempt(9, "a", State.RESOLVED_APPLIED), attempt(10, "a")])] == [10]


def test_a_new_database() -> None:
    """Everything is pending, in order, and nothing is different."""
    history = compare(scripts("abc"), [])
    assert (history.applied, pending(history), history.heads, history.differences) == ((), "abc", (), ())
    assert not history.is_ahead


def test_what_is_pending_follows_what_is_in() -> None:
    """The names of what is in are in the order of the ledger."""
    history = compare(scripts("abcd"), ledger("ab"))
    assert history.applied == ("20260101_000000_a", "20260102_000000_b")
    assert (pending(history), history.heads, history.differences) == ("cd", ("b",), ())


@pytest.mark.parametrize(
    ("state", "letters"),
    [
        (State.FAILED, "bc"),
        (State.ROLLED_BACK, "bc"),
        (State.RESOLVED_ROLLED_BACK, "bc"),
        (State.RESOLVED_APPLIED, "c"),
        (State.IMPORTED, "c"),
    ],
)
def test_what_may_be_tried_again(state: State, letters: str) -> None:
    """A transaction that failed left nothing behind; what a person or another tool says is in is not run."""
    history = compare(scripts("abc"), [*ledger("a"), attempt(2, "b", state)])
    assert (pending(history), history.differences) == (letters, ())


def test_nothing_at_all() -> None:
    """No source, no ledger."""
    assert compare([], []) == History(applied=(), present=(), pending=(), heads=(), differences=(), changes=0)


@pytest.mark.parametrize(
    ("letters", "rows", "wanted", "helps"),
    [
        pytest.param(
            "abc",
            [*ledger("a"), attempt(2, "b", State.STARTED)],
            [("b", Kind.UNSETTLED)],
            "the next run settles",
            id="unsettled",
        ),
        pytest.param(
            "abc",
            [*ledger("a"), attempt(2, "b", State.PARTIAL)],
            [("b", Kind.PARTIAL)],
            "`dbcustody migrate resolve --applied 20260102_000000_b` or `--rolled-back 20260102_000000_b`",
            id="partial",
        ),
        pytest.param(
            "ab",
            [*ledger("a"), attempt(2, "b", checksum="0" * 64)],
            [("b", Kind.EDITED)],
            "write what is to change as a new",
            id="edited",
        ),
        pytest.param(
            "ab",
            [attempt(1, "a", State.PARTIAL, checksum="0" * 64)],
            [("a", Kind.PARTIAL), ("a", Kind.EDITED)],
            "",
            id="edited-in-part",
        ),
        pytest.param("ac", ledger("abc"), [("b", Kind.MISSING)], "bring the file back", id="missing"),
        pytest.param(
            "", ledger("ab"), [("a", Kind.MISSING), ("b", Kind.MISSING)], "bring the file back", id="an-empty-source"
        ),
        pytest.param("ab", ledger("abc"), [("c", Kind.UNKNOWN)], "nothing is undone", id="ahead"),
        pytest.param("abd", ledger("abc"), [("c", Kind.UNKNOWN)], "deploy the source that has it", id="diverged"),
        pytest.param(
            "abc",
            ledger("ac"),
            [("b", Kind.OUT_OF_ORDER)],
            "give the file a later time, or set policy.outOfOrder",
            id="out-of-order",
        ),
        pytest.param(
            "abc", ledger("acb"), [("b", Kind.REORDERED)], "put back the names and down-revisions", id="reordered"
        ),
        pytest.param(
            "ab",
            [*ledger("ab"), attempt(3, "b")],
            [("b", Kind.DUPLICATED)],
            "look what it did twice",
            id="applied-twice",
        ),
    ],
)
def test_differences(letters: str, rows: Sequence[Attempt], wanted: list[tuple[str, Kind]], helps: str) -> None:
    """Each is found, with what to do; nothing of it is ever a reason to undo something."""
    history = compare(scripts(letters), rows)
    assert differences(history) == wanted
    assert helps in history.differences[0].helps
    assert str(history.differences[0]).startswith(f"{history.differences[0].name}: ")


def test_one_that_was_applied_twice_is_settled_by_a_word_and_stays_in_its_place() -> None:
    """Until it happens again; what is said of another one settles nothing."""
    twice = [*ledger("ab"), attempt(3, "a")]
    assert Kind.DUPLICATED in {one.kind for one in compare(scripts("ab"), twice).differences}
    other = compare(scripts("ab"), [*twice, attempt(4, "b", State.RESOLVED_APPLIED)])
    assert Kind.DUPLICATED in {one.kind for one in other.differences}
    settled = [*twice, attempt(4, "a", State.RESOLVED_APPLIED)]
    history = compare(scripts("ab"), settled)
    assert (history.differences, history.present) == ((), ("a", "b"))
    again = compare(scripts("ab"), [*settled, attempt(5, "b")])
    assert differences(again) == [("b", Kind.DUPLICATED)]


def test_ahead_is_told_from_diverged() -> None:
    """An older image came back: it lacks what is newest, and has nothing that the database lacks."""
    assert compare(scripts("ab"), ledger("abc")).is_ahead
    assert not compare(scripts("abd"), ledger("abc")).is_ahead
    assert not compare(scripts("ac"), ledger("abc")).is_ahead
    assert not compare(scripts("abc"), ledger("abc")).is_ahead


def test_a_file_that_got_another_time() -> None:
    """The text that ran is there under another name: one difference, and not two that say less."""
    again = scripts("acd")
    moved = Attempt(ordinal=2, revision="b", name=ALL["b"].name, state=State.APPLIED, checksum=again[2].checksum)
    history = compare(again, [attempt(1, "a"), moved, attempt(3, "c")])
    assert differences(history) == [("b", Kind.RENAMED)]
    assert "has become 20260104_000000_d" in str(history.differences[0])
    assert "call the file 20260102_000000_b.sql again" in history.differences[0].helps


def test_a_renamed_file_is_not_out_of_order_as_well() -> None:
    """It would be, by its new time."""
    early = scripts("abc", b="-- dbcustody: revision b\nselect 'd'")
    moved = Attempt(ordinal=2, revision="d", name=ALL["d"].name, state=State.APPLIED, checksum=early[1].checksum)
    assert differences(compare(early, [attempt(1, "a"), moved, attempt(3, "c")])) == [("d", Kind.RENAMED)]


def test_out_of_order_can_be_allowed() -> None:
    """It is pending like any other, and stays no difference once it is in by that leave."""
    before = compare(scripts("abc"), ledger("ac"), allows_out_of_order=True)
    assert (pending(before), before.differences) == ("b", ())
    after = compare(scripts("abc"), [*ledger("ac"), attempt(3, "b", is_allowed=True)])
    assert (pending(after), after.differences) == ("", ())


def test_what_others_say_has_no_order() -> None:
    """A resolution or an import behind a later one is not taken for a change of order."""
    for state in (State.RESOLVED_APPLIED, State.IMPORTED):
        assert compare(scripts("abc"), [*ledger("ac"), attempt(3, "b", state)]).differences == ()


def test_a_checksum_that_is_not_known_is_not_compared() -> None:
    """The history of another tool may have none."""
    assert compare(scripts("ab"), [attempt(1, "a", State.IMPORTED, checksum=None)]).differences == ()
    gone = compare(scripts("b"), [attempt(1, "a", State.IMPORTED, checksum=None)])
    assert differences(gone) == [("a", Kind.MISSING)]


def test_a_text_that_failed_may_be_edited() -> None:
    """Nothing of it is in."""
    assert compare(scripts("ab"), [*ledger("a"), attempt(2, "b", State.FAILED, checksum="0" * 64)]).differences == ()
    assert (
        compare(scripts("ab"), [*ledger("a"), attempt(2, "b", State.ROLLED_BACK, checksum="0" * 64)]).differences == ()
    )


def test_what_failed_is_told_while_it_is_pending_and_nothing_was_said_of_it_since() -> None:
    """The last try of each, in the order in which they are to run."""
    failed = [*ledger("a"), attempt(2, "c", State.FAILED), attempt(3, "b", State.FAILED), attempt(4, "b", State.FAILED)]
    assert [one.ordinal for one in compare(scripts("abc"), failed, allows_out_of_order=True).failed] == [4, 2]
    for state in (State.APPLIED, State.RESOLVED_ROLLED_BACK, State.STARTED):
        assert [one.ordinal for one in compare(scripts("abc"), [*failed, attempt(5, "b", state)]).failed] == [2]
    undone = [*ledger("a"), attempt(2, "a", State.FAILED)]
    assert compare(scripts("a"), undone).failed == ()


BRANCH = "-- dbcustody: revision {}\n-- dbcustody: down-revision {}\nselect '{}'"


def test_several_heads() -> None:
    """Two ends of the source: each is told, with the directive that joins them; joined, there is one."""
    forked = scripts("abc", b=BRANCH.format("b", "a", "b"), c=BRANCH.format("c", "a", "c"))
    history = compare(forked, [])
    assert differences(history) == [("b", Kind.SEVERAL_HEADS), ("c", Kind.SEVERAL_HEADS)]
    assert "`-- dbcustody: down-revision b, c`" in history.differences[0].helps
    joined = scripts(
        "abcd", b=BRANCH.format("b", "a", "b"), c=BRANCH.format("c", "a", "c"), d=BRANCH.format("d", "b, c", "d")
    )
    assert compare(joined, []).differences == ()
    half_way = compare(joined, [attempt(n, x, checksum=None) for n, x in enumerate("abc")])
    assert (half_way.heads, pending(half_way), half_way.differences) == (("b", "c"), "d", ())


def test_one_revision_in_two_files() -> None:
    """The second of them is told, whoever made the scripts."""
    twice = (*scripts("ab"), scripts("abc", c="-- dbcustody: revision b\nselect 'c'")[2])
    assert differences(compare(twice, [])) == [("c", Kind.DUPLICATED)]


def test_all_differences_are_told_together() -> None:
    """Whoever comes to put it right sees all of it."""
    rows = [
        attempt(1, "a", checksum="0" * 64), attempt(2, "c"), attempt(3, "d", State.PARTIAL), attempt(4, "e"), attempt(5, "e"),
        attempt(6, "g", State.STARTED),
    ]  # fmt: skip
    assert differences(compare(scripts("abdef"), rows)) == [
        ("d", Kind.PARTIAL), ("g", Kind.UNSETTLED), ("a", Kind.EDITED), ("c", Kind.MISSING), ("g", Kind.UNKNOWN), ("b", Kind.OUT_OF_ORDER),
        ("e", Kind.DUPLICATED),
    ]  # fmt: skip


ROWS = st.lists(st.tuples(st.sampled_from("abcdefg"), st.sampled_from(list(State))), max_size=12)


@settings(max_examples=150)
@given(letters=st.sets(st.sampled_from("abcdefg")), rows=ROWS, allows=st.booleans())
def test_every_revision_is_accounted_for(letters: set[str], rows: list[tuple[str, State]], *, allows: bool) -> None:
    """Whatever the ledger says: a script is pending, in, or told of; and what is in the database and not in the source is told of."""
    attempts = [attempt(ordinal, letter, state) for ordinal, (letter, state) in enumerate(rows)]
    history = compare(scripts("".join(sorted(letters))), attempts, allows_out_of_order=allows)
    told = {letter for letter, _ in differences(history)}
    present = {name.rpartition("_")[2] for name in history.applied}
    waiting = set(pending(history))
    assert letters <= waiting | present | told
    assert not waiting & present
    assert {letter for letter, state in rows if state is not State.FAILED} - letters <= told | {
        letter for letter, record in records(attempts).items() if record.standing is Standing.OUT
    }
    assert [script.name for script in history.pending] == sorted(script.name for script in history.pending)


@given(first=st.integers(0, 7), rest=st.integers(0, 7))
def test_a_run_that_applies_what_is_pending_leaves_nothing_to_do(first: int, rest: int) -> None:
    """What was in and what was pending are then in, and nothing is different."""
    source = scripts("abcdefg"[: max(first, rest)])
    rows = ledger("abcdefg"[: min(first, len(source))])
    history = compare(source, rows)
    done = [*rows, *(attempt(100 + number, script.revision) for number, script in enumerate(history.pending))]
    after = compare(source, done)
    assert (history.differences, after.differences, after.pending) == ((), (), ())
    assert len(after.applied) == len(source)
