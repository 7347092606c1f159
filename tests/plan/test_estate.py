"""The table: one row for each Database, with the newest proof, the next run, and the worst of what its policies say."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from dbcustody.api.glance import Glance
from dbcustody.api.meta import Kind
from dbcustody.codec import format_time
from dbcustody.plan.estate import age_text, kept_of, rows_of
from tests.fakes.glances import backup, body, kept, policy, replacement, said
from tests.fakes.seen import NOW, ago

READY = said("Ready", "True", "Ready")


def read(*bodies: dict[str, Any]) -> list[Glance]:
    """Return the resources, read."""
    return [Glance.from_body(Kind(one["kind"]), one) for one in bodies]


def test_a_row_says_what_is_proven() -> None:
    """The last backup may be one whose object is gone; an unverified one does not count as proof; failures count for nothing."""
    unproven = backup("b", ended=600)
    unproven["status"]["conditions"].pop()
    resources = read(
        body(Kind.DATABASE, "shop", READY, lastBackup={"name": "gone", "time": format_time(ago(60))}),
        policy(nextScheduleTime=format_time(NOW + timedelta(hours=5))),
        backup("a", ended=7200, snapshotTime=format_time(ago(7300))),
        unproven,
        backup("c", good=False, ended=1),
        backup("theirs", ended=1, namespace="other"),
    )
    (row,) = rows_of(resources)
    assert (row.namespace, row.name, row.ready) == ("team", "shop", "True")
    assert (row.last_backup, row.last_verified) == (ago(60), ago(7300))
    assert (row.next_run, row.storages) == (NOW + timedelta(hours=5), ("main",))
    assert row.recovery_point == "True"


@pytest.mark.parametrize("reason", ["DataDeleted", "DataVanished"])
def test_a_backup_whose_data_is_gone_proves_nothing(reason: str) -> None:
    """It is neither the last one nor the last verified one, although its run succeeded."""
    gone, there = backup("gone", ended=60), backup("there", ended=7200)
    gone["status"]["conditions"].append(said("Uploaded", "False", reason))
    there["status"]["conditions"].append(said("Uploaded", "True", "Uploaded"))
    (row,) = rows_of(read(body(Kind.DATABASE, "shop", READY), policy(), gone, there))

    assert (row.last_backup, row.last_verified) == (ago(7200), ago(7200))


def test_several_policies_are_one_promise() -> None:
    """The worst of what they say, and the first of what comes; a suspended one starts nothing."""
    soon, later = (format_time(NOW + timedelta(hours=hours)) for hours in (1, 2))
    missed = said("RecoveryPointCurrent", "False", "RecoveryPointMissed")
    resources = read(
        body(Kind.DATABASE, "shop", READY),
        policy("a", spec={"suspend": True, "storageRef": {"name": "second"}}, nextScheduleTime=soon),
        policy("b", missed, nextScheduleTime=later),
    )
    (row,) = rows_of(resources)
    assert (row.next_run, row.recovery_point) == (NOW + timedelta(hours=2), "False")
    assert row.storages == ("main", "second")


def test_what_is_not_known_is_not_invented() -> None:
    """Without a policy there is no promise; before the operator looked, nothing is ready."""
    bare, odd = read(body(Kind.DATABASE, "b"), body(Kind.DATABASE, "a", READY, observedGeneration=0))
    silent = Glance.from_body(Kind.BACKUP_POLICY, policy("p", READY, database="b", spec={"storageRef": None}))
    first, second = rows_of([bare, odd, silent])
    assert (first.name, first.ready, first.recovery_point, first.last_backup) == ("a", "Unknown", None, None)
    assert (second.ready, second.recovery_point, second.storages, second.next_run) == ("Unknown", "Unknown", (), None)


def test_what_is_kept_can_be_put_back() -> None:
    """What goes first comes first; what is dropped, or due, is not offered any more."""
    found = kept_of(
        read(
            body(Kind.DATABASE, "shop", READY),
            replacement("late", oldDatabase=kept("b", left_seconds=7200)),
            replacement("soon", oldDatabase=kept("a", left_seconds=60)),
            replacement("due", oldDatabase=kept(left_seconds=0)),
            replacement("gone", oldDatabase=kept(droppedTime=format_time(ago(1)))),
            replacement("none"),
        ),
        NOW,
    )
    assert [(one.database, one.name, one.request, one.until) for one in found] == [
        ("shop", "a", "soon", NOW + timedelta(seconds=60)),
        ("shop", "b", "late", NOW + timedelta(hours=2)),
    ]
    assert found[0].command == "kubectl dbcustody restore --undo soon -n team --wait"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (119, "119s"), (120, "2m"), (7199, "119m"), (7200, "2h"), (172_800, "2d"), (-7200, "in 2h")],
)
def test_ages_are_short(seconds: float, text: str) -> None:
    """One unit is enough."""
    assert age_text(ago(seconds), NOW) == text


def test_no_time_has_no_age() -> None:
    """A dash, as kubectl shows it."""
    assert age_text(None, NOW) == "-"
