"""Long-lived resources through their lives: the control plane in miniature, for every kind whose plan is a function of what is seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from dbcustody.codec import decode, encode
from dbcustody.plan import database as databases
from dbcustody.plan import policy as policies
from dbcustody.plan import storage as storages
from dbcustody.plan.actions import Plan
from tests.fakes.control_plane import NEVER, ControlPlane
from tests.fakes.seen import IMAGE, database, policy, storage, with_metadata


@dataclass(slots=True)
class Life(ControlPlane):
    """One resource of any kind; the control plane's word for it is `backup`."""

    judge: Callable[[Any, Any, Any], Plan[Any]] = field(kw_only=True)

    def think(self) -> Plan[Any]:
        """Return the plan for what is seen now."""
        return self.judge(self.backup, replace(self.seen, jobs=tuple(self.jobs.values())), self.now)

    def reconcile(self, *, dies_after: int = NEVER) -> Plan[Any]:
        """Plan, say, perform; an operator that *dies_after* n writes does no more than those."""
        found = self.think()
        if dies_after:
            written = decode(type(self.backup.status), encode(found.status))
            self.backup = replace(self.backup, status=written)
        for action in found.actions[: max(dies_after - 1, 0)]:
            self.perform(action)
        return found

    def rests(self) -> None:
        """Let the operator work until it has nothing more to say or do now."""
        for _ in range(8):
            before, begun = self.backup, len(self.started)
            self.reconcile()
            if (before, begun) == (self.backup, len(self.started)):
                return
        raise AssertionError("it never comes to rest")

    def edited(self, **spec: Any) -> None:
        """Let a person apply another spec."""
        resource: Any = with_metadata(self.backup, generation=self.backup.metadata.generation + 1)
        self.backup = replace(resource, spec=replace(resource.spec, **spec))


def database_life() -> Life:
    """Return a Database that was never looked at."""
    return Life(database(), seen=databases.SeenDatabase(image=IMAGE), judge=databases.plan)


def storage_life(**spec: Any) -> Life:
    """Return a BackupStorage that was never looked at."""
    return Life(storage(**spec), seen=storages.SeenStorage(image=IMAGE), judge=storages.plan)


def policy_life(**seen: Any) -> Life:
    """Return a BackupPolicy whose database is there, and whose storage is unless *seen* says otherwise."""
    around = policies.SeenPolicy(**({"image": IMAGE, "database": database(), "storage": storage()} | seen))
    return Life(policy(), seen=around, judge=policies.plan)
