"""What is done when a run's own answer cannot be the truth: the storage is asked, for as long as it takes, and what lies there counts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dbcustody.api.condition import ConditionType, find
from dbcustody.api.meta import ObjectRef
from dbcustody.contract import JobResult, Verb, load_request
from dbcustody.facts import BackupFacts
from dbcustody.plan.actions import StartJob
from dbcustody.plan.backup import MOST_ATTEMPTS
from dbcustody.plan.job_lifecycle import BACKOFF_SECONDS
from dbcustody.reason import Reason
from tests.fakes.control_plane import ControlPlane, dumping, scheduled, settled, verbs, words
from tests.fakes.seen import backup, facts, pod, policy, progress, result, text_of, with_status

GOOD = result(Verb.BACKUP, Reason.SUCCEEDED, "done", backup=facts())
NOTHING = BackupFacts(name="monday")
SHORT = replace(GOOD, backup=None, complete=False)


def settling(**end: Any) -> ControlPlane:
    """Return a control plane in which the Backup's Job ended in silence, and the storage is being asked."""
    plane = dumping()
    plane.ends(plane.last_job.name, None, **end)
    plane.reconcile()
    return plane


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        pytest.param({}, Reason.JOB_LOST, id="pod-vanished-with-its-message"),
        pytest.param({"pods": ()}, Reason.JOB_LOST, id="no-pod-is-left"),
        pytest.param({"outcome": "Complete"}, Reason.JOB_LOST, id="complete-and-silent"),
        pytest.param({"outcome_reason": "DeadlineExceeded"}, Reason.TIMED_OUT, id="deadline-of-kubernetes"),
        pytest.param(
            {"pods": (pod(ended_reason="OOMKilled", exit_code=137),)}, Reason.OUT_OF_MEMORY, id="out-of-memory"
        ),
        pytest.param({"pods": (pod(reason="Evicted"),)}, Reason.EVICTED, id="evicted"),
        pytest.param({"request_sha256": "1" * 64}, Reason.JOB_LOST, id="answer-to-another-request"),
    ],
)
def test_silence_asks_the_storage_and_nothing_there_is_a_failure_of_that_reason(
    end: dict[str, Any], reason: Reason
) -> None:
    """The verdict comes only after the storage answered, with the reason of the loss and the text that told of it."""
    plane = dumping()
    plane.ends(plane.last_job.name, GOOD if "request_sha256" in end else None, **end)
    plane.reconcile()
    before = words(plane, ConditionType.SUCCEEDED)
    plane.ends(plane.last_job.name, settled(NOTHING))
    plane.reconcile()
    found = find(plane.status.conditions, ConditionType.SUCCEEDED)

    assert before == ("Unknown", "Settling")
    assert verbs(plane) == [Verb.BACKUP, Verb.SETTLE]
    assert ("False", reason) == words(plane, ConditionType.SUCCEEDED)
    assert found is not None
    assert "ended without a result" in found.message
    assert found.message.endswith("; nothing was committed to the storage")


def test_repeats_of_a_lost_run_are_not_forgotten_while_the_storage_is_asked() -> None:
    """A storage that went away in the middle: what the run had to repeat stays known, and what every look into it repeats is added."""
    plane = dumping()
    away = result(Verb.BACKUP, Reason.STORAGE_UNREACHABLE, "SlowDown", repeated_requests=204)
    plane.ends(plane.last_job.name, away)
    plane.reconcile()
    asking = plane.status.repeated_requests
    plane.reconcile()
    plane.ends(plane.last_job.name, replace(settled(NOTHING), repeated_requests=7))
    plane.reconcile()

    assert verbs(plane) == [Verb.BACKUP, Verb.SETTLE]
    assert (asking, plane.status.repeated_requests) == (204, 211)


def test_run_tells_how_often_it_had_to_ask_again() -> None:
    """A run that succeeds says it as a number; a sick storage is seen before it makes a backup fail."""
    plane = dumping()
    plane.ends(plane.last_job.name, replace(GOOD, repeated_requests=3))
    plane.reconcile()

    assert words(plane, ConditionType.SUCCEEDED) == ("True", "Succeeded")
    assert plane.status.repeated_requests == 3


@pytest.mark.parametrize(
    ("answer", "succeeded", "verified"),
    [
        pytest.param(settled(facts()), ("True", "Succeeded"), ("True", "Verified"), id="good"),
        pytest.param(
            settled(facts(adopted=True), Reason.ADOPTED), ("True", "Adopted"), ("True", "Verified"), id="by-its-name"
        ),
        pytest.param(
            settled(facts(verified_level=None), Reason.ARCHIVE_DAMAGED),
            ("False", "ArchiveDamaged"),
            ("False", "ArchiveDamaged"),
            id="damaged",
        ),
        pytest.param(
            settled(facts(verified_level=None)),
            ("False", "VerificationFailed"),
            ("False", "VerificationFailed"),
            id="done-without-the-proof",
        ),
    ],
)
def test_what_was_committed_counts(answer: JobResult, succeeded: tuple[str, str], verified: tuple[str, str]) -> None:
    """A lost run whose manifest lies in the storage is judged by what lies there."""
    plane = settling()
    plane.ends(plane.last_job.name, answer)
    plane.reconcile()

    assert succeeded == words(plane, ConditionType.SUCCEEDED)
    assert verified == words(plane, ConditionType.VERIFIED)
    assert words(plane, ConditionType.CAPTURED) == ("True", "Captured")
    assert plane.status.artefact is not None


@pytest.mark.parametrize("reason", [Reason.NAME_TAKEN, Reason.ARCHIVE_DAMAGED], ids=str)
def test_what_is_wrong_in_the_storage_is_the_verdict(reason: Reason) -> None:
    """A backup that was deleted since, or cannot be believed, is told as such instead of the run's loss."""
    plane = settling()
    plane.ends(plane.last_job.name, settled(NOTHING, reason, "as the storage says"))
    plane.reconcile()

    assert words(plane, ConditionType.SUCCEEDED) == ("False", reason)
    assert plane.status.artefact is None


@pytest.mark.parametrize("found", [NOTHING, facts(), None], ids=["nothing", "something", "no-facts"])
def test_an_answer_that_says_try_again_is_no_verdict(found: BackupFacts | None) -> None:
    """Whatever it adds, a settling Job that could not look to the end is followed by another."""
    plane = settling()
    plane.ends(plane.last_job.name, settled(found, Reason.STORAGE_UNREACHABLE))
    plane.reconcile()

    assert words(plane, ConditionType.FINISHED) == ("False", "Settling")


def test_the_whole_result_of_the_log_decides_where_the_message_had_no_room() -> None:
    """The facts that the log still has make a question to the storage needless."""
    plane = dumping()
    plane.ends(plane.last_job.name, SHORT)
    whole = text_of(GOOD).replace("0" * 64, plane.last_job.request_sha256)
    plane.change(plane.last_job.name, log_result=whole)
    plane.reconcile()

    assert verbs(plane) == [Verb.BACKUP]
    assert words(plane, ConditionType.SUCCEEDED) == ("True", "Succeeded")


def test_facts_that_got_lost_are_no_success() -> None:
    """A run that says done, and of which nothing lies in the storage, failed as JobLost: never as Succeeded."""
    plane = dumping()
    plane.ends(plane.last_job.name, SHORT)
    plane.reconcile()
    plane.ends(plane.last_job.name, settled(NOTHING))
    plane.reconcile()

    assert words(plane, ConditionType.SUCCEEDED) == ("False", "JobLost")


def test_a_deleted_job_asks_the_storage() -> None:
    """A Job that was seen and is gone was deleted: the storage is asked, and the reason is that."""
    plane = dumping()
    plane.jobs.clear()
    plane.reconcile()
    plane.ends(plane.last_job.name, settled(NOTHING))
    plane.reconcile()

    assert verbs(plane) == [Verb.BACKUP, Verb.SETTLE]
    assert words(plane, ConditionType.SUCCEEDED) == ("False", "JobDeleted")


def test_a_settling_job_that_is_deleted_is_made_again() -> None:
    """Nobody gets out of the question by deleting it, and the loss keeps its first reason."""
    plane = settling()
    plane.runs(plane.last_job.name)
    plane.reconcile()
    plane.jobs.pop(plane.last_job.name)
    plane.reconcile()
    plane.ends(plane.last_job.name, settled(NOTHING))
    plane.reconcile()

    assert verbs(plane) == [Verb.BACKUP, Verb.SETTLE, Verb.SETTLE]
    assert words(plane, ConditionType.SUCCEEDED) == ("False", "JobLost")
    assert [one.reason for one in plane.status.attempts[:2]] == ["JobLost", "JobDeleted"]


@pytest.mark.parametrize("writes", [0, 1], ids=["before-status", "before-the-job"])
def test_an_operator_that_dies_while_it_begins_to_settle_is_followed_by_one_that_does(writes: int) -> None:
    """One settling Job is made, and one attempt stands in status."""
    plane = dumping()
    plane.ends(plane.last_job.name, None)
    plane.reconcile(dies_after=writes)
    plane.reconcile()
    plane.reconcile()

    assert verbs(plane) == [Verb.BACKUP, Verb.SETTLE]
    assert [one.ordinal for one in plane.status.attempts] == [1, 2]


def test_a_failing_question_is_asked_again_and_again_with_pauses() -> None:
    """As long as the storage does not answer nothing is claimed; the attempts are bounded, the first one stays."""
    plane = settling()
    for _ in range(3 * MOST_ATTEMPTS):
        plane.ends(plane.last_job.name, settled(None, Reason.STORAGE_UNREACHABLE, "no route"))
        waits = plane.reconcile().look_again_seconds or 0.0
        count = len(plane.started)
        assert words(plane, ConditionType.SUCCEEDED) == ("Unknown", "Settling")
        assert words(plane, ConditionType.READY) == ("False", "Settling")
        plane.passes(waits - 1)
        plane.reconcile()
        assert count == len(plane.started)
        plane.passes(1)
        plane.reconcile()
        assert count + 1 == len(plane.started)
    names = [name for _, name in plane.started]

    assert len(names) == len(set(names))
    assert waits == 300
    assert len(plane.status.attempts) == MOST_ATTEMPTS
    assert tuple(getattr(plane.status.attempts[0], name) for name in ("ordinal", "verb", "reason")) == (
        1,
        "backup",
        "JobLost",
    )


def test_the_first_pause_is_short() -> None:
    """After the first answer that is none, 5 s pass."""
    plane = settling()
    plane.ends(plane.last_job.name, None)

    assert plane.reconcile().look_again_seconds == BACKOFF_SECONDS


def test_why_the_storage_is_asked_stays_to_be_read() -> None:
    """While the settling Job starts, runs and is held up, Succeeded goes on saying what happened to the run."""
    plane = settling(outcome_message="the node is gone")
    seen = []
    plane.change(plane.last_job.name, active=1)
    for step in (lambda: None, lambda: plane.runs(plane.last_job.name, progress()), lambda: _refuse(plane)):
        step()
        plane.reconcile()
        found = find(plane.status.conditions, ConditionType.SUCCEEDED)
        seen.append((found.reason, found.message) if found is not None else None)

    assert len(set(seen)) == 1
    assert "the node is gone" in str(seen[0])
    assert words(plane, ConditionType.READY) == ("False", "ImageNotAvailable")


def _refuse(plane: ControlPlane) -> None:
    refused = pod(waiting_reason="ErrImagePull", created_time=plane.now)
    plane.change(plane.last_job.name, ready=0, pods=(refused,))


def test_what_a_settling_job_does_is_not_the_backups_progress() -> None:
    """The progress says that the storage's answer is awaited, whatever the settling Job tells of its own."""
    plane = settling()
    plane.runs(plane.last_job.name, progress())
    plane.reconcile()

    assert plane.status.progress is not None
    assert plane.status.progress.waiting_for == "the storage's answer"


def test_a_missing_storage_holds_the_question_up_and_its_coming_asks_it() -> None:
    """Without the storage nothing can be known and nothing is claimed; the loss stays written down."""
    plane = dumping()
    whole = plane.seen
    plane.ends(plane.last_job.name, None)
    plane.seen = replace(whole, storage=None)
    plane.reconcile()
    held = words(plane, ConditionType.READY), words(plane, ConditionType.FINISHED)
    plane.seen = replace(whole, progress=None)
    plane.reconcile()

    assert held == (("False", "StorageNotFound"), ("False", "StorageNotFound"))
    assert verbs(plane) == [Verb.BACKUP, Verb.SETTLE]
    assert plane.status.attempts[0].reason == "JobLost"


def test_a_lost_scheduled_run_is_asked_for_where_it_went() -> None:
    """Its policy names another storage by now; the question goes to the one in which the run worked."""
    plane = scheduled()
    plane.seen = replace(plane.seen, policy=policy(storage_ref=ObjectRef(name="other")))
    plane.reconcile()
    plane.ends(plane.last_job.name, None)
    plane.reconcile()
    (manifest,) = [one.manifest for one in plane.done if isinstance(one, StartJob)]
    request = load_request(manifest["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"])

    assert (request.storage_name, request.verb) == ("main", Verb.SETTLE)
    assert plane.backup.metadata.name == request.name


def test_an_answer_without_a_known_loss_still_tells_what_happened() -> None:
    """A status that a person emptied of its words leads to a plain one, never to a success."""
    plane = settling()
    plane.backup = with_status(
        plane.backup, conditions=(), attempts=tuple(replace(one, reason=None) for one in plane.status.attempts)
    )
    plane.ends(plane.last_job.name, settled(NOTHING))
    plane.reconcile()
    found = find(plane.status.conditions, ConditionType.SUCCEEDED)

    assert found is not None
    assert (found.reason, found.message) == ("JobLost", "the run left no result; nothing was committed to the storage")


def test_two_runs_at_once_lead_to_one_verdict() -> None:
    """A pod that a partition hid may have committed: whichever attempt did, the backup that lies there is the Backup's."""
    plane = settling()
    other = facts(artefact=replace(_artefact(), attempt="uid-of-the-hidden-pod"))
    plane.ends(plane.last_job.name, settled(other))
    plane.reconcile()

    assert plane.status.artefact is not None
    assert plane.status.artefact.attempt == "uid-of-the-hidden-pod"
    assert words(plane, ConditionType.SUCCEEDED) == ("True", "Succeeded")


def _artefact() -> Any:
    return facts().artefact


def test_the_question_names_the_backup() -> None:
    """A settling Job knows the name under which the run would have been committed, and no secret."""
    plane = ControlPlane(backup())
    plane.reconcile()
    plane.ends(plane.last_job.name, None)
    plane.reconcile()

    assert {"monday"} == {one.metadata.labels["dbcustody.dev/backup"] for one in plane.jobs.values()}
