"""Approvals: the request that one names as it is seen now, and what became of the Approval."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbcustody.api.meta import Kind
from dbcustody.handlers.world import Place
from dbcustody.plan.approval import plan
from dbcustody.plan.restore_approval import seen_request

if TYPE_CHECKING:
    from dbcustody.api.approval import Approval, ApprovalStatus
    from dbcustody.handlers.hands import Hands
    from dbcustody.handlers.observe import Observer
    from dbcustody.handlers.world import Key
    from dbcustody.plan.actions import Plan


async def plan_approval(hands: Hands, _: Observer, key: Key, approval: Approval) -> Plan[ApprovalStatus]:
    """Return the plan for *approval* from what is seen now."""
    named = approval.spec.request_ref
    shelf = hands.world.shelf(Kind(named.kind.value))
    request = shelf.get(Place(key.namespace, named.name))
    seen = None if request is None else seen_request(request, is_stamped=hands.settings.stamps_approvals)
    return plan(approval, seen, hands.now())
