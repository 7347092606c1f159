"""The side effects that `--acknowledge` takes, by name: a module of their own, so that nothing is loaded for a help text."""

from __future__ import annotations

from typing import Final

SIDE_EFFECTS: Final = (
    "ReplicationSlots",
    "RemoteSubscribers",
    "Subscriptions",
    "CronJobs",
    "ForeignServers",
    "OtherOperators",
    "SkippedObjects",
    "OtherDatabase",
    "NotCaptured",
)
"""Those of `api.restore.SideEffect`; a test holds the two together."""
