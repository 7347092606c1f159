"""Who waits is told the truth: good, failed for good, or not yet."""

from __future__ import annotations

import pytest

from dbcustody.api.glance import Glance
from dbcustody.api.meta import Kind
from dbcustody.guidance import GUIDANCE
from dbcustody.plan.verdict import End, Verdict, guidance_of, judge, remedy_of
from dbcustody.reason import Reason
from tests.fakes.glances import backup, body, glance, request, said

READY = said("Ready", "True", "Ready", "fine")
STALLED = said("Stalled", "True", "InvalidSpec", "spec.schedule")


def test_what_lasts_is_good_when_it_is_ready_as_it_is_wanted_now() -> None:
    """An older generation's Ready counts for nothing, nor does its Stalled."""
    assert judge(glance(Kind.DATABASE, "shop", READY)) == Verdict(End.GOOD, "Ready", "fine")
    assert judge(glance(Kind.DATABASE, "shop", READY, observedGeneration=0)).end is End.PENDING
    assert judge(glance(Kind.DATABASE, "shop", STALLED, observedGeneration=0)).end is End.PENDING
    assert judge(glance(Kind.DATABASE, "shop", said("Ready", "False", "HostUnreachable"))).end is End.PENDING


def test_stalled_is_for_good() -> None:
    """Whoever waits for what only a person can change waits for ever."""
    unready = said("Ready", "False", "InvalidSpec")
    assert judge(glance(Kind.DATABASE, "shop", unready, STALLED)) == Verdict(End.FAILED, "InvalidSpec", "spec.schedule")


def test_what_is_done_once_is_judged_by_its_end() -> None:
    """A later edit, such as of a hold, changes nothing about an end; Ready is none."""
    good, bad = backup("monday"), backup("tuesday", good=False)
    bad["metadata"]["generation"] = good["metadata"]["generation"] = 9
    assert judge(Glance.from_body(Kind.BACKUP, good)).end is End.GOOD
    assert judge(Glance.from_body(Kind.BACKUP, bad)) == Verdict(End.FAILED, "DumpFailed", "pg_dump said so")
    running = request("again", READY, said("Finished", "False", "Running"), said("Succeeded", "Unknown", "Running"))
    assert judge(Glance.from_body(Kind.RESTORE_REQUEST, running)).end is End.PENDING


def test_what_nothing_is_said_of_is_pending() -> None:
    """It may not be created yet, or nobody may have looked at it."""
    assert judge(None).end is End.PENDING
    assert judge(Glance.from_body(Kind.BACKUP, body(Kind.BACKUP, "monday"))) == Verdict(End.PENDING)


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_guidance(reason: Reason) -> None:
    """The client knows each reason of its own version."""
    assert guidance_of(reason.value) is GUIDANCE[reason]


def test_remedies_are_for_who_has_to_do_something() -> None:
    """`nothing to do` helps nobody, and a newer operator's reason is told without one."""
    assert remedy_of("TargetExists").startswith("choose another name")
    assert remedy_of("Cancelled") == ""
    assert (guidance_of("ReasonOfNextYear"), remedy_of("ReasonOfNextYear")) == (None, "")
