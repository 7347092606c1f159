"""Who has migrated a database with another tool before us: tables as those tools make them, and rows as they write them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import uuid4

from psycopg import sql

from ground.postgres import PostgresServer

PRISMA: Final = """
create table {schema}._prisma_migrations (
    id varchar(36) primary key not null,
    checksum varchar(64) not null,
    finished_at timestamptz,
    migration_name varchar(255) not null,
    logs text,
    rolled_back_at timestamptz,
    started_at timestamptz not null default now(),
    applied_steps_count integer not null default 0
)
"""
FLYWAY: Final = """
create table {schema}.flyway_schema_history (
    installed_rank int not null,
    version varchar(50),
    description varchar(200) not null,
    type varchar(20) not null,
    script varchar(1000) not null,
    checksum int,
    installed_by varchar(100) not null,
    installed_on timestamp not null default now(),
    execution_time int not null,
    success boolean not null,
    constraint flyway_schema_history_pk primary key (installed_rank)
)
"""
GOLANG_MIGRATE: Final = (
    "create table {schema}.schema_migrations (version bigint not null primary key, dirty boolean not null)"
)
ATLAS: Final = """
create table {schema}.atlas_schema_revisions (
    version varchar not null,
    description varchar not null,
    type bigint not null default 2,
    applied bigint not null default 0,
    total bigint not null default 0,
    executed_at timestamptz not null,
    execution_time bigint not null,
    error text null,
    error_stmt text null,
    hash varchar not null,
    partial_hashes jsonb null,
    operator_version varchar not null,
    primary key (version)
)
"""
FIRST: Final = datetime(2023, 1, 1, 12, tzinfo=UTC)


def sha256(text: str) -> str:
    """Return the checksum that Prisma keeps of *text*."""
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(kw_only=True)
class Forerunner:
    """Writes rows into the tables of the database *database*."""

    server: PostgresServer
    database: str = "shop"
    schema: str = "public"
    count: int = field(default=0)

    def make(self, table: str) -> None:
        """Make a table as its tool does."""
        self.run(table.format(schema=self.schema))

    def run(self, text: str) -> None:
        """Run *text* as whoever migrates."""
        self.server.execute(text, database=self.database)

    def prisma(self, name: str, text: str, *, checksum: str | None = None, end: str = "finished") -> None:
        """Run *text* and write down that it was *finished*, or *failed* (nothing of it ran), or was *rolled back* after that."""
        began = self.next_time()
        ended = began + timedelta(seconds=1)
        if end == "finished":
            self.run(text)
        self.insert(
            "_prisma_migrations",
            id=str(uuid4()),
            checksum=checksum or sha256(text),
            migration_name=name,
            started_at=began,
            finished_at=ended if end == "finished" else None,
            rolled_back_at=ended if end == "rolled back" else None,
            logs=None if end == "finished" else "ERROR: it broke",
            applied_steps_count=int(end == "finished"),
        )

    def prisma_edits(self, name: str, **values: object) -> None:
        """Let Prisma change the rows of *name*, as its `resolve` does."""
        columns = sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(column)) for column in values)
        query = sql.SQL("update {} set {} where migration_name = %s").format(
            sql.Identifier(self.schema, "_prisma_migrations"), columns
        )
        with self.server.connect(self.database) as session:
            session.execute(query, [*values.values(), name])

    def flyway(
        self, version: str | None, script: str, checksum: int | None, *, kind: str = "SQL", success: bool = True
    ) -> None:
        """Write down a row of Flyway; its times have no zone."""
        moment = self.next_time().replace(tzinfo=None)
        self.insert(
            "flyway_schema_history",
            installed_rank=self.count,
            version=version,
            description="words",
            type=kind,
            script=script,
            checksum=checksum,
            installed_by="postgres",
            installed_on=moment,
            execution_time=5,
            success=success,
        )

    def golang_migrate(self, version: int, *, is_dirty: bool = False) -> None:
        """Write down the one row of golang-migrate."""
        self.run(f"truncate {self.schema}.schema_migrations")
        self.insert("schema_migrations", version=version, dirty=is_dirty)

    def atlas(self, version: str, checksum: str, *, kind: int = 2, applied: int = 1, error: str | None = None) -> None:
        """Write down a row of Atlas."""
        self.insert(
            "atlas_schema_revisions",
            version=version,
            description="words",
            type=kind,
            applied=applied,
            total=1,
            executed_at=self.next_time(),
            execution_time=5,
            error=error,
            hash=checksum,
            operator_version="Atlas CLI v0.25.0",
        )

    def next_time(self) -> datetime:
        """Return a minute after the last one."""
        self.count += 1
        return FIRST + timedelta(minutes=self.count)

    def insert(self, table: str, **values: object) -> None:
        """Insert one row."""
        query = sql.SQL("insert into {} ({}) values ({})").format(
            sql.Identifier(self.schema, table),
            sql.SQL(", ").join(map(sql.Identifier, values)),
            sql.SQL(", ").join(sql.Placeholder() * len(values)),
        )
        with self.server.connect(self.database) as session:
            session.execute(query, list(values.values()))
