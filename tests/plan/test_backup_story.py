"""Thousands of random lives of a Backup: whatever happens to its Jobs, its pods and the operator, status never claims what is not so."""

# ruff: noqa: D401 - a rule tells what happens in the world, not what to do

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dbcustody.api.backup import Stage
from dbcustody.api.condition import ABSENT_UNLESS_TRUE, ConditionStatus, ConditionType, find, is_true
from dbcustody.contract import Verb
from dbcustody.facts import BackupFacts
from dbcustody.plan.actions import Count
from dbcustody.plan.backup import MOST_ATTEMPTS
from dbcustody.reason import Reason
from tests.fakes.control_plane import NEVER, ControlPlane, scheduled, settled
from tests.fakes.seen import backup, facts, progress, result

if TYPE_CHECKING:
    from dbcustody.contract import JobResult
    from dbcustody.plan.observed import SeenJob

UNSURE = (
    Reason.INTERNAL_ERROR,
    Reason.INTERRUPTED,
    Reason.KEY_MISSING,
    Reason.STORAGE_UNREACHABLE,
    Reason.TIMED_OUT,
)
NO_ANSWER = (Reason.STORAGE_UNREACHABLE, Reason.STORAGE_DENIED, Reason.INTERNAL_ERROR, Reason.TIMED_OUT)
ENDS = (
    "is lost",
    "is deleted",
    "is done",
    "has no room for its facts",
    "answers another question",
    "runs out of time",
    *["fails and cannot know"] * 3,
    "fails and knows",
)
PROVES_A_COMMIT = ("is done", "has no room for its facts", "answers another question")
SILENT = ("is lost", "is deleted", "runs out of time")
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

    @initialize(is_scheduled=st.booleans(), is_heard=st.booleans())
    def begin(self, *, is_scheduled: bool, is_heard: bool) -> None:
        """A person asks for the backup, or a CronJob already runs it; half of the stories begin in the middle of the dump."""
        self.plane = scheduled() if is_scheduled else ControlPlane(backup())
        self.whole = self.plane.seen
        if is_heard:
            self.plane.reconcile()
            self.run_is_heard_dumping()

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

    @precondition(lambda self: self._backup_works)
    @rule()
    def run_is_heard_dumping(self) -> None:
        """The run comes to its dump, and an operator is there to hear it."""
        self.plane.runs(self._job.name, progress(stage=Stage.DUMPING))
        self.plane.reconcile()

    @precondition(lambda self: self._backup_works)
    @rule(end=st.sampled_from(ENDS), reason=st.sampled_from(UNSURE), commits=st.sampled_from([True, True, False]))
    def run_ends(self, end: str, reason: Reason, *, commits: bool) -> None:
        """The run ends in one of the ways in which runs end, before or after it wrote the manifest."""
        name = self._job.name
        if self.committed and end.startswith("fails"):
            end = "is done"  # it finds the backup of a run whose Job was deleted before anybody saw it
        late = self._is_dumping and end == "fails and cannot know"
        self.committed |= end in PROVES_A_COMMIT or (commits and (late or end in SILENT))
        if end == "is deleted":
            self.plane.jobs.pop(name)
            return
        foreign = {"request_sha256": "1" * 64} if end == "answers another question" else {}
        self.plane.ends(name, self._answer(end, reason), **foreign)

    def _answer(self, end: str, reason: Reason) -> JobResult | None:
        good = result(Verb.BACKUP, Reason.SUCCEEDED, backup=facts())
        told = reason if end == "fails and cannot know" else Reason.DUMP_FAILED
        return {
            "is lost": None,
            "answers another question": good,
            "is done": good,
            "has no room for its facts": replace(good, backup=None, complete=False),
            "runs out of time": result(Verb.BACKUP, Reason.TIMED_OUT, "told by the run"),
        }.get(end, result(Verb.BACKUP, told, "told by the run"))

    @precondition(lambda self: self._settle_works)
    @rule(end=st.sampled_from(["truth", "truth", "silence", "deleted", *NO_ANSWER]))
    def question_ends(self, end: str) -> None:
        """The settling Job tells what lies there, or cannot look, or is lost itself."""
        name = self._job.name
        if end == "deleted":
            self.plane.jobs.pop(name)
        elif end == "silence":
            self.plane.ends(name, None)
        else:
            self.plane.ends(name, self._truth() if end == "truth" else settled(None, Reason(end), "no answer"))

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
                self.run_ends("is done", Reason.JOB_LOST, commits=True)
            elif self._settle_works:
                self.question_ends("truth")
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
TestStory.settings = settings(
    max_examples=100, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
