"""Random rollouts by a DatabaseMigration: the application's wave never starts before the migrations of that very commit are in."""

# ruff: noqa: D401 - a rule tells what happens in the world, not what to do

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import Phase as HypothesisPhase
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dbcustody.api.approval import Decision
from dbcustody.api.condition import ConditionType, find, is_true, merge, no, yes
from dbcustody.contract import Verb
from dbcustody.plan.migration import plan
from dbcustody.reason import Reason
from tests.fakes import migration_plane
from tests.fakes.control_plane import NEVER
from tests.fakes.migration_plane import word
from tests.gitops import argocd
from tests.gitops.argocd import Health, Phase, health_of, script_of
from tests.gitops.bodies import body_of
from tests.gitops.rollout import WAITS_FOR, Lies, Rollout
from tests.gitops.swap_life import ALWAYS_FROZEN

if TYPE_CHECKING:
    from collections.abc import Callable

    from dbcustody.api.condition import Condition
    from dbcustody.api.migration import DatabaseMigration, DatabaseMigrationStatus

    Lie = Callable[[DatabaseMigration, DatabaseMigrationStatus], DatabaseMigrationStatus]

WAITING = frozenset(
    {Reason.PROMOTION_PENDING, Reason.BACKUP_PENDING, Reason.APPROVAL_PENDING, Reason.FREEZE_WINDOW},
)
FOR_A_PERSON = frozenset({Reason.MIGRATION_FAILED, Reason.HISTORY_BROKEN, Reason.DENIED})
"""The only things that may fail a sync here."""
A_DAY_SECONDS = 90_000


class RolledOut(RuleBasedStateMachine):
    """A team commits, Jobs run and die, people agree or not, and the operator learns of all that when it does."""

    def __init__(self) -> None:
        super().__init__()
        self.rollout = Rollout()
        self.number = 0

    @initialize(
        waits_for=st.sampled_from(sorted(WAITS_FOR)),
        is_hook=st.booleans(),
        good_steps=st.integers(0, 9),
        is_helped=st.booleans(),
        is_frozen=st.booleans(),
    )
    def begin(self, *, waits_for: str, is_hook: bool, good_steps: int, is_helped: bool, is_frozen: bool) -> None:
        """The first version of the application, which may have come a good way already."""
        self.rollout = Rollout(waits_for=waits_for, is_hook=is_hook)
        self.freeze_window_begins_or_ends(is_on=is_frozen)
        self.team_adds_files(count=1, lies=Lies.IN_CONFIG_MAP)
        self.all_goes_well(good_steps, is_helped=is_helped)

    @rule(count=st.integers(1, 2), lies=st.sampled_from(Lies))
    def team_adds_files(self, count: int, lies: Lies) -> None:
        """A new version of the application needs them."""
        files = dict(self.rollout.files)
        for _ in range(count):
            self.number += 1
            files[f"2026013{self.number // 100000}_{self.number:06}_more.sql"] = f"select {self.number}"
        self.rollout.commit(files, lies=lies)

    @rule()
    def team_edits_the_last_file(self) -> None:
        """Which is a fault where that is in."""
        self.number += 1
        self.rollout.commit(self.rollout.files | {max(self.rollout.files): f"select {self.number}"})

    @rule()
    def team_reverts(self) -> None:
        """The version before, or one like it."""
        files = dict(list(self.rollout.files.items())[:-1])
        if files:
            self.rollout.commit(files)

    @rule(suspend=st.sampled_from([True, False, False]))
    def team_edits_the_spec(self, *, suspend: bool) -> None:
        """The files stay; perhaps nothing changes at all."""
        self.rollout.commit(self.rollout.files, lies=self.rollout.lies, suspend=suspend)

    @rule()
    def old_sources_are_pruned(self) -> None:
        """What Git has no more, Argo CD deletes."""
        named = {one.name for one in self.rollout.plane.migration.spec.source.config_map_refs}
        self.rollout.config_maps = {name: one for name, one in self.rollout.config_maps.items() if name in named}

    @rule()
    def operator_hears(self) -> None:
        """The watch brings the resource."""
        self.rollout.hears()

    @rule()
    def operator_lists_sources(self) -> None:
        """Every so often."""
        self.rollout.hears_of_sources()

    @rule(dies_after=st.sampled_from([NEVER, NEVER, NEVER, 0, 1]))
    def operator_works(self, dies_after: int) -> None:
        """Perhaps on what it knew of yesterday."""
        self.rollout.works(dies_after=dies_after)

    @precondition(lambda self: self.rollout.at_work is not None)
    @rule(how=st.sampled_from(["well", "well", "well", "refused", "for now", "killed"]))
    def job_ends(self, how: str) -> None:
        """As it may."""
        self.rollout.ends(how)

    @precondition(lambda self: self.rollout.is_at_work(Verb.MIGRATE) and self.rollout.given is not None)
    @rule()
    def job_migrates(self) -> None:
        """One file of it is in, and the next one not yet."""
        self.rollout.plane.runs()
        self.rollout.migrates()

    @precondition(lambda self: self.rollout.at_work is not None)
    @rule()
    def job_vanishes(self) -> None:
        """Somebody deletes it."""
        self.rollout.ledger.is_unsettled |= self.rollout.is_at_work(Verb.MIGRATE)
        self.rollout.plane.jobs.pop(self.rollout.plane.name)

    @rule(steps=st.integers(1, 8), is_helped=st.booleans())
    def all_goes_well(self, steps: int, *, is_helped: bool) -> None:
        """For a while, with a sync that looks at every moment of it; *is_helped*: what is waited for comes about, too."""
        for _ in range(steps):
            self.rollout.hears()
            self.rollout.hears_of_sources()
            self.rollout.works(dies_after=NEVER)
            self.sync_tells_the_truth()
            if self.rollout.at_work is not None:
                self.rollout.ends("well")
            self.sync_tells_the_truth()
            if is_helped:
                self._everybody_helps()

    def _everybody_helps(self) -> None:
        self.rollout.is_in_elsewhere()
        self.rollout.is_backed_up()
        if self._reason is Reason.APPROVAL_PENDING:
            self.person_decides(Decision.APPROVE)

    @rule(decision=st.sampled_from([Decision.APPROVE, Decision.APPROVE, Decision.APPROVE, Decision.DENY]))
    def person_decides(self, decision: Decision) -> None:
        """Of the plan that is told, if one is."""
        stated, before = self.rollout.plane.migration.status.plan, self.rollout.plane.around.approvals
        if stated is not None:
            one = word(decision, plan_hash=stated.hash, name=f"w{len(before)}")
            self.rollout.around(approvals=(*before, one))

    @rule()
    def source_is_in_elsewhere(self) -> None:
        """The other environment has the last commit."""
        self.rollout.is_in_elsewhere()

    @rule()
    def backup_is_taken(self) -> None:
        """By its schedule."""
        self.rollout.is_backed_up()

    @rule(is_on=st.booleans())
    def freeze_window_begins_or_ends(self, *, is_on: bool) -> None:
        """For all that the operator serves."""
        self.rollout.around(freeze_windows=ALWAYS_FROZEN if is_on else ())

    @rule(seconds=st.sampled_from([1, 16, 400, A_DAY_SECONDS]))
    def time_passes(self, seconds: int) -> None:
        """Nobody does anything."""
        self.rollout.plane.passes(seconds)

    @invariant()
    def sync_tells_the_truth(self) -> None:
        """The application's wave comes when all of its commit is in and that is said of this generation; who waits is never red."""
        rollout, was_let_go = self.rollout, self.rollout.is_let_go
        one, was_over = rollout.plane.migration, rollout.sync.phase is Phase.FAILED
        verdict, phase = health_of(body_of(one)), rollout.looks_on()
        assert verdict.health is not Health.UNKNOWN, verdict
        if rollout.is_let_go and not was_let_go:
            assert one.status.observed_generation == one.metadata.generation
            assert is_true(one.status.conditions, ConditionType.READY)
            assert rollout.ledger.has(rollout.files)
        if one.status.observed_generation != one.metadata.generation:
            assert verdict.health is Health.PROGRESSING
            return
        reason = self._reason
        assert reason not in WAITING or verdict.health is Health.SUSPENDED
        assert verdict.health is not Health.DEGRADED or reason in FOR_A_PERSON
        assert phase is not Phase.FAILED or verdict.health is Health.DEGRADED or was_over

    @property
    def _reason(self) -> Reason | None:
        ready = find(self.rollout.plane.migration.status.conditions, ConditionType.READY)
        return ready.reason if ready is not None else None

    def teardown(self) -> None:
        """Nobody waits for ever: a commit that holds what is in, and a file more, is rolled out once everybody helps."""
        rollout = self.rollout
        rollout.commit(rollout.ledger.rows | {"20990101_000000_last.sql": "select 0"}, suspend=False)
        rollout.around(approvals=(), freeze_windows=())
        for _ in range(40):
            self.all_goes_well(1, is_helped=True)
            rollout.plane.passes(400)
        assert rollout.looks_on() is Phase.SUCCEEDED, rollout.plane.migration.status
        assert rollout.ledger.has(rollout.files)


TestRolledOut = RolledOut.TestCase
TestRolledOut.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def _hasty(one: DatabaseMigration, status: DatabaseMigrationStatus) -> DatabaseMigrationStatus:
    """It is ready as soon as a run has begun."""
    return _said(one, status, yes(ConditionType.READY, Reason.APPLIED)) if status.run is not None else status


def _of_yesterday(one: DatabaseMigration, status: DatabaseMigrationStatus) -> DatabaseMigrationStatus:
    """What was ready stays so while another generation is looked at."""
    was_ready = is_true(one.status.conditions, ConditionType.READY)
    return replace(status, conditions=one.status.conditions) if was_ready and status.job_ref is not None else status


def _red(one: DatabaseMigration, status: DatabaseMigrationStatus) -> DatabaseMigrationStatus:
    """What waits for another environment looks like a failure."""
    ready = find(status.conditions, ConditionType.READY)
    if ready is None or ready.reason is not Reason.PROMOTION_PENDING:
        return status
    return _said(one, status, no(ready.type, ready.reason), yes(ConditionType.STALLED, ready.reason))


def _said(one: DatabaseMigration, status: DatabaseMigrationStatus, *conditions: Condition) -> DatabaseMigrationStatus:
    now = one.metadata.creation_timestamp
    assert now is not None
    merged = merge(status.conditions, conditions, generation=status.observed_generation, now=now)
    return replace(status, conditions=tuple(c for c in merged if c.type is not ConditionType.RECONCILING))


def is_found_out() -> None:
    """Check that the rollouts above are long and many enough to meet what is wrong now."""
    found = settings(TestRolledOut.settings, phases=(HypothesisPhase.generate,), derandomize=True, database=None)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(RolledOut, settings=found)


@pytest.mark.parametrize("lie", [_hasty, _of_yesterday, _red])
def test_a_plan_that_lies_is_found_out(lie: Lie, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rollouts above are long and many enough to meet each of these."""

    def lying(one: DatabaseMigration, *seen_now: Any) -> Any:
        found = plan(one, *seen_now)
        return replace(found, status=lie(one, found.status)) if found.status is not None else found

    monkeypatch.setattr(migration_plane, "plan", lying)
    is_found_out()


@pytest.mark.parametrize("waits", [one.value for one in sorted(WAITING - {Reason.APPROVAL_PENDING})])
def test_a_health_check_that_does_not_know_what_is_waited_for_is_found_out(
    waits: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rollouts above come to wait for each of these."""
    script = script_of("_/health.lua")
    assert f'"{waits}"' in script
    monkeypatch.setattr(argocd, "script_of", lambda _: script.replace(f'"{waits}"', '"Never"'))
    is_found_out()


def test_a_health_check_that_does_not_ask_for_the_generation_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A spec that was just applied has the status of the one before."""
    script, asked = script_of("_/health.lua"), "status.observedGeneration ~= metadata.generation"
    assert asked in script
    monkeypatch.setattr(argocd, "script_of", lambda _: script.replace(asked, "false"))
    is_found_out()
