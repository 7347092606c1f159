"""Random lives of a BackupPolicy: what its schedule and its storage are worth, what its backups are worth, and what waits for a person."""

# ruff: noqa: D401 - a rule tells what happens in the world, not what to do

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from dbcustody.api.condition import ConditionStatus, ConditionType, find
from dbcustody.api.policy import Retained
from dbcustody.contract import Verb
from dbcustody.facts import PruneFacts
from dbcustody.plan.recovery_point import Run
from dbcustody.reason import Reason
from tests.fakes.control_plane import NEVER
from tests.fakes.seen import condition, database, result, storage, with_status
from tests.gitops.bodies import body_of
from tests.gitops.lives import policy_life
from tests.gitops.tools import Answer, answers

GOOD_SCHEDULE, NO_SCHEDULE, NEVER_FIRES = "0 2 * * *", "61 2 * * *", "0 0 30 2 *"
STORAGES: dict[str, Any] = {
    "gone": None,
    "not probed": storage(),
    "ready": with_status(storage(), conditions=(condition(ConditionType.READY, "True", Reason.READY),)),
    "not ready": with_status(storage(), conditions=(condition(ConditionType.READY, "False", Reason.STORAGE_DENIED),)),
}
ENDS = (Reason.RETENTION_ENFORCED, Reason.RETENTION_NEEDS_CONFIRMATION, Reason.RETENTION_FROZEN, Reason.STORAGE_DENIED)


class Promised(RuleBasedStateMachine):
    """A policy among what it needs; *usable* is what the operator saw when it last looked, None: it never did."""

    def __init__(self) -> None:
        super().__init__()
        self.life = policy_life()
        self.usable: bool | None = None
        self.accepted = True

    @rule(dies_after=st.sampled_from([NEVER, NEVER, NEVER, 0, 1]))
    def reconcile(self, dies_after: int) -> None:
        """An operator works, and may die on the way."""
        self.life.reconcile(dies_after=dies_after)
        if dies_after:
            self._look()

    def _look(self) -> None:
        seen, spec = self.life.seen, self.life.backup.spec
        are_there = seen.database is not None and seen.storage is not None
        self.accepted = not are_there or (spec.schedule == GOOD_SCHEDULE and seen.cron_refusal is None)
        self.usable = are_there and self.accepted and seen.storage is STORAGES["ready"]

    @rule(name=st.sampled_from(["ready", "ready", *STORAGES]))
    def storage_is(self, name: str) -> None:
        """The storage is probed, or breaks, or goes."""
        self.life.seen = replace(self.life.seen, storage=STORAGES[name])

    @rule(is_there=st.booleans())
    def database_goes_and_returns(self, *, is_there: bool) -> None:
        """Somebody deletes the Database, or applies it again."""
        self.life.seen = replace(self.life.seen, database=database() if is_there else None)

    @rule(refusal=st.sampled_from([None, None, "no such time zone"]))
    def cron_job_is_refused(self, refusal: str | None) -> None:
        """The API server has something against the CronJob, or not any more."""
        self.life.seen = replace(self.life.seen, cron_refusal=refusal)

    @rule(schedule=st.sampled_from([GOOD_SCHEDULE, GOOD_SCHEDULE, NO_SCHEDULE, NEVER_FIRES]), suspend=st.booleans())
    def is_edited(self, schedule: str, *, suspend: bool) -> None:
        """Somebody applies another spec."""
        self.life.edited(schedule=schedule, suspend=suspend)

    @rule(seconds=st.sampled_from([16, 400, 90_000]))
    def passes(self, seconds: int) -> None:
        """Time passes, a night perhaps."""
        self.life.passes(seconds)

    @rule(
        is_good=st.sampled_from([True, True, False]),
        reason=st.sampled_from([Reason.DUMP_FAILED, Reason.DATA_CORRUPTION]),
    )
    def run_ends(self, *, is_good: bool, reason: Reason) -> None:
        """A backup was taken, or failed."""
        now, number = self.life.now, len(self.life.seen.runs)
        run = Run(
            name=f"run-{number}",
            is_finished=True,
            is_good=is_good,
            reason="Succeeded" if is_good else reason.value,
            begun_time=now - timedelta(seconds=60),
            data_time=now - timedelta(seconds=50) if is_good else None,
            ended_time=now,
        )
        self.life.seen = replace(self.life.seen, runs=(*self.life.seen.runs, run))

    @precondition(lambda self: self.life.at_work is not None)
    @rule(reason=st.sampled_from(ENDS), is_whole=st.booleans())
    def prune_ends(self, reason: Reason, *, is_whole: bool) -> None:
        """Retention did its work, or waits for a person, and may miss a backup."""
        facts = PruneFacts(
            retained=Retained(count=1, bytes=1), plan_hash="a" * 16, vanished=() if is_whole else ("run-0",)
        )
        job = self.life.at_work
        assert job is not None
        self.life.ends(job.name, result(Verb.PRUNE, reason, "so it was", prune=facts))

    @invariant()
    def schedule_and_storage_decide_for_whoever_waits(self) -> None:
        """Flux and kstatus: done when runs can be taken, failed when the spec is wrong; a bad night fails nobody's deployment."""
        if self.usable is None or not self._is_seen:
            assert answers(body_of(self.life.backup)) == (Answer.WAITS, Answer.WAITS, Answer.WAITS)
            return
        _, flux, kstatus = answers(body_of(self.life.backup))
        expected = Answer.FAILED if not self.accepted else Answer.DONE if self.usable else Answer.WAITS
        assert (flux, kstatus) == (expected, expected)

    @invariant()
    def argo_cd_shows_what_the_backups_are_worth(self) -> None:
        """A missed recovery point and a backup that vanished are Degraded, and what a person has to decide is Suspended."""
        if self.usable is None or not self._is_seen:
            return
        argo, _, _ = answers(body_of(self.life.backup))
        kinds = (ConditionType.RECOVERY_POINT_CURRENT, ConditionType.CONTINUITY_PROVEN)
        if not self.accepted or ConditionStatus.FALSE in [self._says(kind) for kind in kinds]:
            assert argo is Answer.FAILED
        elif self.life.backup.spec.suspend or self._waits_for_a_decision:
            assert argo is Answer.PERSON
        else:
            assert argo is (Answer.DONE if self.usable else Answer.WAITS)

    def _says(self, kind: ConditionType) -> ConditionStatus | None:
        found = find(self.life.backup.status.conditions, kind)
        return None if found is None else found.status

    @property
    def _waits_for_a_decision(self) -> bool:
        enforced = find(self.life.backup.status.conditions, ConditionType.RETENTION_ENFORCED)
        waits = {Reason.RETENTION_NEEDS_CONFIRMATION, Reason.RETENTION_FROZEN}
        return enforced is not None and enforced.status is ConditionStatus.FALSE and enforced.reason in waits

    @property
    def _is_seen(self) -> bool:
        return self.life.backup.status.observed_generation == self.life.backup.metadata.generation


TestPromised = Promised.TestCase
TestPromised.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
