"""A server whose shop does not compress and is larger than a part of an upload, so that a backup of it comes in several."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ground.postgres import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def server_of_parts(rows: int) -> Iterator[PostgresServer]:
    """Yield the server; each of the *rows* takes 19 200 bytes."""
    with PostgresServer(17) as server:
        server.execute("create database shop")
        server.execute(
            "create table a (n int primary key, v text)",
            f"insert into a select n, repeat(md5(n::text), 600) from generate_series(1, {rows}) n",  # noqa: S608 - a number
            database="shop",
        )
        yield server
