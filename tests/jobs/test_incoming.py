"""What the Jobs let into the place of a live database, on real servers: all of it, its own, or what somebody said yes to by name."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from dbcustody.api.backup import BackupScope
from dbcustody.api.policy import Tables
from dbcustody.api.restore import SideEffect
from dbcustody.contract import Verb
from dbcustody.jobs import restore as restore_job
from dbcustody.plan.replacement import incoming_name
from dbcustody.reason import Reason
from ground.postgres import PostgresServer
from ground.process import wait_until
from tests.fakes.custodian import Custodian, in_volume
from tests.fakes.swaps import MARK, UNDO, Swapper

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dbcustody.contract import JobResult

pytestmark = pytest.mark.postgres
PART = Tables(exclude=("public.log",))
SHOP = (
    "create table public.said (word text)",
    "insert into public.said values ('old')",
    "create table public.log (line text)",
)


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[PostgresServer, PostgresServer]]:
    """Return two servers, the first with a role that may read everything but large objects of others."""
    with PostgresServer(17) as here, PostgresServer(17) as elsewhere:
        here.execute("create role keeper login password 'k'", "grant pg_read_all_data to keeper")
        yield here, elsewhere


@pytest.fixture
def swapper(servers: tuple[PostgresServer, PostgresServer], tmp_path: Path) -> Iterator[Swapper]:
    """Return who may replace the database `shop`, of which there is no backup yet."""
    server, elsewhere = servers
    for one in servers:
        one.execute("create database shop")
        one.execute(*SHOP, database="shop")
    folder = tmp_path / "storage"
    folder.mkdir()
    swapper = Swapper(Custodian(server=server, open_store=in_volume(folder)))
    yield swapper
    for name in set(swapper.databases()) - {"postgres"}:
        server.execute(f'drop database "{name}" with (force)')
    elsewhere.execute("drop database shop with (force)")


def take(custodian: Custodian, name: str, **options: Any) -> str:
    """Take the backup *name* and return its id."""
    result = custodian.take(name, **options)
    assert result.reason is Reason.SUCCEEDED, result.message
    assert result.backup is not None
    assert result.backup.artefact is not None
    return result.backup.artefact.backup_id


def planned(result: JobResult) -> tuple[str, dict[str, tuple[str, ...]]]:
    """Return which backup is meant, and the side effects by kind."""
    assert result.restore is not None
    assert result.restore.plan is not None
    assert result.restore.backup is not None
    return result.restore.backup.name, {one.kind.value: one.names for one in result.restore.plan.side_effects}


def beside(swapper: Swapper, verb: Verb, **terms: Any) -> JobResult:
    """Return what comes of the same restore into a new database."""
    request = swapper.request(verb)
    assert request.restore is not None
    terms = {"database": "shop_beside", "replace": None} | terms
    return restore_job.run(replace(request, restore=replace(request.restore, **terms)), swapper.custodian.tools())


def test_a_partial_backup_takes_nobody_s_place(swapper: Swapper) -> None:
    """Whatever is acknowledged, at both doors, before anything is made; beside the live database it may be restored."""
    take(swapper.custodian, "whole")
    part = take(swapper.custodian, "part", tables=PART)
    before = swapper.databases()
    greedy = replace(swapper, asked={"backup_id": part, "acknowledge": tuple(SideEffect)})

    told = greedy.ask(Verb.PLAN_RESTORE)
    refused = greedy.refusal(Verb.RESTORE)

    assert (told.reason, refused.reason) == (Reason.BACKUP_PARTIAL, Reason.BACKUP_PARTIAL)
    assert "backup part: holds only a part" in told.message
    assert "restore it into a new database beside this one" in told.message
    assert planned(told) == ("part", {})
    assert told.restore is not None
    assert told.restore.plan is not None
    assert [one.reason for one in told.restore.plan.obstacles] == ["BackupPartial"]
    assert (swapper.databases(), swapper.words()) == (before, ["old"])
    assert beside(greedy, Verb.RESTORE).reason is Reason.RESTORED
    assert swapper.words("shop_beside") == ["old"]


def test_the_newest_for_a_place_is_the_newest_whole_one(swapper: Swapper) -> None:
    """A newer one of a part is passed over, beside the live database too; where there are only such ones, the place is not taken."""
    asked = replace(swapper, asked={"backup_id": None})
    take(swapper.custodian, "part-1", tables=PART)
    assert asked.refusal(Verb.PLAN_RESTORE).reason is Reason.BACKUP_PARTIAL
    assert planned(beside(asked, Verb.PLAN_RESTORE))[0] == "part-1"
    first = swapper.custodian.stock().live[0].manifest.snapshot
    assert wait_until(lambda: datetime.now(UTC) >= first + timedelta(seconds=1), 10)
    take(swapper.custodian, "whole")
    take(swapper.custodian, "part-2", tables=PART)
    assert planned(asked.ask(Verb.PLAN_RESTORE)) == ("whole", {})
    assert planned(beside(asked, Verb.PLAN_RESTORE))[0] == "whole"
    early = replace(swapper, asked={"backup_id": None, "before_time": first})
    assert early.refusal(Verb.PLAN_RESTORE).reason is Reason.BACKUP_PARTIAL


def test_what_was_done_before_is_still_found_done(swapper: Swapper) -> None:
    """A request that was carried out and is filed again is adopted; what an undo puts back is no backup, and is not judged so."""
    part = take(swapper.custodian, "part", tables=PART)
    swapper.make_waiting()
    assert swapper.ask(Verb.SWAP).reason is Reason.SWAPPED
    again = replace(swapper, asked={"backup_id": part})
    assert [again.ask(verb).reason for verb in (Verb.PLAN_RESTORE, Verb.RESTORE)] == [Reason.ADOPTED] * 2
    undo = replace(again, mark=UNDO, terms={"undoes": MARK})
    assert undo.ask(Verb.PLAN_RESTORE).reason is Reason.TARGET_SAFE
    assert (undo.ask(Verb.SWAP).reason, swapper.words()) == (Reason.SWAPPED, ["old"])


def test_another_database_comes_only_if_that_is_meant(
    swapper: Swapper, servers: tuple[PostgresServer, PostgresServer]
) -> None:
    """Of another server, of another name, under another custody: each is told, and waits for the word."""
    server, elsewhere = servers
    server.execute("create database wiki")
    server.execute(*SHOP, database="wiki")
    (identity,) = elsewhere.execute("select system_identifier::text from pg_control_system()")[0]
    own = take(swapper.custodian, "own")
    moved = take(replace(swapper.custodian, server=elsewhere), "moved")
    wiki = take(replace(swapper.custodian, database="wiki"), "wiki")

    def effects_of(backup_id: str, *acknowledged: SideEffect, **terms: Any) -> tuple[Reason, Any]:
        found = replace(swapper, asked={"backup_id": backup_id, "acknowledge": acknowledged}).ask(
            Verb.PLAN_RESTORE, **terms
        )
        return found.reason, planned(found)[1]

    assert effects_of(own) == (Reason.TARGET_SAFE, {})
    needed = Reason.ACKNOWLEDGEMENT_NEEDED
    assert effects_of(moved) == (needed, {"OtherDatabase": (f"server {identity}",)})
    assert effects_of(wiki, SideEffect.NOT_CAPTURED) == (needed, {"OtherDatabase": ("database wiki",)})
    assert effects_of(own, custody_id="web.live") == (needed, {"OtherDatabase": ("custody web.shop",)})
    assert effects_of(wiki, SideEffect.OTHER_DATABASE)[0] is Reason.TARGET_SAFE
    unsaid = replace(swapper, asked={"backup_id": moved})
    assert unsaid.refusal(Verb.RESTORE).reason is needed
    assert incoming_name(MARK) not in swapper.databases()
    said = replace(swapper, asked={"backup_id": moved, "acknowledge": (SideEffect.OTHER_DATABASE,)})
    assert [said.ask(verb).reason for verb in (Verb.RESTORE, Verb.SWAP)] == [Reason.RESTORED, Reason.SWAPPED]


def test_what_the_backup_could_not_hold_is_lost_only_if_that_is_meant(swapper: Swapper) -> None:
    """Large objects that the backup's role could not read, and its subscriptions; passwords stay with the roles, and need no word."""
    server = swapper.custodian.server
    server.execute(
        "select lo_from_bytea(4712, 'x')",
        "create subscription feed connection 'host=nowhere' publication p with (connect = false, slot_name = none)",
        "alter table public.said owner to keeper",
        database="shop",
    )
    weak = take(replace(swapper.custodian, user="keeper", password="k"), "weak")
    strong = take(swapper.custodian, "strong")
    server.execute("drop subscription feed", database="shop")
    lost = (
        "1 large objects, because 1 of them cannot be read by this role",
        "1 subscriptions, which only a superuser can read",
    )
    told = replace(swapper, asked={"backup_id": weak, "acknowledge": (SideEffect.OTHER_DATABASE,)}).ask(
        Verb.PLAN_RESTORE
    )
    assert (told.reason, planned(told)[1]) == (Reason.ACKNOWLEDGEMENT_NEEDED, {"NotCaptured": lost})
    assert all(one in told.message for one in lost)
    named = replace(swapper, asked={"backup_id": weak, "acknowledge": (SideEffect.NOT_CAPTURED,)})
    assert [named.ask(verb).reason for verb in (Verb.PLAN_RESTORE, Verb.RESTORE)] == [
        Reason.TARGET_SAFE,
        Reason.RESTORED,
    ]
    kept = replace(swapper, mark=UNDO, asked={"backup_id": strong}).ask(Verb.PLAN_RESTORE)
    assert (kept.reason, planned(kept)[1]) == (Reason.TARGET_SAFE, {})


def test_a_backup_says_of_how_much_it_is(swapper: Swapper) -> None:
    """Taken just now, or found again under its name: what its manifest says."""
    for name, options, scope in (("whole", {}, BackupScope.WHOLE), ("part", {"tables": PART}, BackupScope.PARTIAL)):
        found = [swapper.custodian.take(name, **options).backup for _ in range(2)]
        assert [one.scope for one in found if one is not None] == [scope, scope]
