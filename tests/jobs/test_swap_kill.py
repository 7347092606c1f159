"""The process of a swap killed with SIGKILL around its statements: the server holds one database or the other, never a mixture."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import psycopg
import pytest

from dbcustody.contract import Verb
from dbcustody.reason import ExitCode, Reason
from ground.postgres import PostgresServer
from ground.process import wait_until
from tests.fakes.custodian import Custodian, in_volume
from tests.fakes.jobpod import JobPod, connection_of
from tests.fakes.swaps import MARK, UNDO, Swapper

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.postgres
_COUNTING: Final = """
import os, signal, sys
import psycopg
_execute, _count = psycopg.Connection.execute, 0
def execute(self, *arguments, **options):
    global _count
    _count += 1
    if (_count, "before") == ({at}, "{when}"):
        os.kill(os.getpid(), signal.SIGKILL)
    result = _execute(self, *arguments, **options)
    if (_count, "after") == ({at}, "{when}"):
        os.kill(os.getpid(), signal.SIGKILL)
    print("statement", _count, str(arguments[0])[:60].replace(chr(10), " "), file=sys.stderr, flush=True)
    return result
psycopg.Connection.execute = execute
"""
LEAST_POINTS: Final = 12
EVERY: Final = pytest.param(1, id="every", marks=pytest.mark.slow)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server."""
    with PostgresServer(17) as started:
        yield started


@pytest.fixture
def swapper(server: PostgresServer, tmp_path: Path) -> Iterator[Swapper]:
    """Return who may swap the database `shop` as often as he likes."""
    folder = tmp_path / "storage"
    folder.mkdir()
    swapper = Swapper(Custodian(server=server, open_store=in_volume(folder)))
    prepare(swapper)
    swapper.custodian.take()
    yield swapper
    clear(swapper)


def clear(swapper: Swapper) -> None:
    """Drop everything."""
    for name in set(swapper.databases()) - {"postgres"}:
        swapper.custodian.server.execute(f'drop database "{name}" with (force)')


def prepare(swapper: Swapper) -> None:
    """Make a database `shop` that says `old`, and what waits to take its place."""
    clear(swapper)
    server = swapper.custodian.server
    server.execute("create database shop connection limit 40", "comment on database shop is 'our shop'")
    server.execute("create table public.said (word text)", "insert into public.said values ('old')", database="shop")
    swapper.make_waiting()


def run(swapper: Swapper, folder: Path, *, at: int, when: str) -> tuple[int, int]:
    """Run the Job of a swap that is killed at a statement (0: none); return its exit code and how many statements it finished."""
    server = swapper.custodian.server
    pod = JobPod(
        folder,
        swapper.request(Verb.SWAP),
        {"connection": connection_of(server)},
        volume=folder.parent / "storage",
        prelude=_COUNTING.format(at=at, when=when),
    )
    with pod:
        code = pod.wait()
    backends = "select 1 from pg_stat_activity where application_name like 'dbcustody swap%'"
    assert wait_until(lambda: not server.execute(backends), 20)
    return code, len(re.findall(r"^statement ", pod.said, re.MULTILINE))


def is_served(swapper: Swapper) -> bool:
    """Return whether anybody may enter `shop`."""
    try:
        swapper.words()
    except psycopg.OperationalError:
        return False
    return True


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", [pytest.param(2, id="every-other"), EVERY])
@pytest.mark.timeout(900)
def test_killed_at_any_statement(swapper: Swapper, tmp_path: Path, when: str, step: int) -> None:
    """Whatever is killed: the old one untouched, at worst shut until the next run looks, or the new one complete and open."""
    prepare(swapper)
    code, statements = run(swapper, tmp_path / "whole", at=0, when=when)
    assert (code, statements >= LEAST_POINTS, swapper.words()) == (0, True, ["new"])
    ends = []
    for at in range(statements, 0, -step):
        prepare(swapper)
        run(swapper, tmp_path / f"killed-{at}", at=at, when=when)
        was_served = is_served(swapper)
        result = swapper.ask(Verb.SETTLE_RESTORE)
        was_swapped = result.reason is Reason.SWAPPED
        assert result.exit_code is ExitCode.DONE
        assert swapper.words() == ["new" if was_swapped else "old"], at
        expected = {"postgres", "shop"} | ({swapper.kept} if was_swapped else set())
        assert set(swapper.databases()) == expected, at
        assert was_served or not was_swapped, at
        ends.append((was_served, was_swapped))

    assert set(ends) == {(True, False), (False, False), (True, True)}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", [pytest.param(4, id="every-fourth"), EVERY])
@pytest.mark.timeout(900)
def test_undo_killed_at_any_statement(swapper: Swapper, tmp_path: Path, when: str, step: int) -> None:
    """Taking a swap back is as safe as the swap: afterwards it is undone, or it is not, and can be undone again."""
    undo = replace(swapper, mark=UNDO, terms={"undoes": MARK})

    def swapped() -> None:
        prepare(swapper)
        assert swapper.ask(Verb.SWAP).reason is Reason.SWAPPED

    swapped()
    code, statements = run(undo, tmp_path / "whole", at=0, when=when)
    assert (code, swapper.words()) == (0, ["old"])
    for at in range(1, statements + 1, step):
        swapped()
        run(undo, tmp_path / f"killed-{at}", at=at, when=when)
        result = undo.ask(Verb.SETTLE_RESTORE)
        if result.reason is not Reason.SWAPPED:
            assert (swapper.words(), swapper.kept in swapper.databases()) == (["new"], True), at
            with pytest.raises(psycopg.OperationalError, match="not currently accepting"):
                swapper.words(swapper.kept)
            assert undo.ask(Verb.SWAP).reason is Reason.SWAPPED
        assert swapper.words() == ["old"], at
