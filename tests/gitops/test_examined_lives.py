"""Random lives of a Database and of a BackupStorage: no tool calls one ready that was not examined as it is now, and none waits in vain."""

# ruff: noqa: D401 - a rule tells what happens in the world, not what to do

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dbcustody.contract import Verb
from dbcustody.facts import ProbeFacts
from dbcustody.guidance import GUIDANCE
from dbcustody.naming import ANNOTATION_CHECK_NOW
from dbcustody.plan.observed import SeenPod
from dbcustody.reason import ExitCode, Reason
from tests.fakes.control_plane import NEVER
from tests.fakes.seen import result, with_metadata
from tests.gitops.bodies import body_of
from tests.gitops.kstatus import waited
from tests.gitops.lives import database_life, storage_life
from tests.gitops.tools import Answer, answers

REASONS = (
    Reason.READY,
    Reason.READY,
    Reason.AUTHENTICATION_FAILED,
    Reason.TLS_FAILED,
    Reason.STORAGE_DENIED,
    Reason.STORAGE_UNREACHABLE,
    Reason.KEY_MISSING,
    Reason.INTERNAL_ERROR,
    Reason.TIMED_OUT,
)
KEYS_GONE = (Answer.FAILED, Answer.DONE)
"""A storage that works, in which backups lie that no key opens: Argo CD shows it, and nobody's deployment waits for it elsewhere."""


def facts_of(unopened: int) -> ProbeFacts:
    """Return what a probe found of a storage in which so many backups are opened by no key."""
    return ProbeFacts(location="s3://backups", encrypted=False, storage_id="s", unopened=unopened)


class Examined(RuleBasedStateMachine):
    """A resource that Jobs examine; *good* are the generations of which one said that all is well."""

    def __init__(self) -> None:
        super().__init__()
        self.life = database_life()
        self.good: set[int] = set()
        self.asked_about: dict[str, int] = {}

    @initialize(is_database=st.booleans(), suspend=st.booleans())
    def begin(self, *, is_database: bool, suspend: bool) -> None:
        """It is created, perhaps suspended from the beginning."""
        self.life = database_life() if is_database else storage_life()
        self.life.backup = replace(self.life.backup, spec=replace(self.life.backup.spec, suspend=suspend))

    @rule(dies_after=st.sampled_from([NEVER, NEVER, NEVER, 0, 1]))
    def reconcile(self, dies_after: int) -> None:
        """An operator works, and may die on the way."""
        before = set(self.life.jobs)
        self.life.reconcile(dies_after=dies_after)
        self._remember(before)

    def _remember(self, before: set[str]) -> None:
        for name in set(self.life.jobs) - before:
            self.asked_about[name] = self.life.backup.metadata.generation

    @rule(seconds=st.sampled_from([1, 16, 400, 4000]))
    def passes(self, seconds: int) -> None:
        """Time passes."""
        self.life.passes(seconds)

    @rule(suspend=st.booleans())
    def is_edited(self, *, suspend: bool) -> None:
        """Somebody applies another spec, which nobody has looked at yet."""
        self.life.edited(suspend=suspend)

    @rule(number=st.integers(0, 9))
    def is_asked_for(self, number: int) -> None:
        """Somebody wants it to be examined now."""
        self.life.backup = with_metadata(self.life.backup, annotations={ANNOTATION_CHECK_NOW: str(number)})

    @rule()
    def is_edited_while_it_is_examined(self) -> None:
        """Somebody asks for an examination, and applies another spec before that has answered."""
        about = self.life.backup.metadata.annotations.get(ANNOTATION_CHECK_NOW, "0")
        self.is_asked_for(int(about) + 1)
        self.reconcile(NEVER)
        self.life.edited(suspend=False)
        self.reconcile(NEVER)

    @precondition(lambda self: self.life.at_work is not None)
    @rule()
    def pod_works(self) -> None:
        """The Job has a pod."""
        assert self.life.at_work is not None
        pod = replace(self._pod_of(self.life.at_work.name), is_running=True)
        self.life.change(self.life.at_work.name, active=1, ready=1, start_time=self.life.now, pods=(pod,))

    @precondition(lambda self: self.life.at_work is not None)
    @rule()
    def pod_is_kept_from_working(self) -> None:
        """The image cannot be pulled."""
        assert self.life.at_work is not None
        pod = replace(self._pod_of(self.life.at_work.name), waiting_reason="ErrImagePull")
        self.life.change(self.life.at_work.name, active=1, pods=(pod,))

    @precondition(lambda self: self.life.at_work is not None)
    @rule(reason=st.sampled_from(REASONS), unopened=st.sampled_from([None, 0, 2]))
    def job_ends(self, reason: Reason, unopened: int | None) -> None:
        """The Job tells what it found."""
        job = self.life.at_work
        assert job is not None
        found = {} if job.verb is not Verb.PROBE or unopened is None else {"probe": facts_of(unopened)}
        self.life.ends(job.name, result(job.verb, reason, "so it was", **found))
        if GUIDANCE[reason].exit_code is ExitCode.DONE:
            self.good.add(self.asked_about[job.name])

    @precondition(lambda self: self.life.at_work is not None)
    @rule(is_deleted=st.booleans())
    def job_is_lost(self, *, is_deleted: bool) -> None:
        """The Job ends in silence, or somebody deletes it."""
        assert self.life.at_work is not None
        name = self.life.at_work.name
        if is_deleted:
            self.life.jobs.pop(name)
        else:
            self.life.ends(name, None)

    @invariant()
    def success_is_said_only_of_what_was_examined(self) -> None:
        """Whoever hears Done may rely on a Job that looked at this very spec; a suspended one keeps its last verdict."""
        body = body_of(self.life.backup)
        is_examined = self.life.backup.metadata.generation in self.good
        is_kept = self.life.backup.spec.suspend and bool(self.good)

        assert Answer.DONE not in answers(body) or is_examined or is_kept
        assert not waited(body, "Ready") or is_examined or is_kept

    @rule()
    def nobody_waits_in_vain(self) -> None:
        """When all is said: a failure that only a person can cure is Failed everywhere, what is suspended is told, the rest goes on."""
        before = set(self.life.jobs)
        self.life.rests()
        self._remember(before)
        argo, flux, kstatus = answers(body_of(self.life.backup))
        said = {one.type.value: one.status.value for one in self.life.backup.status.conditions}

        assert flux is kstatus
        if self.life.backup.spec.suspend:
            assert (argo, flux) in {(Answer.PERSON, Answer.DONE), (Answer.PERSON, Answer.FAILED), KEYS_GONE} or (
                argo is flux is Answer.FAILED and said["KeysCurrent"] == "False"
            )
        elif argo is Answer.WAITS:
            assert said.get("Reconciling") == "True"
            assert self.life.at_work is not None or self._is_tried_again
        else:
            assert argo is flux or ((argo, flux) == KEYS_GONE and said["KeysCurrent"] == "False")

    @property
    def _is_tried_again(self) -> bool:
        return self.life.think().look_again_seconds is not None

    def teardown(self) -> None:
        """Every story ends with an answer: when a Job can work and tells of an error of a person, all tools say so."""
        self.life.edited(suspend=False)
        for _ in range(3):
            self.nobody_waits_in_vain()
            if self.life.at_work is not None:
                self.life.ends(self.life.at_work.name, result(self.life.at_work.verb, Reason.AUTHENTICATION_FAILED))
        self.life.rests()
        assert answers(body_of(self.life.backup)) == (Answer.FAILED, Answer.FAILED, Answer.FAILED)

    def _pod_of(self, name: str) -> SeenPod:
        return SeenPod(name=f"{name}-pod", uid=f"uid-{name}-pod", phase="Pending", created_time=self.life.now)


TestExamined = Examined.TestCase
TestExamined.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
