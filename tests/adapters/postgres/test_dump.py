"""pg_dump as a child: its archive is whole, its complaints and its end are heard, and nothing of it stays."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dbcustody.adapters.postgres import Client, PostgresTarget
from dbcustody.adapters.postgres.child import PIPE_BYTES
from dbcustody.adapters.postgres.dump import Dump
from dbcustody.errors import DbcustodyError
from dbcustody.reason import Reason
from ground.postgres import PostgresServer
from ground.process import wait_until
from ground.root import client_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.postgres

CLIENT = Client(major=17, version="17", folder=client_folder(17))


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server with a table of a few megabytes."""
    with PostgresServer(17) as server:
        server.execute("create database shop")
        server.execute(
            "create table a as select n, repeat(md5(n::text), 100) as v from generate_series(1, 2000) n",
            database="shop",
        )
        yield server


@pytest.fixture
def target(server: PostgresServer) -> PostgresTarget:
    """Return the target."""
    return PostgresTarget(
        host=server.host, port=str(server.port), database="shop", user="postgres", password=server.password, sslmode="disable",
        application="dbcustody backup test",
    )  # fmt: skip


def stand_in(folder: Path, script: str) -> Client:
    """Return a client whose pg_dump is *script*."""
    program = folder / "pg_dump"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return Client(major=17, version="17", folder=folder)


def descriptors() -> int:
    """Return how many files are open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def test_archive_comes_in_full_pieces(target: PostgresTarget) -> None:
    """All pieces but the last are full; together they are an archive, and the end is checked. Nothing is left open."""
    before = (descriptors(), threading.active_count())
    with Dump(CLIENT, target, ["--compress=none"]) as dump:
        sizes, head = [], b""
        for piece in dump.pieces():
            head = head or bytes(piece[:5])
            sizes.append(len(piece))
        dump.check()
    assert head == b"PGDMP"
    assert set(sizes[:-1]) == {PIPE_BYTES}
    assert sum(sizes) > 6_000_000
    assert (descriptors(), threading.active_count()) == before


def test_complaint_is_told(target: PostgresTarget) -> None:
    """What pg_dump says on standard error becomes the reason; its archive counts for nothing."""
    with Dump(CLIENT, target.at("nowhere"), []) as dump:
        assert list(dump.pieces()) == []
        with pytest.raises(DbcustodyError) as caught:
            dump.check()
    assert caught.value.reason is Reason.DATABASE_MISSING
    assert "exit status 1" in caught.value.message


def test_filter_that_fits_nothing_is_an_error(target: PostgresTarget) -> None:
    """A table that is not there is not passed over in silence."""
    with Dump(CLIENT, target, [], tables=['include table "public"."gone"']) as dump:
        assert list(dump.pieces()) == []
        with pytest.raises(DbcustodyError):
            dump.check()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV], ids=lambda one: one.name)
def test_signal_from_outside(target: PostgresTarget, number: signal.Signals) -> None:
    """A pg_dump that is ended from outside is an interruption, after which it is tried again."""
    with Dump(CLIENT, target, ["--compress=none"]) as dump:
        pieces = dump.pieces()
        next(pieces)
        os.kill(dump._process.pid, number)
        for _ in pieces:
            pass
        with pytest.raises(DbcustodyError) as caught:
            dump.check()
    assert caught.value.reason is Reason.INTERRUPTED
    assert number.name in caught.value.message


def test_end_ends_the_query_too(target: PostgresTarget, server: PostgresServer) -> None:
    """A dump that is ended while the server is busy with it cancels its query: the backend is gone at once."""
    ours = "select count(*) from pg_stat_activity where application_name = 'dbcustody backup test'"
    with server.connect("shop") as other:
        other.execute("begin; lock table a in access exclusive mode")
        with Dump(CLIENT, target, ["--compress=none"]) as dump:
            assert wait_until(lambda: server.execute(f"{ours} and wait_event_type = 'Lock'") == [(1,)], 20)
            dump.end()
            dump.see_ended()
            assert wait_until(lambda: server.execute(ours) == [(0,)], 3)


def test_deaf_process_is_killed(target: PostgresTarget, tmp_path: Path) -> None:
    """A process that does not listen to SIGTERM is killed with everything that it started."""
    client = stand_in(tmp_path, "trap '' TERM\necho ready\nsleep 600 & wait; sleep 600")
    with Dump(client, target, []) as dump:
        pid = dump._process.pid
    assert not Path(f"/proc/{pid}").exists()


def test_chatter_does_not_block(target: PostgresTarget, tmp_path: Path) -> None:
    """A process that complains without end is heard while it works; what it said last is what is told, in bounded memory."""
    client = stand_in(
        tmp_path,
        "i=0; while [ $i -lt 5000 ]; do echo warning: line $i >&2; i=$((i+1)); done; echo 'pg_dump: error: lock timeout' >&2; exit 1",
    )
    with Dump(client, target, []) as dump:
        assert list(dump.pieces()) == []
        with pytest.raises(DbcustodyError) as caught:
            dump.check()
    assert caught.value.reason is Reason.LOCK_NOT_OBTAINED
    assert len(dump._complaints) == 50


def test_process_that_closes_its_output_and_fails(target: PostgresTarget, tmp_path: Path) -> None:
    """Bytes and an end of file are no success: the exit status decides."""
    client = stand_in(tmp_path, "echo PGDMP; exit 3")
    with Dump(client, target, []) as dump:
        assert [bytes(piece) for piece in dump.pieces()] == [b"PGDMP\n"]
        with pytest.raises(DbcustodyError) as caught:
            dump.check()
    assert "exit status 3" in caught.value.message


def test_only_what_is_needed_is_passed_on(
    target: PostgresTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of our own environment nothing secret reaches the child, and its arguments name neither host nor user nor password."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "c4nary")
    client = stand_in(tmp_path, 'env; echo "arguments: $@"')
    with Dump(client, target, ["--compress=none"]) as dump:
        said = b"".join(bytes(piece) for piece in dump.pieces()).decode()
    assert "c4nary" not in said
    assert "PGDATABASE=shop" in said
    arguments = said.partition("arguments: ")[2]
    assert not any(secret in arguments for secret in (target.password or "", target.host, target.user, "shop"))
