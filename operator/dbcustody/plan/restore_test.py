"""Restore tests: whose turn it is, and what a policy may say of those that were made.

Whose turn it is the storage remembers and no cluster does: whoever takes the next backup, in whatever cluster, comes to the same answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbcustody.api.condition import ConditionStatus, ConditionType, no, unknown, yes
from dbcustody.api.policy import Level, RestoreTested
from dbcustody.codec import format_time
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dbcustody.api.condition import Condition
    from dbcustody.plan.recovery_point import Run
    from dbcustody.repository.inventory import Inventory


def why_not_due(inventory: Inventory, backup_id: str, every_nth: int) -> str | None:
    """Return in words why *backup_id* needs no restore test this time; None: its turn has come.

    Of *every_nth* good backups one is restored. A test that failed counts as none, so that the next backup is due again; and while no
    test ever passed each one is due.
    """
    if every_nth <= 1:
        return None
    others = [one for one in inventory.live if one.manifest.backup_id != backup_id and one.is_good]
    tested = [place for place, one in enumerate(others) if one.is_restore_tested]
    if not tested or len(others) - tested[-1] >= every_nth:
        return None
    name, turn = others[tested[-1]].manifest.name, len(others) - tested[-1]
    return f"one of {every_nth} backups is restored; {name} was, and this is number {turn} after it"


def newest_tested(runs: Sequence[Run], before: RestoreTested | None) -> RestoreTested | None:
    """Return the backup with the newest data that was restored and equal, *before* (None: none was known) included."""
    found = [
        RestoreTested(name=run.name, time=run.data_time, restore_seconds=run.restore_seconds)
        for run in runs
        if _passed(run) and run.data_time is not None
    ]
    known = found if before is None else [*found, before]
    return max(known, key=lambda one: (one.time, one.restore_seconds is not None, one.name), default=None)


def judge_restore_tests(level: Level, runs: Sequence[Run], tested: RestoreTested | None) -> Condition:
    """Return the condition RestoreVerified: how the newest test ended; *tested* is the newest that passed, None when none did."""
    if level is not Level.RESTORE:
        text = "choose level Restore in `spec.verification`"
        return unknown(ConditionType.RESTORE_VERIFIED, Reason.NOT_REQUESTED, text)
    failed = _newest_failure(runs, tested)
    if failed is not None:
        name, said = failed
        message = f"Backup {name!r}: {said.message}{_before(tested)}"
        return no(ConditionType.RESTORE_VERIFIED, said.reason, message)
    if tested is None:
        return unknown(ConditionType.RESTORE_VERIFIED, Reason.NO_BACKUP_YET, "no backup was restored yet")
    return yes(ConditionType.RESTORE_VERIFIED, Reason.RESTORE_VERIFIED, _describe(tested))


def _passed(run: Run) -> bool:
    return run.is_good and run.restore_test is not None and run.restore_test.is_true


def _newest_failure(runs: Sequence[Run], tested: RestoreTested | None) -> tuple[str, Condition] | None:
    """Return name and word of the newest run whose test failed, None when there is none or younger data passed one."""
    failed = [
        (run.data_time, run.name, run.restore_test)
        for run in runs
        if run.data_time is not None
        and run.restore_test is not None
        and run.restore_test.status is ConditionStatus.FALSE
        and (tested is None or run.data_time > tested.time)
    ]
    newest = max(failed, key=lambda one: one[:2], default=None)
    return None if newest is None else newest[1:]


def _describe(tested: RestoreTested) -> str:
    took = "" if tested.restore_seconds is None else f" in {tested.restore_seconds} s"
    return f"Backup {tested.name!r} of {format_time(tested.time)} was restored{took}, compared and equal"


def _before(tested: RestoreTested | None) -> str:
    return "" if tested is None else f"; {_describe(tested)}"
