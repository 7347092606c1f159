"""A swap and its undo under applications that write, are sent away and come back at once: directly, and through PgBouncer."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from dbcustody.contract import Verb
from dbcustody.plan.replacement import incoming_name
from dbcustody.reason import Reason
from ground.pooler import Pooler
from ground.postgres import PostgresServer
from tests.fakes.custodian import Custodian, in_volume
from tests.fakes.swaps import MARK, UNDO, Swapper
from tests.fakes.tellers import GRANT, NAME, PASSWORD, TABLE, Tellers, written

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.postgres
RESTORER = "restorer"


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """Yield a server on which applications write as a role without any privilege, and another one restores that is no superuser."""
    with PostgresServer(17) as started:
        started.execute(
            "create role owner_of_shop",
            f"create role {NAME} login password '{PASSWORD}'",
            f"create role {RESTORER} login createdb password 'r' in role owner_of_shop, {NAME}",
            "create database shop owner owner_of_shop",
            "revoke all on database shop from public",
            f"grant connect on database shop to {NAME}, {RESTORER}",
        )
        started.execute(TABLE, GRANT, database="shop")
        yield started


@pytest.fixture
def swapper(server: PostgresServer, tmp_path: Path) -> Swapper:
    """Return who swaps, with a database that waits to take the place."""
    folder = tmp_path / "storage"
    folder.mkdir()
    custodian = Custodian(server=server, open_store=in_volume(folder))
    custodian.take()
    made = Swapper(replace(custodian, user=RESTORER, password="r"))
    made.make_waiting()
    server.execute(TABLE, GRANT, database=incoming_name(MARK))
    return made


@pytest.mark.parametrize("way", ["directly", "through-a-pooler"])
def test_clients_come_back_on_what_has_the_name(swapper: Swapper, tmp_path: Path, way: str) -> None:
    """What they were told is written is in one of the two databases, and nobody writes into the one that was put away."""
    server, stack = swapper.custodian.server, ExitStack()
    undo, before = replace(swapper, mark=UNDO, terms={"undoes": MARK}), swapper.likeness()
    with stack:
        port = server.port
        if way == "through-a-pooler":
            port = stack.enter_context(Pooler(server, passwords={NAME: PASSWORD})).port
        tellers = stack.enter_context(Tellers(server, port, tmp_path))
        tellers.until_more()
        swapped, between = swapper.ask(Verb.SWAP), swapper.likeness()
        tellers.until_more()
        undone = undo.ask(Verb.SWAP)
        tellers.until_more()

    server.execute(f'alter database "{undo.kept}" allow_connections true')
    live, kept = written(server, "shop"), written(server, undo.kept)
    assert (swapped.reason, undone.reason) == (Reason.SWAPPED, Reason.SWAPPED)
    assert (between, swapper.likeness()) == (before, before)
    assert tellers.told <= len(live) + len(kept) <= tellers.told + tellers.unsure
    first, last = [at for at in live if at < kept[0]], [at for at in live if at > kept[-1]]
    assert (len(first) + len(last), bool(first), bool(last)) == (len(live), True, True)
