"""Which answers of a run are believed: what may come after the manifest was written is no verdict."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dbcustody.api.backup import Stage
from dbcustody.api.condition import ConditionType
from dbcustody.contract import JobResult, Verb
from dbcustody.facts import BackupFacts
from dbcustody.reason import Reason
from tests.fakes.control_plane import dumping, started, verbs, words
from tests.fakes.seen import facts, pod, progress, result

GOOD = result(Verb.BACKUP, Reason.SUCCEEDED, "done", backup=facts())
NOTHING = BackupFacts(name="monday")
SHORT = replace(GOOD, backup=None, complete=False)


@pytest.mark.parametrize(
    ("answer", "asks"),
    [
        pytest.param(SHORT, True, id="done-and-no-room-for-the-facts"),
        pytest.param(replace(SHORT, complete=True), True, id="done-without-facts"),
        pytest.param(replace(GOOD, backup=NOTHING), True, id="done-and-nothing-there"),
        pytest.param(replace(GOOD, backup=facts(verified_level=None)), True, id="done-and-nothing-proven"),
        pytest.param(result(Verb.BACKUP, Reason.TIMED_OUT), True, id="timed-out"),
        pytest.param(result(Verb.BACKUP, Reason.INTERRUPTED), True, id="interrupted"),
        pytest.param(result(Verb.BACKUP, Reason.INTERNAL_ERROR), True, id="bug"),
        pytest.param(result(Verb.BACKUP, Reason.STORAGE_UNREACHABLE), True, id="storage-went-away"),
        pytest.param(result(Verb.BACKUP, Reason.STORAGE_FULL), True, id="storage-full"),
        pytest.param(result(Verb.BACKUP, Reason.KEY_MISSING), True, id="key-went-away"),
        pytest.param(result(Verb.BACKUP, Reason.CONNECTION_LOST), True, id="connection-lost"),
        pytest.param(result(Verb.BACKUP, Reason.DUMP_FAILED), False, id="dump-failed"),
        pytest.param(result(Verb.BACKUP, Reason.DATA_CORRUPTION), False, id="corrupt-data"),
        pytest.param(result(Verb.BACKUP, Reason.AUTHENTICATION_FAILED), False, id="wrong-password"),
        pytest.param(result(Verb.BACKUP, Reason.PRIVILEGES_MISSING), False, id="no-privilege"),
        pytest.param(result(Verb.BACKUP, Reason.TIMED_OUT, backup=NOTHING), False, id="looked-itself"),
        pytest.param(replace(result(Verb.BACKUP, Reason.DUMP_FAILED), complete=False), True, id="failure-cut-short"),
    ],
)
def test_an_answer_after_the_dump_began_is_believed_only_when_it_can_know(answer: JobResult, asks: bool) -> None:  # noqa: FBT001
    """What may come after the manifest was written is no verdict: status must not call a backup lost that lies there."""
    plane = dumping()
    plane.ends(plane.last_job.name, answer)
    plane.reconcile()

    assert asks is (verbs(plane) == [Verb.BACKUP, Verb.SETTLE])
    assert ("False" if asks else "True") == (words(plane, ConditionType.FINISHED) or ("",))[0]


@pytest.mark.parametrize(
    "reason",
    [Reason.STORAGE_UNREACHABLE, Reason.STORAGE_DENIED, Reason.KEY_MISSING, Reason.SECRET_NOT_FOUND],
    ids=str,
)
def test_a_run_that_never_reached_the_storage_is_over_at_once(reason: Reason) -> None:
    """A wrong bucket, key or Secret is told as it is, and no Job is started that would fail for the same reason."""
    plane = started()
    plane.runs(plane.last_job.name, progress(stage=Stage.CONNECTING))
    plane.reconcile()
    plane.passes(90)
    plane.ends(plane.last_job.name, result(Verb.BACKUP, reason))
    plane.reconcile()

    assert verbs(plane) == [Verb.BACKUP]
    assert ("False", reason) == words(plane, ConditionType.SUCCEEDED)


@pytest.mark.parametrize(
    ("seconds", "asks"),
    [pytest.param(59, False, id="short"), pytest.param(61, True, id="long-and-unheard")],
)
def test_a_long_run_that_nobody_heard_is_no_verdict(seconds: int, asks: bool) -> None:  # noqa: FBT001
    """An operator that was away cannot know how far the run came."""
    plane = started()
    plane.runs(plane.last_job.name)
    plane.passes(seconds)
    plane.ends(plane.last_job.name, result(Verb.BACKUP, Reason.STORAGE_UNREACHABLE))
    plane.reconcile()

    assert asks is (Verb.SETTLE in verbs(plane))


def test_a_failure_after_a_silent_pod_asks_the_storage() -> None:
    """The evicted pod may have committed what the next one could not see any more."""
    plane = started()
    plane.runs(plane.last_job.name)
    plane.reconcile()
    silent = pod(name="first", reason="Evicted", created_time=plane.now)
    plane.passes(30)
    plane.ends(plane.last_job.name, result(Verb.BACKUP, Reason.STORAGE_UNREACHABLE))
    plane.change(plane.last_job.name, pods=(silent, *plane.last_job.pods))
    plane.reconcile()

    assert verbs(plane) == [Verb.BACKUP, Verb.SETTLE]
