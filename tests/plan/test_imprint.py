"""A database says in its comment for whom a restore made it or put it away: the next one who asks reads it there."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbcustody.plan.imprint import (
    MOST_LINES,
    Imprint,
    Stage,
    before_kept,
    birthmark,
    handed_over,
    kept,
    put_back,
    read_imprints,
    ready,
    swapped_in,
    under_way,
)

BACKUP = "20260131T110000Z-monday-0a1b2c3d"
MARK = "RestoreRequest team/again 0123456789ab"
FIRST = "RestoreRequest team/first 0"
SINCE = datetime(2026, 1, 31, tzinfo=UTC)
UNTIL = datetime(2026, 2, 1, tzinfo=UTC)
DONE = Imprint(mark=MARK, stage=Stage.HANDED_OVER, backup_id=BACKUP)


@pytest.mark.parametrize("own", [None, "our shop", "two\nlines", "\nodd\n"])
def test_what_was_written_is_read(own: str | None) -> None:
    """Half-done, ready, done and put away are told apart, and the database's own comment stays beside it."""
    assert read_imprints(under_way(BACKUP, MARK)) == (Imprint(mark=MARK, stage=Stage.UNDER_WAY, backup_id=BACKUP),)
    assert read_imprints(ready(16384, MARK)) == (Imprint(mark=MARK, stage=Stage.READY, replaces_oid=16384),)
    done = handed_over(own, BACKUP, MARK)
    assert [one.is_handed_over for one in (*read_imprints(done), *read_imprints(under_way(BACKUP, MARK)))] == [
        True,
        False,
    ]
    assert (read_imprints(done), (done or "").startswith((own or "restored").strip("\n"))) == ((DONE,), True)
    away = kept(SINCE, UNTIL, MARK, own)
    since, until = "2026-01-31T00:00:00+00:00", "2026-02-01T00:00:00+00:00"
    assert read_imprints(away) == (Imprint(mark=MARK, stage=Stage.KEPT, since=since, until=until),)
    assert before_kept(away) == own
    assert before_kept(own) == own


def test_the_line_of_an_earlier_restore_gives_way() -> None:
    """A backup of a restored database brings the line back; lines do not pile up."""
    once = handed_over("our shop", BACKUP, FIRST)
    assert handed_over(once, BACKUP, MARK) == handed_over("our shop", BACKUP, MARK)
    assert handed_over(once, BACKUP, None) == "our shop"


def test_earlier_swaps_stay_remembered() -> None:
    """What took another's place goes on with its comment: whoever files an older request again finds that it was done, or undone."""
    once = swapped_in("our shop", BACKUP, FIRST)
    back = put_back(once, MARK, FIRST)
    assert back.startswith("our shop\n")
    assert [(one.mark, one.undoes) for one in read_imprints(back)] == [(FIRST, None), (MARK, FIRST)]


def test_memory_has_a_bound() -> None:
    """A comment does not grow for ever; the oldest swap is forgotten first."""
    comment: str | None = "our shop"
    for number in range(MOST_LINES + 5):
        comment = swapped_in(comment, BACKUP, f"RestoreRequest team/r{number} 0")
    marks = [one.mark for one in read_imprints(comment)]
    assert (len(marks), marks[0], marks[-1]) == (MOST_LINES, "RestoreRequest team/r5 0", "RestoreRequest team/r24 0")
    assert (comment or "").startswith("our shop\n")


@given(st.none() | st.text(), st.booleans())
def test_putting_away_and_back_loses_no_word(own: str | None, with_line: bool) -> None:  # noqa: FBT001 - drawn
    """Whatever a comment says, it is the same again when its database comes back."""
    comment = swapped_in(own, BACKUP, FIRST) if with_line else own
    assert before_kept(kept(SINCE, UNTIL, MARK, comment)) == (comment or None)


@pytest.mark.parametrize("comment", [None, "", "our shop", "dbcustody is restoring it", under_way(BACKUP, None)])
def test_other_comments_say_nothing(comment: str | None) -> None:
    """Neither people's words nor a restore for nobody are taken for ours."""
    assert read_imprints(comment) == ()


def test_a_comment_from_before_the_time_was_told_is_read() -> None:
    """It was put away by an earlier version, and has to be dropped all the same."""
    away = f"shut and kept until 2026-02-01T00:00:00+00:00: dbcustody put another in its place for {MARK}\nour shop"
    assert read_imprints(away) == (Imprint(mark=MARK, stage=Stage.KEPT, until="2026-02-01T00:00:00+00:00"),)
    assert before_kept(away) == "our shop"


def test_nobody_s_restore_leaves_the_comment_as_it_was() -> None:
    """By hand, nothing is added."""
    assert (handed_over("our shop", BACKUP, None), handed_over(None, BACKUP, None)) == ("our shop", None)


@given(st.text())
def test_a_birthmark_is_a_connection_limit_that_limits_nobody(mark: str) -> None:
    """It fits PostgreSQL's integer, and is the same for whoever asks again."""
    assert 10**9 <= birthmark(mark) < 2**31
    assert birthmark(mark) == birthmark(str(mark))


def test_birthmarks_differ() -> None:
    """One request does not drop what another one began."""
    assert len({birthmark(f"RestoreRequest team/again {number}") for number in range(1000)}) == 1000
