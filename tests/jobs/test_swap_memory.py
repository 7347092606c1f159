"""What a real server remembers of a swap, and that what was confirmed once confirms no other one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from dbcustody.contract import Verb
from dbcustody.plan.invocation import LONGEST_KEEP
from dbcustody.reason import Reason
from ground.postgres import PostgresServer
from tests.fakes.custodian import Custodian, in_volume
from tests.fakes.swaps import CONFIRM, MARK, UNDO, Swapper

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server with a role that owns."""
    with PostgresServer(17) as started:
        started.execute('create role "Owner of shop"')
        yield started


@pytest.fixture
def swapper(server: PostgresServer, tmp_path: Path) -> Iterator[Swapper]:
    """Return who may swap the database `shop`, which has one row that says `old`."""
    server.execute('create database shop owner "Owner of shop"')
    server.execute("create table public.said (word text)", "insert into public.said values ('old')", database="shop")
    folder = tmp_path / "storage"
    folder.mkdir()
    swapper = Swapper(Custodian(server=server, open_store=in_volume(folder)))
    swapper.custodian.take()
    yield swapper
    for name in set(swapper.databases()) - {"postgres"}:
        server.execute(f'drop database "{name}" with (force)')


def test_filed_again_it_tells_what_the_server_remembers(swapper: Swapper) -> None:
    """What is kept, since when and until when, whatever is asked now; the confirmation that is used up is not looked at."""
    used_up = swapper.request(Verb.PLAN_RESTORE).restore
    assert used_up is not None
    assert used_up.replace is not None
    swapper.make_waiting()
    first = swapper.ask(Verb.SWAP).restore
    again = swapper.ask(Verb.PLAN_RESTORE, confirm=used_up.replace.confirm, keep_old_seconds=60)
    swapper.ask(Verb.DROP_REPLACED)
    later = swapper.ask(Verb.PLAN_RESTORE, confirm="shop@1")

    assert (again.reason, again.restore) == (Reason.ADOPTED, first)
    assert first is not None
    assert (first.oid, first.old_database is not None) == (swapper.databases()["shop"][0], True)
    assert later.restore is not None
    assert (later.reason, later.restore.old_database) == (Reason.ADOPTED, None)


def test_what_an_earlier_version_put_away_is_known_and_nobody_is_trusted_to_have_been_there(swapper: Swapper) -> None:
    """Its comment does not tell since when: as long ago as anything can be kept, so that every erasure counts."""
    swapper.make_waiting()
    swapper.ask(Verb.SWAP)
    server = swapper.custodian.server
    old = f"shut and kept until 2026-02-01T00:00:00+00:00: dbcustody put another in its place for {MARK}"
    server.execute(f"comment on database \"{swapper.kept}\" is '{old}'")
    found = swapper.ask(Verb.PLAN_RESTORE).restore
    assert found is not None
    assert found.old_database is not None
    assert found.old_database.drop_after == datetime(2026, 2, 1, tzinfo=UTC)
    assert found.old_database.kept_time == datetime(2026, 2, 1, tzinfo=UTC) - LONGEST_KEEP


def test_another_database_than_was_confirmed_is_not_replaced(swapper: Swapper) -> None:
    """Also when it came there after the plan: the one that is swapped is looked at, and the undo of a swap is confirmed like any other."""
    swapper.make_waiting()
    planned = swapper.request(Verb.SWAP).restore
    assert planned is not None
    assert planned.replace is not None
    confirm = planned.replace.confirm
    for said in (confirm.partition("/")[0], f"{confirm}0", confirm.replace("shop@", "shop@9"), ""):
        refused = swapper.refusal(Verb.SWAP, confirm=said)
        assert (refused.reason, confirm in refused.message) == (Reason.NOT_CONFIRMED, True)
    assert swapper.ask(Verb.SWAP).reason is Reason.SWAPPED
    undo = replace(swapper, mark=UNDO, terms={"undoes": MARK})

    assert undo.refusal(Verb.SWAP, confirm=confirm).reason is Reason.NOT_CONFIRMED
    assert undo.ask(Verb.PLAN_RESTORE, confirm=confirm).reason is Reason.NOT_CONFIRMED
    assert swapper.words() == ["new"]
    assert undo.ask(Verb.SWAP).reason is Reason.SWAPPED


def test_the_plan_says_what_it_replaces(swapper: Swapper) -> None:
    """Name, number, owner and size, and the text that confirms it."""
    server, (oid, _) = swapper.custodian.server, swapper.databases()["shop"]
    facts = swapper.ask(Verb.PLAN_RESTORE, undoes="RestoreRequest web/none 0", confirm="shop@1").restore
    ((confirm,),) = server.execute(CONFIRM)
    ((size,),) = server.execute("select pg_database_size('shop')")

    assert facts is not None
    assert facts.plan is not None
    told = facts.plan.replaces
    assert told is not None
    assert (told.database, told.oid, told.owner, told.confirm) == ("shop", oid, "Owner of shop", confirm)
    assert abs((told.size_bytes or 0) - size) < 2**20
    assert told.system_identifier == confirm.partition("@")[2].partition("/")[0]
