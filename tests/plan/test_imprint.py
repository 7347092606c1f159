"""A restored database says in its comment for whom it was made: the next one who asks reads it there."""

from __future__ import annotations

import pytest

from dbcustody.plan.imprint import Imprint, handed_over, read_imprint, under_way

BACKUP = "20260131T110000Z-monday-0a1b2c3d"
MARK = "RestoreRequest team/again 0123456789ab"


@pytest.mark.parametrize("own", [None, "our shop", "two\nlines"])
def test_what_was_written_is_read(own: str | None) -> None:
    """Half-done and done are told apart, and the database's own comment stays in front."""
    assert read_imprint(under_way(BACKUP, MARK)) == Imprint(mark=MARK, is_handed_over=False)
    done = handed_over(own, BACKUP, MARK)
    assert read_imprint(done) == Imprint(mark=MARK, is_handed_over=True)
    assert done is not None
    assert done.startswith(own or "restored by dbcustody")


def test_the_line_of_an_earlier_restore_gives_way() -> None:
    """A backup of a restored database brings the line back; lines do not pile up."""
    once = handed_over("our shop", BACKUP, "RestoreRequest team/first 0")
    assert handed_over(once, BACKUP, MARK) == handed_over("our shop", BACKUP, MARK)
    assert handed_over(once, BACKUP, None) == "our shop"


@pytest.mark.parametrize("comment", [None, "", "our shop", "dbcustody is restoring it", under_way(BACKUP, None)])
def test_other_comments_say_nothing(comment: str | None) -> None:
    """Neither people's words nor a restore for nobody are taken for ours."""
    assert read_imprint(comment) is None


def test_nobody_s_restore_leaves_the_comment_as_it_was() -> None:
    """By hand, nothing is added."""
    assert (handed_over("our shop", BACKUP, None), handed_over(None, BACKUP, None)) == ("our shop", None)
