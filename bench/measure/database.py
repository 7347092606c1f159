"""A database to measure on: the shop of the demo, as large as asked for, in a real server of the newest major that is widely used."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from ground.cache import REPOSITORY
from ground.postgres import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Iterator

MAJOR: Final = 17
CUSTOMERS: Final = 110_000
SOURCES: Final = ("sales.orders", '"Audit Log".events', "sales.order_lines", "public.customers")
_SHOP: Final = REPOSITORY / "e2e" / "demo" / "shop.sql"
_TUNED: Final = {"max_wal_size": "8GB", "shared_buffers": "256MB", "synchronous_commit": "off"}


@contextmanager
def server_with(least_bytes: int, **settings: str) -> Iterator[PostgresServer]:
    """Yield a server whose database `shop` has at least *least_bytes*: the shop, and copies of its larger tables until that is reached.

    *settings* are added to those of the server.
    """
    with PostgresServer(MAJOR, settings=_TUNED | settings) as server:
        server.execute("create database shop")
        with server.connect("shop") as connection:
            connection.execute(_SHOP.read_text().replace(":customers", str(CUSTOMERS)).encode())
        number = 0
        while size_bytes(server) < least_bytes:
            source = SOURCES[number % len(SOURCES)]
            copy = f"create table public.copy_{number} as select * from {source}"  # noqa: S608 - our own words
            server.execute(copy, database="shop")
            number += 1
        server.execute("vacuum analyze", "checkpoint", database="shop")
        yield server


def size_bytes(server: PostgresServer) -> int:
    """Return the size of the database."""
    return int(server.execute("select pg_database_size('shop')")[0][0])
