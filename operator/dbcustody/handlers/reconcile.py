"""Observe, plan, say, perform: the one place where they meet.

Status is written before anything is done: an attempt must be found by the next operator even if this one dies in between. What the API
server then refuses is said too, and tried again.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from dbcustody.adapters.kube import ours
from dbcustody.api.condition import ConditionType, is_true, merge
from dbcustody.api.meta import Kind
from dbcustody.errors import ConflictError, DbcustodyError, InvalidSpecError, RefusedError
from dbcustody.handlers.approval import plan_approval
from dbcustody.handlers.backup import plan_backup, plan_missing_backup
from dbcustody.handlers.database import plan_database
from dbcustody.handlers.migration import plan_migration
from dbcustody.handlers.perform import perform
from dbcustody.handlers.policy import plan_policy
from dbcustody.handlers.restore import plan_restore
from dbcustody.handlers.say import say
from dbcustody.handlers.storage import plan_storage
from dbcustody.handlers.world import Place
from dbcustody.plan.actions import StartJob
from dbcustody.plan.pruning import refused_retention
from dbcustody.plan.summary import refused_conditions

if TYPE_CHECKING:
    from collections.abc import Callable

    from dbcustody.handlers.hands import Hands
    from dbcustody.handlers.observe import Observer
    from dbcustody.handlers.world import Key, Resource
    from dbcustody.plan.actions import Action, Plan

_PLANS: Final[dict[Kind, Callable[..., Any]]] = {
    Kind.DATABASE: plan_database,
    Kind.BACKUP_STORAGE: plan_storage,
    Kind.BACKUP_POLICY: plan_policy,
    Kind.BACKUP: plan_backup,
    Kind.RESTORE_REQUEST: plan_restore,
    Kind.APPROVAL: plan_approval,
    Kind.DATABASE_MIGRATION: plan_migration,
}
_LOG: Final = logging.getLogger(__name__)


class Reconciler:
    """Works on one key at a time; several may run side by side."""

    def __init__(self, hands: Hands, observer: Observer) -> None:
        self._hands = hands
        self._observer = observer

    async def work(self, told: Callable[[Key, float, str | None], None]) -> None:
        """Take key after key from the queue for ever; *told* hears of each: how long it took, and the error's class if there was one."""
        queue = self._hands.queue
        while True:
            key = await queue.get()
            started, error = time.monotonic(), None
            try:
                await self.reconcile(key)
            except ConflictError:
                error = "conflict"
                await self._refresh(key)
            except DbcustodyError as failure:
                error = type(failure).__name__
                _LOG.warning("%s %s/%s: %s", key.kind.value, key.namespace, key.name, failure.message)
            except Exception as failure:  # noqa: BLE001 - one resource must not stop the others; it is counted and tried again
                error = "unexpected"
                _LOG.exception("%s %s/%s", key.kind.value, key.namespace, key.name, exc_info=failure)
            finally:
                queue.done(key, failed=error is not None)
            told(key, time.monotonic() - started, error)

    async def reconcile(self, key: Key) -> None:
        """Bring the resource *key* one step further; raises what prevented that, to be tried again."""
        resource = self._hands.world.get(key)
        plan = await self._plan(key, resource)
        if plan is None:
            return
        if resource is not None:
            resource = await say(self._hands, key, resource, plan.status)
            if resource is None:
                self._hands.world.shelf(key.kind).drop(Place(key.namespace, key.name))
                return
        await self._perform(key, resource, plan)
        if plan.look_again_seconds is not None:
            self._hands.queue.add_after(key, plan.look_again_seconds)

    async def _plan(self, key: Key, resource: Resource | None) -> Plan[Any] | None:
        if resource is not None:
            found: Plan[Any] = await _PLANS[key.kind](self._hands, self._observer, key, resource)
            return found
        return plan_missing_backup(self._hands, key) if key.kind is Kind.BACKUP else None

    async def _perform(self, key: Key, resource: Resource | None, plan: Plan[Any]) -> None:
        for action in plan.actions:
            try:
                await perform(self._hands, key, self._hands.world.get(key) or resource, action)
            except RefusedError as error:
                await self._say_refusal(key, action, error)
                raise

    async def _say_refusal(self, key: Key, action: Action, error: RefusedError) -> None:
        """Say in the conditions what the API server refused; the verdict of what is over is not touched, and the log has it anyway."""
        resource = self._hands.world.get(key)
        if resource is None or is_true(resource.status.conditions, ConditionType.FINISHED):
            return
        status = resource.status
        if key.kind is Kind.BACKUP_POLICY and isinstance(action, StartJob):
            said = refused_retention(status.conditions, error.reason, error.message)
        else:
            said = refused_conditions(error.reason, error.message)
        conditions = merge(
            status.conditions,
            said,
            generation=resource.metadata.generation,
            now=self._hands.now(),
        )
        await say(self._hands, key, resource, replace(status, conditions=conditions))

    async def _refresh(self, key: Key) -> None:
        """Read the resource anew after somebody else wrote it."""
        try:
            body = await self._hands.kube.get(ours(key.kind.plural), key.namespace, key.name)
            if body is None:
                self._hands.world.shelf(key.kind).drop(Place(key.namespace, key.name))
            else:
                self._hands.world.put(key.kind, body)
        except (DbcustodyError, InvalidSpecError) as error:
            _LOG.warning("%s %s/%s could not be read: %s", key.kind.value, key.namespace, key.name, error.message)
