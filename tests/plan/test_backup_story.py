"""Thousands of random lives of a Backup: whatever happens to its Jobs, its pods and the operator, status never claims what is not so."""

# ruff: noqa: D401 - a rule tells what happens in the world, not what to do

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dbcustody.api.backup import Stage
from dbcustody.api.condition import ABSENT_UNLESS_TRUE, ConditionStatus, ConditionType, find, is_true
from dbcustody.contract import BackupFacts, Verb
from dbcustody.plan.actions import Count
from dbcustody.plan.backup import MOST_ATTEMPTS
from dbcustody.reason import Reason
from tests.fakes.control_plane import NEVER, ControlPlane, scheduled, settled
from tests.fakes.seen import backup, facts, progress, result

if TYPE_CHECKING:
    from dbcustody.contract import JobResult
    from dbcustody.plan.observed import SeenJob

SURE = (Reason.AUTHENTICATION_FAILED, Reason.DUMP_FAILED, Reason.PRIVILEGES_MISSING, Reason.SKIPPED)
UNSURE = (
    Reason.INTERNAL_ERROR,
    Reason.INTERRUPTED,
    Reason.KEY_MISSING,
    Reason.STORAGE_UNREACHABLE,
    Reason.TIMED_OUT,
)
NO_ANSWER = (Reason.STORAGE_UNREACHABLE, Reason.STORAGE_DENIED, Reason.INTERNAL_ERROR, Reason.TIMED_OUT)
VERDICT = (
    ConditionType.FINISHED,
    ConditionType.SUCCEEDED,
    ConditionType.CAPTURED,
    ConditionType.UPLOADED,
    ConditionType.VERIFIED,
)


class Story(RuleBasedStateMachine):
    """One Backup; *committed* is the truth that lies in the storage, and only pods of a backup know how to change it."""

    def __init__(self) -> None:
        super().__init__()
        self.plane = ControlPlane(backup())
        self.whole = self.plane.seen
        self.committed = False
        self.verdict: object = None

    @initialize(is_scheduled=st.booleans())
    def begin(self, *, is_scheduled: bool) -> None:
        """A person asks for the backup, or a CronJob already runs it."""
        self.plane = scheduled() if is_scheduled else ControlPlane(backup())
        self.whole = self.plane.seen

    @rule(dies_after=st.sampled_from([NEVER, NEVER, 0, 1, 2]))
    def reconcile(self, dies_after: int) -> None:
        """An operator works, and may die on the way."""
        self.plane.reconcile(dies_after=dies_after)

    @rule(seconds=st.sampled_from([1, 5, 16, 70, 400]))
    def passes(self, seconds: int) -> None:
        """Time passes."""
        self.plane.passes(seconds)

    @rule(name=st.sampled_from(["database", "storage", "policy"]))
    def party_goes(self, name: str) -> None:
        """Somebody deletes what the Backup refers to."""
        self.plane.seen = replace(self.plane.seen, **{name: None})

    @rule()
    def parties_return(self) -> None:
        """Everything is applied again."""
        self.plane.seen = replace(self.whole, progress=self.plane.seen.progress)

    @precondition(lambda self: self.plane.at_work is not None)
    @rule(stage=st.sampled_from([Stage.WAITING, Stage.CONNECTING, Stage.DUMPING, Stage.VERIFYING]))
    def pod_works(self, stage: Stage) -> None:
        """The Job's pod tells how far it is."""
        self.plane.runs(self._job.name, progress(stage=stage))

    @precondition(lambda self: self._is_dumping)
    @rule()
    def pod_commits(self) -> None:
        """The manifest is written."""
        self.committed = True

    @precondition(lambda self: self.plane.at_work is not None)
    @rule()
    def pod_is_lost(self) -> None:
        """The Job ends without a word."""
        self.plane.ends(self._job.name, None)

    @precondition(lambda self: self.plane.at_work is not None)
    @rule()
    def job_is_deleted(self) -> None:
        """Somebody deletes the Job."""
        self.plane.jobs.pop(self._job.name)

    @precondition(lambda self: self._backup_works)
    @rule(is_short=st.booleans(), is_foreign=st.booleans())
    def backup_is_done(self, *, is_short: bool, is_foreign: bool) -> None:
        """The run commits if it has not yet, and answers; perhaps without its facts, perhaps to another question."""
        self.committed = True
        answer = result(Verb.BACKUP, Reason.SUCCEEDED, backup=facts())
        short = replace(answer, backup=None, complete=False)
        foreign = {"request_sha256": "1" * 64} if is_foreign else {}
        self.plane.ends(self._job.name, short if is_short else answer, **foreign)

    @precondition(lambda self: self._backup_works and not self.committed)
    @rule(reason=st.sampled_from(SURE + UNSURE))
    def backup_fails(self, reason: Reason) -> None:
        """The run fails before it wrote a manifest."""
        self.plane.ends(self._job.name, result(Verb.BACKUP, reason, "told by the run"))

    @precondition(lambda self: self._is_dumping and self.committed)
    @rule(reason=st.sampled_from(UNSURE))
    def backup_fails_late(self, reason: Reason) -> None:
        """The run fails after it wrote the manifest, and does not know it."""
        self.plane.ends(self._job.name, result(Verb.BACKUP, reason, "told by the run"))

    @precondition(lambda self: self._settle_works)
    @rule()
    def storage_answers(self) -> None:
        """The settling Job tells what lies there."""
        self.plane.ends(self._job.name, self._truth())

    @precondition(lambda self: self._settle_works)
    @rule(reason=st.sampled_from(NO_ANSWER))
    def storage_does_not_answer(self, reason: Reason) -> None:
        """The settling Job cannot look."""
        self.plane.ends(self._job.name, settled(None, reason, "no answer"))

    @invariant()
    def conditions_obey_the_rules(self) -> None:
        """Ready is there; Reconciling and Stalled are never both, nor there when not true; Finished is that Succeeded is known."""
        said = self.plane.status.conditions
        if not said:
            return
        kinds = [one.type for one in said]
        succeeded = find(said, ConditionType.SUCCEEDED)
        assert ConditionType.READY in kinds
        assert len(kinds) == len(set(kinds))
        assert len(ABSENT_UNLESS_TRUE & set(kinds)) <= 1
        assert all(one.is_true for one in said if one.type in ABSENT_UNLESS_TRUE)
        assert succeeded is not None
        assert is_true(said, ConditionType.FINISHED) is (succeeded.status is not ConditionStatus.UNKNOWN)

    @invariant()
    def status_tells_the_truth(self) -> None:
        """A Backup that succeeded lies in the storage; one that failed does not, unless it says that it does."""
        if not self._is_over:
            return
        says_so = self.plane.status.artefact is not None
        assert self.committed is says_so
        assert says_so or not is_true(self.plane.status.conditions, ConditionType.SUCCEEDED)

    @invariant()
    def a_verdict_stays(self) -> None:
        """What was said of a finished Backup is never taken back."""
        status = self.plane.status
        told = (tuple(find(status.conditions, kind) for kind in VERDICT), status.artefact, status.attempts)
        if self._is_over:
            self.verdict = self.verdict or told
            assert told == self.verdict

    @invariant()
    def nothing_runs_twice(self) -> None:
        """At most one Job ever takes the backup, and none when a CronJob does; a result is counted at most once."""
        names = {name for verb, name in self.plane.started if verb is Verb.BACKUP}
        assert len(names) <= (1 if self._is_manual else 0)
        assert sum(isinstance(action, Count) for action in self.plane.done) <= 1

    @invariant()
    def attempts_are_bounded_and_in_order(self) -> None:
        """The first attempt stays, the last ones too, and no ordinal comes twice."""
        ordinals = [one.ordinal for one in self.plane.status.attempts]
        assert ordinals == sorted(set(ordinals))
        assert len(ordinals) <= MOST_ATTEMPTS
        assert ordinals[:1] in ([], [1])

    @precondition(lambda self: self.plane.seen.progress is None)
    @rule()
    def without_news_nothing_moves(self) -> None:
        """An operator that plans again and again on what it wrote itself comes to rest, and starts nothing more."""
        for _ in range(4):
            self.plane.reconcile()
        before, jobs = self.plane.status, list(self.plane.started)
        self.plane.reconcile()
        assert (before, jobs) == (self.plane.status, self.plane.started)

    def teardown(self) -> None:
        """When everything works again the Backup comes to its end, whatever happened before."""
        self.parties_return()
        for _ in range(6):
            self.plane.passes(400)
            for _ in range(4):
                self.plane.reconcile()
            if self._backup_works:
                self.backup_is_done(is_short=False, is_foreign=False)
            elif self._settle_works:
                self.storage_answers()
        self.status_tells_the_truth()
        self.conditions_obey_the_rules()
        assert self._is_over

    @property
    def _job(self) -> SeenJob:
        job = self.plane.at_work
        assert job is not None
        return job

    @property
    def _is_manual(self) -> bool:
        return self.plane.backup.spec.policy_ref is None

    @property
    def _is_over(self) -> bool:
        return is_true(self.plane.status.conditions, ConditionType.FINISHED)

    @property
    def _backup_works(self) -> bool:
        return self.plane.at_work is not None and self.plane.at_work.verb is Verb.BACKUP

    @property
    def _settle_works(self) -> bool:
        return self.plane.at_work is not None and self.plane.at_work.verb is Verb.SETTLE

    @property
    def _is_dumping(self) -> bool:
        """Whether a run dumps and an operator has heard so: one that is away for minutes is another test's matter."""
        return self._backup_works and find(self.plane.status.conditions, ConditionType.CAPTURED) is not None

    def _truth(self) -> JobResult:
        return settled(facts() if self.committed else BackupFacts(name="monday"))


TestStory = Story.TestCase
TestStory.settings = settings(max_examples=120, stateful_step_count=25, deadline=None)
