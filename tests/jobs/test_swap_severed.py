"""The swap's sessions break at each of its statements: the server tells what was done, and the same order can be given again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dbcustody.contract import Verb
from dbcustody.errors import DbcustodyError
from dbcustody.reason import Reason
from ground.postgres import PostgresServer
from tests.fakes.custodian import Custodian, in_volume
from tests.fakes.severing import AFTER, BEFORE, Severing, severed
from tests.fakes.swaps import Swapper

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.postgres
LEAST_STATEMENTS = 30
OLD, NEW = "old", "new"


@pytest.fixture
def swapper(tmp_path: Path) -> Iterator[Swapper]:
    """Return who may swap the database `shop`."""
    folder = tmp_path / "storage"
    folder.mkdir()
    with PostgresServer(17) as server:
        swapper = Swapper(Custodian(server=server, open_store=in_volume(folder)))
        prepare(swapper)
        swapper.custodian.take()
        yield swapper


def prepare(swapper: Swapper) -> None:
    """Make a database `shop` that says `old`, and what waits to take its place."""
    server = swapper.custodian.server
    for name in set(swapper.databases()) - {"postgres"}:
        server.execute(f'drop database "{name}" with (force)')
    server.execute("create database shop connection limit 40", "comment on database shop is 'our shop'")
    server.execute("create table public.said (word text)", "insert into public.said values ('old')", database="shop")
    swapper.make_waiting()


def swap(swapper: Swapper, patched: pytest.MonkeyPatch, *, at: int, when: str) -> tuple[Reason, int]:
    """Swap with sessions that break at the statement *at*; return what was told, and how many statements there were."""
    with severed(patched, Severing(swapper.custodian.server, when=when, at=at)) as severing:
        try:
            told = swapper.ask(Verb.SWAP).reason
        except DbcustodyError as error:
            told = error.reason
    return told, severing.counted


@pytest.mark.parametrize("when", [BEFORE, AFTER])
@pytest.mark.parametrize("step", [pytest.param(6, id="some"), pytest.param(1, id="all", marks=pytest.mark.slow)])
@pytest.mark.timeout(600)
def test_severed_at_any_statement(swapper: Swapper, monkeypatch: pytest.MonkeyPatch, when: str, step: int) -> None:
    """Told is that the connection was lost; the one or the other is served at once, whole, and the same order brings the new one."""
    backup_id = swapper.backup_id
    monkeypatch.setattr(Swapper, "backup_id", backup_id)
    told, statements = swap(swapper, monkeypatch, at=0, when=when)
    assert (told, statements >= LEAST_STATEMENTS, swapper.words()) == (Reason.SWAPPED, True, [NEW])
    ends = set()
    for at in range(statements, 0, -step):
        prepare(swapper)
        there = set(swapper.databases())
        told, _ = swap(swapper, monkeypatch, at=at, when=when)
        found = swapper.words()
        ends.add((told, *found))

        assert told in {Reason.CONNECTION_LOST, Reason.SWAPPED}, at
        assert found == [NEW] or (found, set(swapper.databases())) == ([OLD], there), at
        assert swapper.ask(Verb.SWAP).reason is Reason.SWAPPED, at
        assert (swapper.words(), set(swapper.databases())) == ([NEW], {"postgres", "shop", swapper.kept}), at

    assert ends >= {(Reason.CONNECTION_LOST, OLD), (Reason.CONNECTION_LOST, NEW)}
