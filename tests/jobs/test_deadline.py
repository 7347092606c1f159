"""The time that a run may work: it stands still while the run waits, and what does not listen is given up."""

from __future__ import annotations

import threading

from dbcustody.api.backup import Progress, Stage
from dbcustody.jobs.deadline import Deadline

WAITING = Progress(stage=Stage.WAITING, summary="waiting")
WORKING = Progress(stage=Stage.DUMPING, summary="dumping")


def test_time_that_is_over_stops_the_work() -> None:
    """The stop event is set, and it is known that it was the deadline."""
    stop = threading.Event()
    with Deadline(0.01, stop) as deadline:
        assert stop.wait(10)

    assert deadline.has_passed


def test_work_that_ends_in_time_is_left_alone() -> None:
    """Nothing is stopped when the work was done before."""
    stop = threading.Event()
    with Deadline(60, stop) as deadline:
        pass

    assert not deadline.has_passed
    assert not stop.is_set()


def test_waiting_for_ones_turn_costs_nothing() -> None:
    """From a progress of stage Waiting to the next of another stage the clock stands still."""
    stop, told = threading.Event(), list[Progress]()
    with Deadline(0.2, stop) as deadline:
        report = deadline.watching(told.append)
        report(WAITING)
        assert not stop.wait(0.9)
        report(WORKING)
        assert stop.wait(10)

    assert deadline.has_passed
    assert told == [WAITING, WORKING]


def test_stop_from_outside_is_not_the_deadline() -> None:
    """A stop that somebody else asked for is never told as time that ran out."""
    stop, overdue = threading.Event(), threading.Event()
    with Deadline(60, stop, overdue=overdue.set, grace_seconds=0.01) as deadline:
        stop.set()
        assert overdue.wait(10)

    assert not deadline.has_passed


def test_work_that_listens_is_not_overdue() -> None:
    """Who ends within the grace is not cut off."""
    stop, overdue = threading.Event(), threading.Event()
    with Deadline(0, stop, overdue=overdue.set, grace_seconds=30):
        assert stop.wait(10)

    assert not overdue.is_set()
