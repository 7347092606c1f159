"""Sequences after a restore: the further of archive and catalogue counts, whichever way they count."""

from __future__ import annotations

import pytest

from dbcustody.plan.position import Numbered, Position, behind_remarks, find_advances, find_strays
from dbcustody.repository.catalogue import SequenceFacts

NAME = ("public", "s")


@pytest.mark.parametrize(
    ("wanted", "found", "advance", "is_astray"),
    [
        pytest.param(7, Position(7), None, False, id="equal"),
        pytest.param(7, Position(9), None, False, id="further"),
        pytest.param(7, Position(5), 7, True, id="behind"),
        pytest.param(7, Position(None), 7, True, id="never used"),
        pytest.param(None, Position(None), None, False, id="never used there either"),
        pytest.param(-7, Position(-5, -1), -7, True, id="counts down, behind"),
        pytest.param(-7, Position(-9, -1), None, False, id="counts down, further"),
        pytest.param(7, None, None, True, id="missing"),
        pytest.param(None, None, None, True, id="missing, never used"),
    ],
)
def test_who_is_behind(wanted: int | None, found: Position | None, advance: int | None, is_astray: bool) -> None:  # noqa: FBT001 - a table
    """A sequence that would hand out a number twice is set; one that is further is left alone."""
    facts = [SequenceFacts(schema="public", name="s", last_value=wanted, is_called=wanted is not None)]
    here = {} if found is None else {NAME: found}
    assert find_advances(facts, here) == ({} if advance is None else {NAME: advance})
    assert find_strays(facts, here) == ((NAME,) if is_astray else ())


def test_sequences_behind_their_columns_are_told() -> None:
    """By name, without a value, with what helps; of very many the first ones."""
    (up, down) = behind_remarks(
        [Numbered("s", "id_seq", "s", "t", "id"), Numbered("s", "down", "s", "t", "n", is_descending=True)]
    )
    assert up == (
        "the sequence s.id_seq is behind the greatest value of s.t.id, as it was in the source: "
        "an INSERT can be given a number that is taken; setval() puts it right"
    )
    assert "s.down is behind the least value of s.t.n," in down
    many = list(behind_remarks(Numbered("s", str(n), "s", "t", "id") for n in range(23)))
    assert (len(many), many[-1]) == (21, "and so are 3 more sequences")
