"""The summary that kubectl, Argo CD and Flux read."""

from __future__ import annotations

import pytest

from dbcustody.api.condition import Condition, ConditionType
from dbcustody.guidance import GUIDANCE
from dbcustody.plan.job_lifecycle import Stand, Verdict
from dbcustody.plan.summary import (
    carried,
    failed_conditions,
    refused_conditions,
    starting_conditions,
    suspended_conditions,
    waiting_conditions,
)
from dbcustody.reason import ExitCode, Reason
from tests.fakes.seen import condition

READY = condition(ConditionType.READY, "True", Reason.READY)
STALLED = condition(ConditionType.STALLED, "True", Reason.DATABASE_MISSING)

Said = tuple[tuple[str, str, str], ...]


def words(said: tuple[Condition, ...]) -> Said:
    """Return type, status and reason of each condition."""
    return tuple((one.type.value, one.status.value, one.reason.value) for one in said)


@pytest.mark.parametrize(
    ("is_new_spec", "expected"),
    [
        pytest.param(True, (("Ready", "Unknown", "Pending"), ("Reconciling", "True", "Pending")), id="new-spec"),
        pytest.param(False, (("Stalled", "True", "DatabaseMissing"),), id="routine"),
    ],
)
def test_what_is_said_when_an_examination_starts(is_new_spec: bool, expected: Said) -> None:  # noqa: FBT001
    """A new spec is not known to be good; a routine look changes nothing and lets no condition flicker."""
    assert expected == words(starting_conditions((READY, STALLED), is_new_spec=is_new_spec, what="looking"))


@pytest.mark.parametrize("stand", [one for one in Stand if one is not Stand.BLOCKED], ids=str)
def test_a_job_that_goes_on_changes_nothing(stand: Stand) -> None:
    """Only the abnormal conditions are carried on; Ready stays by not being mentioned."""
    assert waiting_conditions((READY, STALLED), Verdict(stand=stand, reason=Reason.RUNNING)) == (STALLED,)


def test_a_job_that_is_held_up_is_not_ready() -> None:
    """What keeps the Job from running is told at once, and goes away by itself."""
    verdict = Verdict(stand=Stand.BLOCKED, reason=Reason.POD_NOT_CREATED, message="exceeded quota")
    said = waiting_conditions((READY,), verdict)

    assert words(said) == (("Ready", "False", "PodNotCreated"), ("Reconciling", "True", "PodNotCreated"))
    assert {one.message for one in said} == {"exceeded quota"}


@pytest.mark.parametrize("reason", [one for one in Reason if GUIDANCE[one].exit_code is not ExitCode.DONE], ids=str)
def test_a_failure_is_stalled_or_reconciling_and_never_both(reason: Reason) -> None:
    """For every reason there is: what trying again may cure is Reconciling, what needs a person is Stalled."""
    ready, summary = failed_conditions(reason, "so it is")
    expected = "Reconciling" if GUIDANCE[reason].exit_code is ExitCode.UNAVAILABLE else "Stalled"

    assert words((ready,)) == (("Ready", "False", reason.value),)
    assert words((summary,)) == ((expected, "True", reason.value),)


@pytest.mark.parametrize(
    ("before", "status"),
    [
        pytest.param((), "Unknown", id="never-looked-at"),
        pytest.param((condition(ConditionType.READY, "Unknown", Reason.PENDING),), "Unknown", id="not-known-yet"),
        pytest.param((READY,), "True", id="was-ready"),
        pytest.param(
            (condition(ConditionType.READY, "False", Reason.TLS_FAILED), STALLED), "False", id="was-not-ready"
        ),
    ],
)
def test_a_suspended_resource_keeps_its_last_verdict(before: tuple[Condition, ...], status: str) -> None:
    """Nothing is under way; unless it was ready, it is Stalled, because nothing but an edit brings it on."""
    stalled = () if status == "True" else (("Stalled", "True", "Suspended"),)
    assert words(suspended_conditions(before)) == (("Ready", status, "Suspended"), *stalled)


def test_only_abnormal_conditions_are_carried_on() -> None:
    """Whatever is not abnormal stays by itself."""
    assert carried((READY, STALLED)) == (STALLED,)


def test_a_refusal_of_the_api_server_is_tried_again() -> None:
    """The server's text stands in Ready, and Reconciling says that it goes on."""
    said = refused_conditions(Reason.POD_NOT_CREATED, "forbidden")

    assert words(said) == (("Ready", "False", "PodNotCreated"), ("Reconciling", "True", "PodNotCreated"))
