"""docs/troubleshooting.md: whatever can keep a backup from being taken is there, and nothing is there that does not exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dbcustody.adapters.postgres.lock import LOCK_CLASS, MIGRATION_LOCKS
from dbcustody.api.condition import ConditionType
from dbcustody.guidance import GUIDANCE
from dbcustody.reason import ExitCode, Reason

PAGE = (Path(__file__).parents[1] / "docs" / "troubleshooting.md").read_text()
BACKUP_FAILS = PAGE.partition("\n## Backup fails\n")[2].partition("\n## ")[0]
OF_A_BACKUP = frozenset({
    ConditionType.READY, ConditionType.SUCCEEDED, ConditionType.CONNECTED, ConditionType.PRIVILEGES_SUFFICIENT,
    ConditionType.VERSION_SUPPORTED, ConditionType.STORAGE_REACHABLE, ConditionType.ENCRYPTION_READY,
    ConditionType.CONFORMANCE_PASSED, ConditionType.SCHEDULE_ACCEPTED, ConditionType.RECOVERY_POINT_CURRENT,
    ConditionType.RETENTION_ENFORCED, ConditionType.CONTINUITY_PROVEN, ConditionType.VERIFIED, ConditionType.HELD,
})  # fmt: skip
OF_OTHERS = frozenset({
    Reason.FREEZE_WINDOW, Reason.SUPERSEDED, Reason.REQUEST_NOT_FOUND, Reason.APPROVER_IS_REQUESTER, Reason.APPROVER_UNKNOWN,
    Reason.APPROVAL_NOT_REQUIRED, Reason.MIGRATION_FAILED, Reason.HISTORY_BROKEN, Reason.HISTORY_FOREIGN, Reason.LEDGER_UNKNOWN,
    Reason.NEEDS_RESOLUTION, Reason.SOURCE_INVALID, Reason.LINT_FAILED, Reason.IRREVERSIBLE, Reason.NOT_WRITABLE,
})  # fmt: skip
"""Of restores, Approvals and migrations alone."""
FAILURES = [
    reason
    for reason in Reason
    if GUIDANCE[reason].exit_code is not ExitCode.DONE
    and GUIDANCE[reason].condition in OF_A_BACKUP
    and reason not in OF_OTHERS
]


@pytest.mark.parametrize("reason", FAILURES, ids=str)
def test_backup_fails_is_complete(reason: Reason) -> None:
    """Every reason that is no good end and stands first in a condition of a backup, its policy, its database or its storage."""
    (row,) = [line for line in BACKUP_FAILS.splitlines() if re.match(rf"\| [^|]*`{reason}`", line)] or [""]
    assert len([cell for cell in row.split("|") if cell.strip()]) == 3


def test_no_reason_is_made_up() -> None:
    """What stands in the first column as a reason is one."""
    first = [line.split("|")[1] for line in BACKUP_FAILS.splitlines() if line.startswith("| `")]
    named = {name for cell in first for name in re.findall(r"`([A-Z]\w+)`", cell)}
    assert sorted(named - set(Reason)) == []
    assert len(named) > len(FAILURES)


def test_the_lock_is_the_one_that_dumps_respect() -> None:
    """Whoever takes it by hand takes what a migration of ours would take."""
    (wish,) = MIGRATION_LOCKS
    assert f"SELECT pg_advisory_lock({LOCK_CLASS}, {wish.number.value});" in PAGE
