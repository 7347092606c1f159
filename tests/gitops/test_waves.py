"""Sync waves and hooks: nothing that comes after one of ours is applied before it is what it was waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbcustody.contract import Verb
from dbcustody.reason import Reason
from tests.fakes.control_plane import NEVER, ControlPlane
from tests.fakes.seen import backup, facts, result, with_metadata
from tests.gitops.argocd import Health, Phase, Sync, health_of, hook_phase
from tests.gitops.bodies import body_of
from tests.gitops.lives import database_life
from tests.gitops.rollout import WAITS_FOR, Rollout
from tests.gitops.states import INSPECTED, STATES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.gitops.argocd import Body

APP = "app"
GOOD = result(Verb.BACKUP, Reason.SUCCEEDED, backup=facts())
BAD = result(Verb.BACKUP, Reason.DUMP_FAILED, "pg_dump: 1")
BODIES = {state.name: state.make() for state in STATES}


def sync(*, hook: bool = False) -> Sync:
    """Return a sync whose app comes after the backup of before it."""
    return Sync([["before"], [APP]], hooks=frozenset({"before"}) if hook else frozenset())


def through(states: Sequence[Body], one: Sync) -> list[tuple[Phase, int]]:
    """Return what *one* says at each of *states*, and how many waves it had applied then."""
    return [(one.look({"before": body}), one.applied) for body in states]


def history(answer: object) -> list[Body]:
    """Return what a Backup shows from its creation until its Job ended with *answer*."""
    plane = ControlPlane(backup())
    shown = [body_of(plane.backup)]
    for _ in range(3):
        plane.reconcile()
        shown.append(body_of(plane.backup))
    plane.runs(plane.last_job.name)
    plane.reconcile()
    plane.ends(plane.last_job.name, GOOD if answer == "good" else BAD)
    shown.append(body_of(plane.backup))
    plane.reconcile()
    return [*shown, body_of(plane.backup)]


@pytest.mark.parametrize("hook", [False, True], ids=["wave", "hook"])
def test_the_app_comes_after_the_backup(*, hook: bool) -> None:
    """A wave that waits for a Backup, and a PreSync hook that is one: the app is applied when it has succeeded, and not a look earlier."""
    *before, last = through(history("good"), sync(hook=hook))

    assert before == [(Phase.RUNNING, 1)] * len(before)
    assert last == (Phase.SUCCEEDED, 2)


@pytest.mark.parametrize("hook", [False, True], ids=["wave", "hook"])
def test_the_app_never_comes_after_a_backup_that_failed(*, hook: bool) -> None:
    """The sync fails at once, and stays so."""
    one = sync(hook=hook)

    assert through(history("bad"), one)[-1] == (Phase.FAILED, 1)
    assert one.look({"before": BODIES["Backup-succeeded"]}) is Phase.FAILED


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(sorted(BODIES)), max_size=6), st.booleans())
def test_whatever_is_seen_on_the_way_only_healthy_lets_on(names: list[str], hook: bool) -> None:  # noqa: FBT001 - hypothesis gives it
    """Of any sequence of states, the first that is Healthy applies the app, unless a Degraded one came before; Suspended waits."""
    health = {state.name: state.health for state in STATES}
    found = through([BODIES[name] for name in names], sync(hook=hook))
    ends = [health[name] for name in names if health[name] in {Health.HEALTHY, Health.DEGRADED}]

    assert [phase for phase, _ in found][-1:] == (
        []
        if not names
        else [Phase.RUNNING]
        if not ends
        else [Phase.SUCCEEDED if ends[0] is Health.HEALTHY else Phase.FAILED]
    )
    assert (2 in [applied for _, applied in found]) is (ends[:1] == [Health.HEALTHY])


def test_a_kind_without_a_health_check_would_not_be_waited_for() -> None:
    """Why the script has to be installed: without it a hook of ours counts as done the moment it is created."""
    assert hook_phase(None) is Phase.SUCCEEDED
    assert [hook_phase(health) for health in (Health.SUSPENDED, Health.PROGRESSING)] == [Phase.RUNNING] * 2
    assert [hook_phase(health) for health in (Health.DEGRADED, Health.UNKNOWN)] == [Phase.FAILED] * 2


def test_a_hook_that_is_made_again_dumps_nothing_again() -> None:
    """Argo CD deletes a hook of a fixed name and creates it anew: its Job finds the backup of that name, and the sync goes on."""
    plane = ControlPlane(with_metadata(backup(), uid="uid-again"))
    plane.reconcile()
    plane.ends(plane.last_job.name, result(Verb.BACKUP, Reason.ADOPTED, backup=facts(adopted=True)))
    plane.reconcile()
    body = body_of(plane.backup)

    assert {one["reason"] for one in body["status"]["conditions"] if one["type"] == "Succeeded"} == {"Adopted"}
    assert sync(hook=True).look({"before": body}) is Phase.SUCCEEDED


def test_waves_of_ours_come_one_after_the_other() -> None:
    """A policy whose database is only being inspected yet waits for it."""
    one, life = Sync([["database"], ["policy"], [APP]]), database_life()
    life.rests()
    seen = [one.look({"database": body_of(life.backup)})]
    assert life.at_work is not None
    life.ends(life.at_work.name, INSPECTED)
    life.rests()
    live = {"database": body_of(life.backup), "policy": BODIES["BackupPolicy-storage-not-probed"]}
    seen += [one.look(live), one.look(live)]

    assert (seen, one.applied) == ([Phase.RUNNING] * 3, 2)
    assert one.look(live | {"policy": BODIES["BackupPolicy-new"]}) is Phase.SUCCEEDED


def rolled_out(name: str | None = None, *, waits_for: str = "nothing") -> Rollout:
    """Return a rollout whose first commit, of a ConfigMap *name* or of one that is named by its content, is in."""
    found = Rollout(waits_for=waits_for)
    found.commit({"20260131_120000_begin.sql": "select 1"}, name=name)
    found.is_in_elsewhere()
    found.is_backed_up()
    goes_on(found)
    return found


def goes_on(rollout: Rollout, steps: int = 8) -> list[tuple[Phase, bool]]:
    """Return what the sync says, and whether the app's wave is applied, at each of *steps*: a look, and a Job that ends well."""
    seen = []
    for _ in range(steps):
        rollout.hears()
        rollout.hears_of_sources()
        rollout.works(dies_after=NEVER)
        seen.append((rollout.looks_on(), rollout.is_let_go))
        if rollout.at_work is not None:
            rollout.ends("well")
    return seen


def test_the_app_comes_after_the_migrations_of_its_own_commit() -> None:
    """A ConfigMap of another name is another spec: what was ready before lets nothing go, whether the operator has heard of it or not."""
    rollout = rolled_out()
    assert rollout.looks_on() is Phase.SUCCEEDED
    rollout.commit(rollout.files | {"20260201_120000_more.sql": "select 2"})

    assert health_of(body_of(rollout.plane.migration)).health is Health.PROGRESSING
    assert (rollout.looks_on(), rollout.is_let_go) == (Phase.RUNNING, False)
    seen = goes_on(rollout)
    first = seen.index((Phase.SUCCEEDED, True))
    assert seen[:first] == [(Phase.RUNNING, False)] * first
    assert first > 2
    assert rollout.ledger.has(rollout.files)


def test_a_config_map_that_keeps_its_name_is_not_waited_for() -> None:
    """What docs/gitops.md warns of: the resource stays as it is, and nobody can see in it that its files are others by now."""
    rollout = rolled_out("shop-migrations")
    rollout.commit(rollout.files | {"20260201_120000_more.sql": "select 2"}, name="shop-migrations")

    assert (rollout.looks_on(), rollout.is_let_go) == (Phase.SUCCEEDED, True)
    assert not rollout.ledger.has(rollout.files)


@pytest.mark.parametrize("waits_for", sorted(WAITS_FOR.keys() - {"nothing"}))
def test_the_app_waits_as_long_as_its_migration_does(waits_for: str) -> None:
    """For a person, a backup or another environment: Suspended, however long it takes, and never a failure."""
    rollout = Rollout(waits_for=waits_for)
    rollout.around(is_stamped=True)
    rollout.commit({"20260131_120000_begin.sql": "select 1"})

    assert goes_on(rollout, 20) == [(Phase.RUNNING, False)] * 20
    assert health_of(body_of(rollout.plane.migration)).health is Health.SUSPENDED
