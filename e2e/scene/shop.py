"""A small shop database of its own for each tenant, owned by a role without any privilege beyond it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import psycopg
from psycopg import sql

from ground.postgres import PostgresServer

CANARY: Final = "canary-row-7f3a91"
"""Stands in a row; nobody but the archive may ever hold it."""
_SCHEMA: Final = """
CREATE SCHEMA billing;
CREATE TABLE customers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, email text UNIQUE, notes jsonb);
CREATE TABLE orders (id bigserial PRIMARY KEY, customer bigint NOT NULL REFERENCES customers, total numeric(10,2));
CREATE TABLE billing.invoices (id bigserial PRIMARY KEY, "order" bigint NOT NULL REFERENCES orders, text text);
CREATE VIEW spent AS SELECT customer, sum(total) AS total FROM orders GROUP BY customer;
CREATE SEQUENCE lone START 41;
INSERT INTO customers (name, email, notes)
    SELECT 'name ' || i, i || '@CANARY.example', '{"vip": true}' FROM generate_series(1, 500) AS i;
INSERT INTO orders (customer, total) SELECT 1 + i % 500, i FROM generate_series(1, 2000) AS i;
INSERT INTO billing.invoices ("order", text) SELECT 1 + i % 2000, 'CANARY' FROM generate_series(1, 500) AS i;
SELECT lo_from_bytea(0, 'CANARY'::bytea);
""".replace("CANARY", CANARY)
ROWS: Final = 3000
_SPOILING: Final = (
    "CREATE TYPE riddle",
    "CREATE FUNCTION riddle_in(cstring) RETURNS riddle LANGUAGE internal IMMUTABLE STRICT AS 'unknownin'",
    "CREATE FUNCTION riddle_out(riddle) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int4in'",
    "CREATE TYPE riddle (INPUT = riddle_in, OUTPUT = riddle_out, LIKE = unknown)",
)
"""A type that takes any text and reads it as a number when it is put out."""


@dataclass
class Shop:
    """The database *name* on *server*, and the role of the same name that owns it."""

    server: PostgresServer
    name: str
    password: str = field(default_factory=lambda: f"canary-password-{secrets.token_hex(8)}", repr=False)

    def build(self) -> None:
        """Make role, database and content."""
        self.server.execute(
            f"CREATE ROLE {self.name} LOGIN PASSWORD '{self.password}'",
            f"CREATE DATABASE {self.name} OWNER {self.name}",
        )
        with self.connect() as connection:
            connection.execute(_SCHEMA.encode())

    @property
    def secret(self) -> dict[str, str]:
        """The Secret that opens the database."""
        return {
            "host": self.server.host,
            "port": str(self.server.port),
            "dbname": self.name,
            "username": self.name,
            "password": self.password,
        }

    def connect(self) -> psycopg.Connection[Any]:
        """Return an autocommitting connection of the owner."""
        return self.server.connect(self.name, user=self.name, password=self.password)

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run *statements* as the owner; returns the rows of the last one, or an empty list."""
        with self.connect() as connection:
            for statement in statements:
                cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def grow(self, mebibytes: int) -> None:
        """Add a table that hardly compresses and occupies about *mebibytes* in an archive."""
        noise = " || ".join(f"sha256((i * 64 + {part})::text::bytea)" for part in range(64))
        query = f"SELECT i, {noise} FROM generate_series(1, {mebibytes * 512}) AS i"  # noqa: S608 - our own numbers
        self.execute("CREATE TABLE bulk (id bigint, noise bytea)", f"INSERT INTO bulk {query}")

    def spoil(self) -> None:
        """Add a table that no dump gets past: the server fails to put its row out, and quotes it in the complaint."""
        self.server.execute(*_SPOILING, database=self.name)
        self.execute("CREATE TABLE spoilt (row riddle)", f"INSERT INTO spoilt VALUES ('{CANARY}')")  # noqa: S608 - our own word

    @cached_property
    def restorer(self) -> dict[str, str]:
        """The Secret of the least privileged role that can restore the shop; made when it is first asked for."""
        name, password = f"{self.name}_restorer", f"canary-password-{secrets.token_hex(8)}"
        self.server.execute(f"CREATE ROLE {name} LOGIN CREATEDB PASSWORD '{password}' IN ROLE {self.name}")
        return {**self.secret, "username": name, "password": password}

    @property
    def confirmation(self) -> str:
        """What a request must say that takes the place of the Database `shop` as it is now."""
        query = (
            "SELECT 'shop@' || system_identifier || '/' || oid FROM pg_control_system(), pg_database WHERE datname = %s"
        )
        with self.server.connect() as connection:
            row = connection.execute(query, (self.name,)).fetchone()
        return str(row[0]) if row else ""

    def change_password(self) -> None:
        """Give the role another password, on the server and here; the Secret is somebody else's to change."""
        self.password = f"canary-password-{secrets.token_hex(8)}"
        with self.server.connect() as connection:
            connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(self.name), self.password))

    def sessions(self, application: str = "dbcustody") -> int:
        """Return how many sessions of an application are connected to the database."""
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND application_name LIKE %s"
        with self.server.connect() as connection:
            row = connection.execute(query, (self.name, f"{application}%")).fetchone()
        return int(row[0]) if row else 0
