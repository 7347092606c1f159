"""One table of 5 GB: backed up and read back row by row, in memory that has nothing to do with its size."""

from __future__ import annotations

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ground.postgres import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cli.conftest import Person

pytestmark = [pytest.mark.postgres, pytest.mark.s3, pytest.mark.slow, pytest.mark.timeout(1800)]

ROWS = 5_200_000
BIG = (
    "begin",
    "create table big (id int not null, text text not null)",
    f"insert into big select n, repeat(md5(n::text), 30) from generate_series(1, {ROWS}) n",  # noqa: S608 - a number of ours
    "commit",
    "create table small (id int primary key)",
    "insert into small select generate_series(1, 10)",
)
MOST_BYTES = 256 * 1024 * 1024
"""Of our process, of pg_dump and of pg_restore, whichever has most; their code alone has some 100 MiB."""


@pytest.fixture
def url() -> Iterator[str]:
    """Return where the large database is; what fills it is not logged, for the table is made in the same transaction."""
    with PostgresServer(17, settings={"wal_level": "minimal", "max_wal_senders": "0", "max_wal_size": "4GB"}) as server:
        server.execute("create database shop")
        with server.connect("shop") as session:
            for statement in BIG:
                session.execute(statement.encode())
            row = session.execute("select pg_table_size('big')").fetchone()
        assert row is not None
        assert row[0] > 5_000_000_000
        yield f"{server.url('shop')}?sslmode=disable"


@pytest.mark.parametrize("parallelism", ["1", "2"])
def test_five_gigabytes_in_one_table(at_bucket: Person, url: str, parallelism: str) -> None:
    """Not compressed, so that all of it goes through every hand; every row is counted by the dump's snapshot and by the proof."""
    words = {"DATABASE_URL": url, "BACKUP_COMPRESSION": "None", "BACKUP_PARALLELISM": parallelism}
    process = at_bucket.start("backup", "--name", "large", **words)
    ended = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        most = pool.submit(most_bytes, process.pid, ended)
        try:
            done = at_bucket.wait(process, timeout_seconds=900)
        finally:
            ended.set()

    assert done.code == 0, done.err
    assert f"{ROWS + 10:,} rows".replace(",", " ") in done.out
    (backup,) = json.loads(at_bucket.run("backups", "list", "--json", **words).out)["backups"]
    assert (backup["verifiedLevel"], backup["good"]) == ("Read", True)
    assert backup["storedBytes"] > 5_000_000_000
    percents = [int(percent) for percent in re.findall(r"^dumping.*, (\d+) %", done.err, re.MULTILINE)]
    assert len(set(percents)) > 2
    assert percents == sorted(percents)
    assert 10_000_000 < most.result() < MOST_BYTES


def most_bytes(process: int, ended: threading.Event) -> int:
    """Return the most memory that *process* or any of its children had at a time, each by itself, looking until *ended*."""
    most = 0
    while not ended.wait(0.1):
        children = Path(f"/proc/{process}/task").glob("*/children")
        with suppress(OSError):
            for pid in (process, *(int(pid) for one in children for pid in one.read_text().split())):
                status = Path(f"/proc/{pid}/status").read_text()
                (kibibytes,) = re.findall(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE) or ("0",)
                most = max(most, int(kibibytes) * 1024)
    return most
