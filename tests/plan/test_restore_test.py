"""Restore tests: whose turn it is by the storage's memory, and what a policy says of those that were made."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from dbcustody.api.condition import ConditionType
from dbcustody.api.policy import Level, RestoreTested
from dbcustody.plan.recovery_point import Run
from dbcustody.plan.restore_test import judge_restore_tests, newest_tested, why_not_due
from dbcustody.reason import Reason
from dbcustody.repository.inventory import Doubt
from tests.fakes.history import START, Told, inventory_of
from tests.fakes.seen import ago, condition

PASSED = condition(ConditionType.RESTORE_TESTED, "True", Reason.RESTORE_TESTED, "all of it")
HINDERED = condition(ConditionType.RESTORE_TESTED, "False", Reason.EXTENSIONS_MISSING, "no postgis")
NOT_DUE = condition(ConditionType.RESTORE_TESTED, "Unknown", Reason.NOT_REQUESTED, "next time")


@pytest.mark.parametrize(
    ("levels", "every_nth", "is_due"),
    [
        pytest.param(["Restore", "Read"], 1, True, id="every-one"),
        pytest.param([], 3, True, id="the-first-of-all"),
        pytest.param(["Read", "Read"], 3, True, id="none-ever-passed"),
        pytest.param(["Restore"], 2, False, id="the-one-after"),
        pytest.param(["Restore", "Read"], 3, False, id="the-second-after"),
        pytest.param(["Restore", "Read", "Read"], 3, True, id="its-turn"),
        pytest.param(["Restore", "Read", None, None], 3, False, id="what-is-no-backup-does-not-count"),
        pytest.param(["Restore", "Read", "Checksum", "Read"], 3, True, id="a-turn-that-was-missed"),
        pytest.param(["Restore", "Read", "Restore"], 2, False, id="the-newest-test-counts"),
    ],
)
def test_whose_turn_it_is(levels: list[str | None], every_nth: int, is_due: bool) -> None:  # noqa: FBT001 - of the table
    """Of so many good backups one is restored; the one that asks counts itself, whatever it has passed already."""
    history = [Told(snapshot=START + timedelta(days=day), level=level) for day, level in enumerate(levels)]
    history.append(Told(snapshot=START + timedelta(days=50), level="Read"))
    inventory = inventory_of(history)
    why = why_not_due(inventory, inventory.live[-1].manifest.backup_id, every_nth)

    assert is_due is (why is None)
    assert why is None or f"one of {every_nth} backups" in why


def test_a_test_that_is_in_doubt_counts_for_nothing() -> None:
    """What cannot be believed was not tested."""
    tested = Told(level="Restore", doubts=(Doubt.FORGED_FACT,))
    inventory = inventory_of([tested, Told(snapshot=START + timedelta(days=1))])

    assert why_not_due(inventory, inventory.live[-1].manifest.backup_id, 9) is None


def run(name: str = "monday", days: float = 1, **values: Any) -> Run:
    """Return a good run with data of so many *days* ago."""
    return replace(Run(name=name, is_finished=True, is_good=True, data_time=ago(days * 86_400)), **values)


OLD = RestoreTested(name="old", time=ago(10 * 86_400), restore_seconds=5)


@pytest.mark.parametrize(
    ("runs", "before", "expected"),
    [
        pytest.param([], None, None, id="never"),
        pytest.param([], OLD, OLD, id="what-is-gone-is-remembered"),
        pytest.param([run(restore_test=HINDERED), run(restore_test=NOT_DUE), run()], OLD, OLD, id="none-of-them"),
        pytest.param(
            [run("a", 3, restore_test=PASSED, restore_seconds=8), run("b", 2, restore_test=PASSED, restore_seconds=9)],
            OLD,
            RestoreTested(name="b", time=ago(2 * 86_400), restore_seconds=9),
            id="newest-data",
        ),
        pytest.param([run(restore_test=PASSED, is_good=False)], None, None, id="vanished-since"),
        pytest.param([run(restore_test=PASSED, data_time=None)], None, None, id="of-no-time"),
        pytest.param([run("old", 10, restore_test=PASSED)], OLD, OLD, id="measured-is-not-forgotten"),
    ],
)
def test_the_newest_that_passed(runs: list[Run], before: RestoreTested | None, expected: RestoreTested | None) -> None:
    """By the time of its data, however long ago its resource went."""
    assert newest_tested(runs, before) == expected


@pytest.mark.parametrize(
    ("level", "runs", "tested", "expected"),
    [
        pytest.param(Level.READ, [run(restore_test=PASSED)], OLD, ("Unknown", "NotRequested"), id="another-level"),
        pytest.param(Level.RESTORE, [], None, ("Unknown", "NoBackupYet"), id="none-yet"),
        pytest.param(Level.RESTORE, [run(restore_test=NOT_DUE)], OLD, ("True", "RestoreVerified"), id="not-its-turn"),
        pytest.param(Level.RESTORE, [run(restore_test=HINDERED)], OLD, ("False", "ExtensionsMissing"), id="hindered"),
        pytest.param(Level.RESTORE, [run(restore_test=HINDERED)], None, ("False", "ExtensionsMissing"), id="at-once"),
        pytest.param(
            Level.RESTORE, [run(days=20, restore_test=HINDERED)], OLD, ("True", "RestoreVerified"), id="passed-since"
        ),
        pytest.param(
            Level.RESTORE, [run(restore_test=HINDERED, data_time=None)], None, ("Unknown", "NoBackupYet"), id="no-data"
        ),
    ],
)
def test_what_the_policy_says(
    level: Level, runs: list[Run], tested: RestoreTested | None, expected: tuple[str, str]
) -> None:
    """True with the newest that passed, False when a newer one was due and did not."""
    found = judge_restore_tests(level, runs, tested)
    assert (found.status, found.reason) == expected


def test_the_policy_tells_which_one_and_how_long_it_took() -> None:
    """People ask how old the proof is and how long a restore takes; both stand in one line, also beside a failure."""
    passed = judge_restore_tests(Level.RESTORE, [], OLD).message
    unmeasured = judge_restore_tests(Level.RESTORE, [], replace(OLD, restore_seconds=None)).message
    runs = [run("tuesday", 1, restore_test=HINDERED), run("monday", 2, restore_test=PASSED)]
    failed = judge_restore_tests(Level.RESTORE, runs, OLD).message

    assert passed == "Backup 'old' of 2026-01-21T12:00:00Z was restored in 5 s, compared and equal"
    assert " in " not in unmeasured
    assert failed == f"Backup 'tuesday': no postgis; {passed}"
