"""Who migrates a database, in this process or in one that can be killed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4

from dbcustody.adapters.postgres import connect
from dbcustody.adapters.postgres.fingerprint import read_prints
from dbcustody.adapters.postgres.ledger import read_attempts
from dbcustody.adapters.postgres.target import PostgresTarget
from dbcustody.jobs.likeness import drift_of
from dbcustody.jobs.migration import MigrationOrder, migrate
from dbcustody.migration.alembic_source import read_alembic
from dbcustody.migration.patience import Limits
from dbcustody.migration.script import Script, SourceFile, read_scripts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dbcustody.migration.drift import Drift, Moment
    from dbcustody.migration.history import History
    from dbcustody.migration.ledger import State
    from ground.postgres import PostgresServer

CUSTODY: Final = "web.shop"
SLOW: Final = """
create function public.slow(age int) returns int immutable language plpgsql as $$ begin
    while exists (select from pg_catalog.pg_locks where locktype = 'advisory' and objid = 8) loop
        perform pg_catalog.pg_sleep(0.02);
    end loop;
    return age; end $$
"""
"""What it is asked for takes as long as somebody has lock number 8, without waiting for a lock."""
OLD_ATTEMPT: Final = """
with made as (
    insert into dbcustody.attempt (run, revision, name, direction, sha256, body, tool, actor)
    values (gen_random_uuid(), %s, %s, 'Up', %s, %s, 'test', 'somebody') returning id)
insert into dbcustody.outcome (attempt, state, done, actor) select id, 'Applied', 1, 'somebody' from made
"""
"""What the first version of the ledger has of a migration that is in: revision, name, checksum, text."""
_PROCESS: Final = """
import os, signal, sys
from pathlib import Path
from uuid import UUID
import psycopg
from dbcustody.jobs.migration import migrate
from tests.fakes.migrator import Migrator
from ground.postgres import PostgresServer

_execute, _count = psycopg.Cursor.execute, 0
at, when = int(sys.argv[4]), sys.argv[5]
def execute(self, *arguments, **options):
    global _count
    if not self.connection.info.parameter_status("application_name").startswith("dbcustody migrate"):
        return _execute(self, *arguments, **options)
    _count += 1
    if (_count, when) == (at, "before"):
        os.kill(os.getpid(), signal.SIGKILL)
    result = _execute(self, *arguments, **options)
    if (_count, when) == (at, "after"):
        os.kill(os.getpid(), signal.SIGKILL)
    print("statement", _count, file=sys.stderr, flush=True)
    return result
psycopg.Cursor.execute = execute
migrator = Migrator.reached(sys.argv[1], folder=Path(sys.argv[2]))
migrate(migrator.order(run=UUID(sys.argv[3]), owner=sys.argv[6] or None))
"""


@dataclass(kw_only=True)
class Migrator:
    """Migrates the database `shop` of a server; *said* is what was told to people."""

    target: PostgresTarget
    files: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)
    is_alembic: bool = False
    """Whether the files are a folder of Alembic's."""

    @classmethod
    def of(cls, server: PostgresServer, files: Mapping[str, str]) -> Migrator:
        """Return one who is a superuser of *server*."""
        target = PostgresTarget(
            host=server.host,
            port=str(server.port),
            database="shop",
            user="postgres",
            password=server.password,
            sslmode="disable",
        )
        return cls(target=target, files=dict(files))

    @classmethod
    def reached(cls, words: str, *, folder: Path) -> Migrator:
        """Return the one whom `start` described, in another process."""
        host, port, password, database = words.split(" ")
        target = PostgresTarget(
            host=host, port=port, database=database, user="postgres", password=password, sslmode="disable"
        )
        return cls(target=target, files={path.name: path.read_text() for path in sorted(folder.iterdir())})

    def scripts(self) -> tuple[Script, ...]:
        """Return the migrations; they have no faults."""
        read = read_alembic if self.is_alembic else read_scripts
        source = read(SourceFile(name=name, content=text.encode()) for name, text in self.files.items())
        assert source.faults == ()
        return source.scripts

    def order(self, **changes: Any) -> MigrationOrder:
        """Return what is to be done."""
        wanted: dict[str, Any] = {
            "target": self.target,
            "custody_id": CUSTODY,
            "maintenance_database": "postgres",
            "scripts": self.scripts(),
            "is_alembic": self.is_alembic,
            "run": uuid4(),
            "actor": "somebody",
            "tool": "test",
            "limits": Limits(lock_timeout_milliseconds=200, lock_attempts=5),
            "stop": self.stop,
            "say": self.said.append,
            "chance": lambda: 0.0,
        }
        return MigrationOrder(**(wanted | changes))

    def migrate(self, **changes: Any) -> History:
        """Carry out what is pending."""
        return migrate(self.order(**changes))

    def start(
        self, folder: Path, *, run: UUID, at: int = 0, when: str = "before", owner: str = ""
    ) -> subprocess.Popen[str]:
        """Start a process that migrates for *owner* (empty: for nobody), and kills itself around a statement of its runner (0: of none)."""
        folder.mkdir(exist_ok=True)
        for name, text in self.files.items():
            (folder / name).write_text(text)
        words = f"{self.target.host} {self.target.port} {self.target.password} {self.target.database}"
        argv = [sys.executable, "-c", _PROCESS, words, str(folder), str(run), str(at), when, owner]
        variables = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, env=variables)


def states(migrator: Migrator) -> list[tuple[str, State]]:
    """Return what the ledger says, attempt by attempt."""
    with connect(migrator.target) as session:
        return [(one.name, one.state) for one in read_attempts(session)]


def drift(migrator: Migrator, *exclude: str) -> Drift:
    """Return how the database stands to its ledger."""
    with connect(migrator.target) as session:
        return drift_of(session, exclude)


def moments(migrator: Migrator) -> list[tuple[Moment, int | None]]:
    """Return when fingerprints were taken, and after which attempt."""
    with connect(migrator.target) as session:
        return [(one.moment, one.attempt) for one in read_prints(session)]
