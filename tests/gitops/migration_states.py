"""The states of a DatabaseMigration that matter, brought about by the real plan."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from dbcustody.api.approval import Decision
from dbcustody.api.meta import ObjectRef
from dbcustody.api.migration import (
    BackupGate,
    LikenessClass,
    MigrationGates,
    MigrationRef,
    PromotionGate,
    StatedDrift,
)
from dbcustody.reason import Reason
from tests.fakes import seen
from tests.fakes.migration_plane import (
    ALL_IN,
    MigrationPlane,
    asking,
    blocked,
    config_map,
    looked,
    migration,
    refusal,
    told,
    word,
)
from tests.gitops.argocd import Body, Health
from tests.gitops.bodies import body_of
from tests.gitops.state import State
from tests.gitops.swap_life import ALWAYS_FROZEN

if TYPE_CHECKING:
    from dbcustody.api.approval import Approval
    from dbcustody.contract import JobResult


def _at(plane: MigrationPlane, *answers: JobResult | None) -> Body:
    """Return the resource after the Jobs that were started next told *answers*."""
    plane.step()
    for answer in answers:
        plane.ends(answer)
        plane.steps(3)
    return body_of(plane.migration)


def _without_source() -> Body:
    plane = MigrationPlane()
    plane.around = replace(plane.around, config_maps=())
    return _at(plane)


def _decided(*approvals: Approval, is_stamped: bool = True) -> Body:
    plane = MigrationPlane(migration=asking())
    plane.around = replace(plane.around, is_stamped=is_stamped)
    looked(plane=plane)
    plane.say(*approvals)
    return body_of(plane.migration)


def _edited_after_a_no() -> Body:
    plane = looked(of=asking())
    plane.say(word(Decision.DENY))
    plane.edit(config=config_map("select 2"))
    plane.step()
    plane.ends(told(ALL_IN))
    plane.step()
    return body_of(plane.migration)


def _suspended_after_a_no() -> Body:
    plane = looked(of=asking())
    plane.say(word(Decision.DENY))
    plane.edit(suspend=True)
    plane.steps(2)
    return body_of(plane.migration)


def _gated(*, promotion: bool = False, take_new: bool = False) -> MigrationPlane:
    """Return a plane that waits for another environment, or for a backup."""
    backup = None if promotion else BackupGate(policy_ref=ObjectRef(name="nightly"), take_new=take_new)
    other = PromotionGate(migration_ref=MigrationRef(name="staging")) if promotion else None
    found = MigrationPlane(migration=migration(gates=MigrationGates(backup=backup, promotion=other)))
    found.around = replace(found.around, policy=seen.policy())
    return looked(plane=found)


def _frozen() -> Body:
    plane = MigrationPlane()
    plane.around = replace(plane.around, freeze_windows=ALWAYS_FROZEN)
    return _at(looked(plane=plane))


_AHEAD: Final = replace(ALL_IN, plan=replace(ALL_IN.plan, ahead=True))
_DRIFTED: Final = replace(
    ALL_IN, drift=StatedDrift(likeness=LikenessClass.DRIFTED, fingerprint="0" * 32, message="Added index public.a.b")
)
_LOST: Final = refusal(Reason.LOCK_NOT_OBTAINED, "no lock after 30 tries; in the way: report of app")
MIGRATION_STATES: Final = (
    State("DatabaseMigration-being-planned", Health.PROGRESSING, lambda: _at(MigrationPlane())),
    State("DatabaseMigration-no-source", Health.PROGRESSING, _without_source),
    State(
        "DatabaseMigration-suspended", Health.SUSPENDED, lambda: _at(MigrationPlane(migration=migration(suspend=True)))
    ),
    State(
        "DatabaseMigration-faults-in-files",
        Health.DEGRADED,
        lambda: _at(MigrationPlane(), told(None, Reason.SOURCE_INVALID, "a.sql: line 3, column 1: no")),
    ),
    State("DatabaseMigration-being-carried-out", Health.PROGRESSING, lambda: _at(looked())),
    State("DatabaseMigration-applied", Health.HEALTHY, lambda: _at(looked(), told(ALL_IN, Reason.APPLIED))),
    State("DatabaseMigration-database-ahead", Health.HEALTHY, lambda: _at(looked(_AHEAD))),
    State("DatabaseMigration-changed-by-hand", Health.HEALTHY, lambda: _at(looked(_DRIFTED))),
    State("DatabaseMigration-statement-refused", Health.DEGRADED, lambda: _at(looked(), refusal())),
    State("DatabaseMigration-no-lock", Health.PROGRESSING, lambda: _at(looked(), _LOST)),
    State("DatabaseMigration-database-is-asked", Health.PROGRESSING, lambda: _at(looked(), None)),
    State("DatabaseMigration-files-and-database-differ", Health.DEGRADED, lambda: _at(looked(blocked()))),
    State(
        "DatabaseMigration-half-in",
        Health.DEGRADED,
        lambda: _at(looked(blocked(reason=Reason.NEEDS_RESOLUTION))),
    ),
    State("DatabaseMigration-too-risky", Health.DEGRADED, lambda: _at(looked(blocked(reason=Reason.LINT_FAILED)))),
    State("DatabaseMigration-waits-for-another-environment", Health.SUSPENDED, lambda: _at(_gated(promotion=True))),
    State("DatabaseMigration-waits-for-a-backup", Health.SUSPENDED, lambda: _at(_gated())),
    State("DatabaseMigration-waits-for-a-freeze-window-to-end", Health.SUSPENDED, _frozen),
    State("DatabaseMigration-takes-a-backup", Health.PROGRESSING, lambda: _at(_gated(take_new=True))),
    State("DatabaseMigration-waits-for-a-person", Health.SUSPENDED, _decided),
    State("DatabaseMigration-nobody-can-be-believed", Health.SUSPENDED, lambda: _decided(is_stamped=False)),
    State("DatabaseMigration-agreed-to", Health.PROGRESSING, lambda: _decided(word())),
    State("DatabaseMigration-denied", Health.DEGRADED, lambda: _decided(word(Decision.DENY))),
    State("DatabaseMigration-suspended-after-a-no", Health.SUSPENDED, _suspended_after_a_no),
    State("DatabaseMigration-edited-after-a-no", Health.HEALTHY, _edited_after_a_no),
)
