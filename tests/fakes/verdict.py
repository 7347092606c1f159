"""Asking retention, and reading its answer: what the tests of single rules and of random histories share."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from dbcustody.api.policy import Retention
from dbcustody.plan.retention import RetentionPlan, decide
from tests.fakes.history import START

if TYPE_CHECKING:
    from dbcustody.repository.inventory import Inventory

ZONES = ("Etc/UTC", "Europe/Copenhagen", "America/Sao_Paulo", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu")
LATER = START + timedelta(days=4000)
NONE = Retention(keep_last=1, keep_daily=0, keep_weekly=0, keep_monthly=0)


def plan_of(inventory: Inventory, retention: Retention, zone: str = "Etc/UTC", **more: Any) -> RetentionPlan:
    """Return the plan as of a time at which nothing lies in the future."""
    return decide(inventory, retention, time_zone=zone, **({"now": LATER} | more))


def meant(inventory: Inventory, retention: Retention, zone: str = "Etc/UTC", **more: Any) -> RetentionPlan:
    """Return the plan after a person confirmed it."""
    plan = plan_of(inventory, retention, zone, **more)
    return plan_of(inventory, retention, zone, **more, confirmed=plan.hash)


def kept(plan: RetentionPlan) -> set[str]:
    """Return the ids of what stays."""
    return {entry.backup_id for entry in plan.entries if entry.keep}


def reasons(plan: RetentionPlan) -> list[tuple[str, ...]]:
    """Return the reasons of every entry, oldest backup first."""
    return [entry.because for entry in reversed(plan.entries)]
