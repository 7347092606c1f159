"""What a Backup says once it is over: every word of the architecture, from the facts alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dbcustody.api.backup import BackupScope, BackupStatus, Stage
from dbcustody.api.condition import ConditionType
from dbcustody.contract import JobResult, Verb
from dbcustody.facts import BackupFacts, RestoreTestFacts
from dbcustody.guidance import GUIDANCE
from dbcustody.plan.backup_outcome import (
    MOST_NOT_CAPTURED,
    NOT_CAPTURED_LENGTH,
    closed,
    decides,
    outcome_conditions,
    succeeded,
    with_facts,
)
from dbcustody.plan.progress import LARGEST_COUNT, with_repeats
from dbcustody.reason import ExitCode, Reason
from tests.fakes.seen import NOW, ago, facts, progress, result

NOTHING = BackupFacts(name="monday")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(result(Verb.BACKUP, Reason.SUCCEEDED, backup=facts()), True, id="committed-and-read"),
        pytest.param(
            result(Verb.BACKUP, Reason.SUCCEEDED, backup=facts(verified_level="Checksum")), True, id="checksum"
        ),
        pytest.param(result(Verb.BACKUP, Reason.SUCCEEDED, backup=facts(verified_level=None)), False, id="unproven"),
        pytest.param(result(Verb.BACKUP, Reason.SUCCEEDED, backup=NOTHING), False, id="nothing-there"),
        pytest.param(result(Verb.BACKUP, Reason.SUCCEEDED), False, id="without-facts"),
        pytest.param(result(Verb.BACKUP, Reason.VERIFICATION_FAILED, backup=facts()), False, id="failed"),
    ],
)
def test_success_needs_exit_manifest_and_proof(answer: JobResult, expected: bool) -> None:  # noqa: FBT001
    """All three, or it is no success."""
    assert expected is succeeded(answer)


@pytest.mark.parametrize("reason", [one for one in Reason if GUIDANCE[one].exit_code is not ExitCode.DONE], ids=str)
def test_a_failure_that_tells_nothing_decides_only_where_nothing_can_lie_in_the_storage(reason: Reason) -> None:
    """For every reason there is: with facts it decides; cut short never; and a begun dump never makes it more certain."""
    bare = result(Verb.BACKUP, reason)
    told = result(Verb.BACKUP, reason, backup=NOTHING)
    short = result(Verb.BACKUP, reason, complete=False)
    early, late = (decides(bare, may_be_committed=may) for may in (False, True))

    assert decides(told, may_be_committed=True)
    assert not decides(short, may_be_committed=False)
    assert early or not late


@pytest.mark.parametrize(
    ("found", "is_good", "reason", "expected"),
    [
        pytest.param(facts(), True, Reason.SUCCEEDED, ("True", "True", "True", Reason.VERIFIED), id="read"),
        pytest.param(
            facts(verified_level="Checksum"),
            True,
            Reason.SUCCEEDED,
            ("True", "True", "Unknown", Reason.NOT_REQUESTED),
            id="checksum-was-due",
        ),
        pytest.param(
            facts(verified_level=None, verification_message="stream 2 is short"),
            False,
            Reason.ARCHIVE_DAMAGED,
            ("True", "True", "False", Reason.ARCHIVE_DAMAGED),
            id="damaged",
        ),
        pytest.param(
            facts(verified_level="Checksum"),
            False,
            Reason.TIMED_OUT,
            ("True", "True", "False", Reason.VERIFICATION_FAILED),
            id="read-was-due-and-not-reached",
        ),
        pytest.param(
            facts(), False, Reason.COMMIT_CONFLICT, ("True", "True", "True", Reason.VERIFIED), id="read-yet-not-good"
        ),
        pytest.param(
            NOTHING, False, Reason.JOB_LOST, ("False", "False", "Unknown", Reason.JOB_LOST), id="nothing-there"
        ),
        pytest.param(
            None, False, Reason.DUMP_FAILED, ("False", "False", "Unknown", Reason.DUMP_FAILED), id="without-facts"
        ),
    ],
)
def test_the_steps_are_told_one_by_one(
    found: BackupFacts | None,
    is_good: bool,  # noqa: FBT001 - of the table
    reason: Reason,
    expected: tuple[str, str, str, Reason],
) -> None:
    """Captured and Uploaded are true when the manifest was read back; Verified at level Read only; Unknown is never False."""
    said = {one.type: one for one in outcome_conditions(found, is_good=is_good, reason=reason, message="so it was")}
    steps = [said[kind] for kind in (ConditionType.CAPTURED, ConditionType.UPLOADED, ConditionType.VERIFIED)]

    assert expected == (*(one.status for one in steps), steps[2].reason)
    assert is_good is said[ConditionType.SUCCEEDED].is_true is said[ConditionType.READY].is_true
    assert said[ConditionType.FINISHED].is_true
    assert is_good is (ConditionType.STALLED not in said)


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        pytest.param(None, None, id="nobody-asked"),
        pytest.param(
            RestoreTestFacts(reason=Reason.RESTORE_TESTED, message="all", seconds=7),
            ("True", Reason.RESTORE_TESTED, "all", 7),
            id="passed",
        ),
        pytest.param(
            RestoreTestFacts(reason=Reason.NOT_REQUESTED, message="next time"),
            ("Unknown", Reason.NOT_REQUESTED, "next time", None),
            id="not-its-turn",
        ),
        pytest.param(
            RestoreTestFacts(reason=Reason.LOCALE_MISSING, message="no da_DK"),
            ("False", Reason.LOCALE_MISSING, "no da_DK", None),
            id="hindered",
        ),
    ],
)
def test_a_restore_test_is_told_apart_from_success(
    test: RestoreTestFacts | None, expected: tuple[str, Reason, str, int | None] | None
) -> None:
    """RestoreTested is said when somebody asked for it, in the test's own words; the backup succeeded whatever hindered the test."""
    found = facts(restore_test=test)
    said = {one.type: one for one in outcome_conditions(found, is_good=True, reason=Reason.SUCCEEDED, message="so")}
    told, seconds = said.get(ConditionType.RESTORE_TESTED), with_facts(BackupStatus(), found).restore_seconds

    assert expected == (None if told is None else (told.status, told.reason, told.message, seconds))
    assert said[ConditionType.SUCCEEDED].is_true


def test_what_was_restored_was_read_as_well() -> None:
    """Level Restore makes Verified true."""
    said = outcome_conditions(facts(verified_level="Restore"), is_good=True, reason=Reason.SUCCEEDED, message="so")

    assert [one.status for one in said if one.type is ConditionType.VERIFIED] == ["True"]


def test_the_verification_tells_in_its_own_words_why_it_failed() -> None:
    """What the Job found stands in Verified."""
    broken = facts(verified_level=None, verification_message="stream 2 is short")
    said = outcome_conditions(broken, is_good=False, reason=Reason.ARCHIVE_DAMAGED, message="no")

    assert "stream 2 is short" in {one.message for one in said if one.type is ConditionType.VERIFIED}


@pytest.mark.parametrize(
    ("found", "start", "finish"),
    [
        pytest.param(facts(), ago(110), ago(10), id="the-jobs-times-win"),
        pytest.param(facts(start_time=None, finish_time=None), ago(500), ago(400), id="what-stood-there-stays"),
        pytest.param(None, ago(500), ago(400), id="no-facts"),
    ],
)
def test_times_come_from_the_manifest_where_it_is_known(found: BackupFacts | None, start: Any, finish: Any) -> None:
    """A run began and ended when its manifest says so, not when somebody noticed."""
    status = with_facts(BackupStatus(start_time=ago(500), finish_time=ago(400)), found)

    assert (start, finish) == (status.start_time, status.finish_time)


@pytest.mark.parametrize("scope", [*BackupScope, None])
def test_the_scope_is_what_the_manifest_says(scope: BackupScope | None) -> None:
    """A Job of an older version does not say, and then nobody does."""
    assert with_facts(BackupStatus(), facts(scope=scope)).scope is scope


def test_what_was_not_captured_stays_within_what_the_api_server_takes() -> None:
    """A status that is refused would hold up the Backup for ever: the list and its lines are cut."""
    endless = facts(not_captured=tuple("x" * 2000 for _ in range(1500)))
    status = with_facts(BackupStatus(), endless)

    assert len(status.not_captured) == MOST_NOT_CAPTURED
    assert {NOT_CAPTURED_LENGTH} == {len(one) for one in status.not_captured}


@pytest.mark.parametrize(
    ("before", "told", "known"),
    [
        pytest.param(None, 0, 0, id="none-were-repeated"),
        pytest.param(None, 3, 3, id="first-job"),
        pytest.param(200, 3, 203, id="one-job-more"),
        pytest.param(200, None, 200, id="a-job-that-does-not-tell"),
        pytest.param(None, None, None, id="nobody-tells"),
        pytest.param(2, -5, 2, id="less-than-nothing"),
        pytest.param(2, 2**40, LARGEST_COUNT, id="more-than-the-crd-takes"),
    ],
)
def test_repeats_of_all_jobs_are_added(before: int | None, told: int | None, known: int | None) -> None:
    """What is not known is no zero, and what the API server would refuse is brought within its bounds."""
    answer = result(Verb.BACKUP, Reason.SUCCEEDED, repeated_requests=told)

    assert known == with_repeats(BackupStatus(repeated_requests=before), answer).repeated_requests
    assert before == with_repeats(BackupStatus(repeated_requests=before), None).repeated_requests


@pytest.mark.parametrize(
    ("before", "is_good", "expected"),
    [
        pytest.param(progress(), True, (Stage.DONE, "Done", 100), id="good"),
        pytest.param(progress(), False, (Stage.DUMPING, "DumpFailed", 42), id="failed-on-the-way"),
        pytest.param(None, True, (Stage.DONE, "Done", 100), id="good-and-never-heard"),
        pytest.param(None, False, (Stage.WAITING, "DumpFailed", None), id="failed-and-never-heard"),
    ],
)
def test_the_progress_column_of_what_is_over(
    before: Any,
    is_good: bool,  # noqa: FBT001 - of the table
    expected: tuple[Stage, str, int | None],
) -> None:
    """Done is 100 %; a failure shows its reason and how far it came; nothing is awaited any more, and repeats stand beside it."""
    before = replace(before, waiting_for="the storage", repeated_requests=3) if before is not None else None
    reason = Reason.SUCCEEDED if is_good else Reason.DUMP_FAILED
    shown = closed(BackupStatus(progress=before), is_good=is_good, reason=reason, ended=NOW, now=NOW).progress

    assert shown is not None
    assert (shown.stage, shown.summary, shown.percent) == expected
    assert (shown.waiting_for, shown.bytes_per_second, shown.repeated_requests) == (None, None, None)


@pytest.mark.parametrize(
    ("start", "seconds"),
    [
        pytest.param(ago(60), 50, id="known"),
        pytest.param(None, None, id="unknown"),
        pytest.param(NOW, 0, id="clocks-that-differ"),
    ],
)
def test_how_long_it_took(start: Any, seconds: int | None) -> None:
    """Seconds from start to finish, never negative; None when it is not known when it began."""
    status = BackupStatus(start_time=start)

    assert seconds == closed(status, is_good=True, reason=Reason.SUCCEEDED, ended=ago(10), now=NOW).duration_seconds
