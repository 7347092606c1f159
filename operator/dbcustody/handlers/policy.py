"""BackupPolicies: what is seen around one, and its plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbcustody.plan.actions import Plan

if TYPE_CHECKING:
    from dbcustody.api.policy import BackupPolicy, BackupPolicyStatus
    from dbcustody.handlers.hands import Hands
    from dbcustody.handlers.observe import Observer
    from dbcustody.handlers.world import Key


async def plan_policy(hands: Hands, observer: Observer, key: Key, policy: BackupPolicy) -> Plan[BackupPolicyStatus]:
    """Return the plan for *policy* from what is seen now."""
    return Plan(status=policy.status)
