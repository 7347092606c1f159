"""Makes the cases of the BackupPolicy's actions, which Argo CD's own test would read: `python -m tests.gitops.make_action_cases`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import yaml

from tests.fakes.seen import policy
from tests.gitops.argocd import FOLDER, act
from tests.gitops.bodies import body_of

PLACE: Final = FOLDER / "BackupPolicy" / "actions"
CLICK: Final = datetime(2026, 1, 31, 12, 34, 56, tzinfo=UTC)


def write() -> None:
    """Write the policies, and what each action makes of them."""
    running, suspended = body_of(policy()), body_of(policy(suspend=True))
    parts = ("apiVersion", "kind", "metadata", "spec")  # Lua keeps no order
    created = [
        {"operation": operation, "resource": {part: made[part] for part in parts}}
        for operation, made in act(running, "backup-now", CLICK)
    ]
    for name, body in (("policy", running), ("policy-suspended", suspended), ("backup", created)):
        (PLACE / "testdata" / f"{name}.yaml").write_text(yaml.safe_dump(body, sort_keys=False, width=140))


if __name__ == "__main__":
    write()
