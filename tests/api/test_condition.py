"""Conditions: what is said now is merged into what stood, as kubectl, Argo CD and Flux expect it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbcustody.api.condition import (
    ABSENT_UNLESS_TRUE,
    MAX_MESSAGE_LENGTH,
    Condition,
    ConditionStatus,
    ConditionType,
    find,
    is_true,
    merge,
    no,
    unknown,
    yes,
)
from dbcustody.reason import Reason

NOW = datetime(2026, 1, 31, 2, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
READY = yes(ConditionType.READY, Reason.READY, "all is well")


def test_three_answers() -> None:
    """Each has its word."""
    words = [say(ConditionType.READY, Reason.PENDING).status for say in (yes, no, unknown)]
    assert words == [ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN]
    assert [say(ConditionType.READY, Reason.PENDING).is_true for say in (yes, no, unknown)] == [True, False, False]


def test_what_is_said_first_is_stamped() -> None:
    """It carries the generation it is about and the moment since when it holds."""
    assert merge((), [READY], generation=3, now=NOW) == (
        replace(READY, observed_generation=3, last_transition_time=NOW),
    )


@pytest.mark.parametrize(
    ("said", "since"),
    [
        pytest.param(READY, NOW, id="the same"),
        pytest.param(replace(READY, reason=Reason.SUSPENDED, message="other"), NOW, id="another reason"),
        pytest.param(no(ConditionType.READY, Reason.HOST_UNREACHABLE), LATER, id="another answer"),
    ],
)
def test_time_moves_with_the_answer_alone(said: Condition, since: datetime) -> None:
    """A new reason or message is told at once, but since when it is so changes only with the answer."""
    before = merge((), [READY], generation=1, now=NOW)
    (after,) = merge(before, [said], generation=2, now=LATER)
    assert (after.reason, after.message, after.observed_generation) == (said.reason, said.message, 2)
    assert after.last_transition_time == since


def test_a_time_that_was_never_written_is_written_now() -> None:
    """Conditions of an older version may lack it."""
    (after,) = merge([READY], [READY], generation=1, now=NOW)
    assert after.last_transition_time == NOW


def test_what_is_not_mentioned_stays() -> None:
    """Only Reconciling and Stalled vanish when they are not said."""
    before = merge(
        (),
        [READY, yes(ConditionType.CONNECTED, Reason.CONNECTED), yes(ConditionType.RECONCILING, Reason.PENDING)],
        generation=1,
        now=NOW,
    )
    after = merge(before, [READY], generation=2, now=LATER)
    assert [condition.type for condition in after] == [ConditionType.READY, ConditionType.CONNECTED]
    assert find(after, ConditionType.CONNECTED) == find(before, ConditionType.CONNECTED)


def test_abnormal_conditions_are_absent_unless_true() -> None:
    """`Stalled=False` would be read as a condition that exists."""
    said = [no(ConditionType.STALLED, Reason.PENDING), unknown(ConditionType.RECONCILING, Reason.PENDING), READY]
    assert [condition.type for condition in merge((), said, generation=1, now=NOW)] == [ConditionType.READY]


@pytest.mark.parametrize(
    ("length", "kept"), [(MAX_MESSAGE_LENGTH, MAX_MESSAGE_LENGTH), (MAX_MESSAGE_LENGTH + 1, MAX_MESSAGE_LENGTH - 1)]
)
def test_messages_are_cut_where_the_schema_ends(length: int, kept: int) -> None:
    """A long text is cut with a sign that it was; otherwise the API server would refuse the whole status."""
    (after,) = merge((), [replace(READY, message="a" * length)], generation=1, now=NOW)
    assert len(after.message) == MAX_MESSAGE_LENGTH
    assert after.message.count("a") == kept


KINDS = st.sampled_from(ConditionType)
SAID = st.lists(st.builds(Condition, type=KINDS, status=st.sampled_from(ConditionStatus), reason=st.just(Reason.READY)))


@given(SAID, SAID)
def test_merging_is_orderly(before: list[Condition], said: list[Condition]) -> None:
    """Each type once, always in the same order, abnormal ones only while true; saying it again changes nothing."""
    merged = merge(before, said, generation=1, now=NOW)
    kinds = [condition.type for condition in merged]
    assert kinds == [kind for kind in ConditionType if kind in kinds]
    assert all(condition.is_true for condition in merged if condition.type in ABSENT_UNLESS_TRUE)
    assert merge(merged, said, generation=1, now=LATER) == merged


def test_conditions_are_found_by_type() -> None:
    """What was never said is not there, and not true."""
    assert find([READY], ConditionType.READY) is READY
    assert find([READY], ConditionType.STALLED) is None
    assert is_true([READY], ConditionType.READY)
    assert not is_true([READY], ConditionType.STALLED)
    assert not is_true([no(ConditionType.READY, Reason.PENDING)], ConditionType.READY)
