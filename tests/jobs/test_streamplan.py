"""Which pg_dump is asked for what: every table's rows by exactly one of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from dbcustody.adapters.postgres.snapshot import DumpTable, Snapshot
from dbcustody.api.policy import CaptureOptions, Tables
from dbcustody.jobs.streamplan import plan_streams, plan_whole

SNAPSHOT = Snapshot(
    name="0003-1",
    lsn=None,
    tables=(
        DumpTable(oid=1, schema="public", name="a", has_rows=True),
        DumpTable(oid=2, schema="public", name="parent", has_rows=False),
        DumpTable(oid=3, schema="web", name="b", has_rows=True),
        DumpTable(oid=4, schema="web", name="c", has_rows=True),
    ),
)
SIZES = {1: 100, 3: 90, 4: 20}


def sitting(*, major: int = 17, in_recovery: bool = False, unreadable: int = 0) -> Any:
    """Return as much of a sitting as planning looks at."""
    return SimpleNamespace(
        client=SimpleNamespace(major=major),
        server=SimpleNamespace(in_recovery=in_recovery),
        missing=SimpleNamespace(large_objects=SimpleNamespace(total=unreadable)),
    )


def test_one_stream_takes_everything() -> None:
    """One archive holds definitions and rows; no table is named, and no section left out."""
    (plan,) = plan_whole(sitting(), CaptureOptions(), SNAPSHOT).streams
    assert [plan.name_of(part) for part in (0, 12)] == ["whole.pgc", "whole.pgc.012"]
    assert plan.tables == ()
    assert not [argument for argument in plan.arguments if "section" in argument]


def test_tables_are_dealt_by_size() -> None:
    """The largest is alone in its stream as long as the others together are smaller."""
    plans = plan_streams(sitting(), CaptureOptions(parallelism=2), SNAPSHOT, SIZES)
    assert [[(one.key, one.size_bytes) for one in portions] for portions in plans.portions] == [
        [(1, 100)],
        [(3, 90), (4, 20)],
    ]


@pytest.mark.parametrize("parallelism", [2, 3, 8])
def test_every_table_with_rows_is_asked_for_once(parallelism: int) -> None:
    """What a stream includes, the rest leaves out; a partitioned parent has no rows to ask for."""
    plans = plan_streams(sitting(), CaptureOptions(parallelism=parallelism), SNAPSHOT, SIZES)
    _, *dealt, rest = plans.streams
    included = [line.removeprefix("include table ") for one in dealt for line in one.tables]
    left_out = [line.removeprefix("exclude table_data ") for line in rest.tables]
    assert sorted(included) == sorted(left_out) == ['"public"."a"', '"web"."b"', '"web"."c"']
    assert [one.name_of(0) for one in plans.streams] == [
        "schema.pgc", *(f"data-{number:03d}.pgc" for number in range(1, len(dealt) + 1)), "data-000.pgc"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("about", "argument"),
    [
        pytest.param({}, None, id="nothing"),
        pytest.param({"in_recovery": True}, "--no-unlogged-table-data", id="standby"),
        pytest.param({"unreadable": 2}, "--no-large-objects", id="large-objects"),
        pytest.param({"unreadable": 2, "major": 15}, "--no-blobs", id="large-objects-old-client"),
    ],
)
def test_arguments_of_all_streams(about: dict[str, Any], argument: str | None) -> None:
    """Snapshot, lock's time and what must be left out are the same for every stream, the schema's included."""
    options = CaptureOptions(parallelism=2, lock_wait_seconds=7)
    cut = plan_streams(sitting(**about), options, SNAPSHOT, SIZES).streams
    for one in (*cut, *plan_whole(sitting(**about), options, SNAPSHOT).streams):
        assert {"--snapshot=0003-1", "--lock-wait-timeout=7s"} <= set(one.arguments)
        special = {"--no-unlogged-table-data", "--no-large-objects", "--no-blobs"} & set(one.arguments)
        assert special == ({argument} if argument else set())


def test_filter_of_a_part() -> None:
    """Tables that are asked for are named as they were locked; those that are left out by patterns that mean one thing only."""
    options = CaptureOptions(tables=Tables(include=("web.*",)))
    schema, *_ = plan_streams(sitting(unreadable=1), options, SNAPSHOT, SIZES).streams
    (whole,) = plan_whole(sitting(unreadable=1), options, SNAPSHOT).streams
    assert schema.tables == whole.tables
    assert whole.tables[0] == 'include table "public"."a"'
    assert "--no-large-objects" not in whole.arguments
    (rest,) = plan_whole(sitting(), CaptureOptions(tables=Tables(exclude=("log_[0-9]",))), SNAPSHOT).streams
    assert rest.tables == ('exclude table *."log_[0-9]"',)
