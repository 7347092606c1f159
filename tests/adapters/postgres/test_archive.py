"""pg_restore as a reader: what becomes of it when it, the archive or we ourselves come to a bad end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dbcustody.adapters.postgres import Client, find_clients
from dbcustody.adapters.postgres.archive import UnreadableError, count_archive
from dbcustody.errors import DamagedError, InterruptedRunError, UnavailableError
from dbcustody.reason import Reason
from ground.postgres import PostgresServer
from ground.process import wait_until
from ground.root import client_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS = 40_000
SAID_NOTHING = "it said nothing"


@pytest.fixture(scope="module")
def archive() -> bytes:
    """Return a real archive of a table that is larger than every pipe."""
    with PostgresServer(17) as server:
        server.execute("create table t as select n, repeat(md5(n::text), 3) as text from generate_series(1, 40000) n")
        where = ["-h", server.host, "-p", str(server.port), "-U", "postgres"]
        command = [client_folder(17) / "pg_dump", "-Fc", "--compress=none", *where]
        environment = {"PGPASSWORD": server.password, "PATH": os.defpath}
        return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout


@pytest.fixture
def client() -> Client:
    """Return a real client."""
    return find_clients([client_folder(17)])[0]


def program(folder: Path, script: str) -> Client:
    """Return a client whose pg_restore is a shell *script*."""
    path = folder / "pg_restore"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return Client(major=17, version="17.0", folder=folder)


def pieces(data: bytes, size_bytes: int = 100_000) -> Iterator[bytes]:
    """Yield *data* in pieces."""
    for start in range(0, len(data), size_bytes):
        yield data[start : start + size_bytes]


def children() -> set[str]:
    """Return the processes that this one started and that are not gone."""
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


@pytest.mark.postgres
def test_rows_of_a_real_archive(client: Client, archive: bytes) -> None:
    """Every row of an archive that is larger than the pipes is counted, and nothing of ours is left behind."""
    before = children(), threading.active_count()
    found = count_archive(client, pieces(archive), "an archive", stop=threading.Event())
    assert (found.tables, found.large_objects) == ({("public", "t"): [ROWS]}, 0)
    assert (children(), threading.active_count()) == before


@pytest.mark.postgres
def test_whole_archive_is_taken_when_pg_restore_is_gone(client: Client, archive: bytes) -> None:
    """What pg_restore gave up on is taken to its end all the same, so that its digest can be known; its words are told, no value is."""
    taken = 0

    def broken() -> Iterator[bytes]:
        nonlocal taken
        for piece in pieces(b"no archive, password=hunter2" + archive):
            taken += len(piece)
            yield piece

    with pytest.raises(
        UnreadableError, match=r"data-001: pg_restore 17\.\S+ cannot read it \(exit status 1\): .*archive"
    ) as caught:
        count_archive(client, broken(), "data-001", stop=threading.Event())
    assert taken == len(archive) + 28
    assert caught.value.reason is Reason.ARCHIVE_DAMAGED
    assert "hunter2" not in caught.value.message


@pytest.mark.postgres
def test_fault_of_the_archive_comes_first(client: Client, archive: bytes) -> None:
    """What reading the archive raises passes through as it is, and pg_restore is ended."""
    before = children()

    def fails() -> Iterator[bytes]:
        yield archive[: len(archive) // 2]
        raise DamagedError("this object is damaged")

    with pytest.raises(DamagedError, match=r"^this object is damaged$") as caught:
        count_archive(client, fails(), "an archive", stop=threading.Event())
    assert not isinstance(caught.value, UnreadableError)
    assert children() == before


FAULTS = {
    "says-nothing": ("cat >/dev/null; exit 3", UnreadableError, rf"\(exit status 3\): {SAID_NOTHING}"),
    "stops-early": ("exit 0", UnreadableError, "stops reading before its end"),
    "half-a-script": (
        r"cat >/dev/null; printf 'COPY public.t (a) FROM stdin;\n1\n'",
        UnreadableError,
        "ends in the middle",
    ),
    "nonsense": (
        r"cat >/dev/null; printf 'COPY t FROM stdin;\n1\n'; head -c 3000000 /dev/zero; exec sleep 600",
        UnreadableError,
        "names no table",
    ),
    "falls-over": ("kill -SEGV $$", UnreadableError, "dies of signal 11"),
    "no-memory": ("kill -KILL $$", UnavailableError, "SIGKILL from outside"),
    "told-to-end": ("kill -TERM $$", UnavailableError, "SIGTERM from outside"),
    "too-old": (
        "cat >/dev/null; echo 'pg_restore: error: unsupported version (1.16) in file header' >&2; exit 1",
        UnreadableError,
        "unsupported version",
    ),
    "loquacious": (
        "cat >/dev/null; echo 'pg_restore: error: bad' >&2; head -c 3000000 /dev/zero >&2; exit 1",
        UnreadableError,
        "bad",
    ),
}


@pytest.mark.parametrize(("script", "error", "message"), FAULTS.values(), ids=FAULTS)
def test_ends_of_pg_restore(tmp_path: Path, script: str, error: type[Exception], message: str) -> None:
    """Every way in which the program can end other than well is told; one that was killed from outside says nothing of the archive."""
    before = children()
    with pytest.raises(error, match=message) as caught:
        count_archive(program(tmp_path, script), pieces(bytes(5_000_000)), "an archive", stop=threading.Event())
    assert type(caught.value) is error
    assert children() == before


def test_reasons(tmp_path: Path) -> None:
    """A program that is too old, and one for which there was no memory, have reasons of their own."""
    for name, reason in (("too-old", Reason.VERSION_UNSUPPORTED), ("no-memory", Reason.OUT_OF_MEMORY)):
        with pytest.raises((UnreadableError, UnavailableError)) as caught:
            count_archive(program(tmp_path, FAULTS[name][0]), [b"x"], "an archive", stop=threading.Event())
        assert caught.value.reason is reason


def test_program_that_cannot_be_started(tmp_path: Path) -> None:
    """A pg_restore that is not there, or is no program, is not the archive's fault."""
    with pytest.raises(UnavailableError, match="cannot be started"):
        count_archive(Client(major=17, version="17.0", folder=tmp_path), [b"x"], "an archive", stop=threading.Event())


HANGING = {
    "does-not-read": "exec sleep 600",
    "does-not-end": "cat >/dev/null; exec sleep 600",
    "closes-its-output": "exec >&- 2>&-; cat >/dev/null; exec sleep 600",
    "has-children": "sleep 600 & exec sleep 600",
}


@pytest.mark.parametrize("script", HANGING.values(), ids=HANGING)
def test_order_to_stop_reaches_a_program_that_hangs(tmp_path: Path, script: str) -> None:
    """Whatever pg_restore waits for, an order to stop ends it, its children included, within a moment."""
    stop, before = threading.Event(), children()
    timer = threading.Timer(0.3, stop.set)
    timer.start()
    with pytest.raises(InterruptedRunError, match="an archive: "):
        count_archive(program(tmp_path, script), pieces(bytes(5_000_000)), "an archive", stop=stop)
    timer.join()
    assert children() == before


def test_pg_restore_gets_nothing_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No credential of ours is in the environment of pg_restore, and it speaks English."""
    monkeypatch.setenv("PGPASSWORD", "hunter2")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter3")
    client = program(tmp_path, f"env > {tmp_path}/environment; cat >/dev/null")
    count_archive(client, [b"x"], "an archive", stop=threading.Event())
    environment = (tmp_path / "environment").read_text()
    assert "hunter" not in environment
    assert "LC_ALL=C\n" in environment


PROGRAM = """
import sys, threading, time
from pathlib import Path
from dbcustody.adapters.postgres import Client
from dbcustody.adapters.postgres.archive import count_archive

def endless():
    yield b"PGDMP"
    print("reading", flush=True)
    threading.Event().wait()

count_archive(Client(major=17, version="17", folder=Path(sys.argv[1])), endless(), "an archive", stop=threading.Event())
"""


def test_pg_restore_dies_with_us(tmp_path: Path) -> None:
    """Killed without a chance to clean up, we leave no pg_restore behind: its input ends."""
    wrapper = f'echo $$ > {tmp_path}/pid; exec "{client_folder(17)}/pg_restore" "$@"'
    program(tmp_path, wrapper)
    with subprocess.Popen([sys.executable, "-c", PROGRAM, tmp_path], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        pid_file = tmp_path / "pid"
        assert wait_until(lambda: pid_file.exists() and pid_file.read_text().strip() != "", 10)
        reader = Path("/proc", pid_file.read_text().strip())
        assert reader.exists()
        process.send_signal(signal.SIGKILL)
    assert wait_until(lambda: not reader.exists(), 10)
