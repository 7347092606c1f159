"""Approvals: the request that one names as it is seen now, and what became of the Approval."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbcustody.api.meta import Kind
from dbcustody.api.migration import DatabaseMigration
from dbcustody.handlers.world import Place
from dbcustody.plan import migration_gate, restore_approval
from dbcustody.plan.approval import plan

if TYPE_CHECKING:
    from dbcustody.api.approval import Approval, ApprovalStatus
    from dbcustody.api.restore import RestoreRequest
    from dbcustody.handlers.hands import Hands
    from dbcustody.handlers.observe import Observer
    from dbcustody.handlers.world import Key
    from dbcustody.plan.actions import Plan
    from dbcustody.plan.approval import SeenRequest


async def plan_approval(hands: Hands, _: Observer, key: Key, approval: Approval) -> Plan[ApprovalStatus]:
    """Return the plan for *approval* from what is seen now."""
    named = approval.spec.request_ref
    shelf = hands.world.shelf(Kind(named.kind.value))
    request = shelf.get(Place(key.namespace, named.name))
    seen = None if request is None else _seen(request, is_stamped=hands.settings.stamps_approvals)
    return plan(approval, seen, hands.now())


def _seen(request: DatabaseMigration | RestoreRequest, *, is_stamped: bool) -> SeenRequest:
    if isinstance(request, DatabaseMigration):
        return migration_gate.seen_request(request, is_stamped=is_stamped)
    return restore_approval.seen_request(request, is_stamped=is_stamped)
