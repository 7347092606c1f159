"""The same history of one-statement migrations for us, Alembic and golang-migrate, and each of them run as people run it.

Every revision makes a table with a key. Alembic's files are as its own template writes them, with the statement as text, in a folder whose
env.py does what the template `generic` does, one transaction for each revision. Each tool has a database of its own on the same server.

*connected* is from the server's log line `connection received` of the first connection, by `log_connections` and a time in milliseconds,
to the moment at which the process has ended and its parent knows it: both clocks are the machine's. *whole* is from before the process
is started.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ground.golangmigrate import golang_migrate
from ground.postgres import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Sequence

LOGGED: Final = {"log_connections": "on", "log_line_prefix": "%n "}
_RECEIVED: Final = re.compile(r"^(\d+\.\d+) LOG:  connection received", re.MULTILINE)
_INI: Final = "[alembic]\nscript_location = {folder}\n"
_ENV: Final = """import os
from alembic import context
from sqlalchemy import create_engine, pool

engine = create_engine(os.environ["ALEMBIC_URL"], poolclass=pool.NullPool)
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=None, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
"""
_BARE: Final = """import os, psycopg
session = psycopg.connect(os.environ["DATABASE_URL"])
session.execute("select 1")
session.close()
os._exit(0)
"""
_REVISION: Final = '''"""table {number}"""
from alembic import op

revision = "{number:06d}"
down_revision = {parent!r}
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("{statement}")


def downgrade() -> None:
    op.execute("drop table t_{number}")
'''


def statement(number: int) -> str:
    """Return what revision *number* does."""
    return f"create table t_{number} (id bigint primary key, note text)"


@dataclass(frozen=True)
class Taken:
    """What one run took, in seconds."""

    whole: float
    connected: float


@dataclass(frozen=True)
class Chain:
    """The same revisions, in the files of each tool; below *folder*, for databases of *server*."""

    server: PostgresServer
    folder: Path

    def write(self, numbers: Sequence[int]) -> None:
        """Write the revisions *numbers*, from 1 without gaps, for everybody."""
        for name in ("ours", "golang", "alembic/versions"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "alembic" / "env.py").write_text(_ENV)
        (self.folder / "alembic.ini").write_text(_INI.format(folder=self.folder / "alembic"))
        for number in numbers:
            text, stem = (
                statement(number),
                f"20260101_{number // 3600:02d}{number // 60 % 60:02d}{number % 60:02d}_table",
            )
            (self.folder / "ours" / f"{stem}.sql").write_text(f"{text};\n")
            (self.folder / "golang" / f"{number:06d}_table.up.sql").write_text(f"{text};\n")
            parent = f"{number - 1:06d}" if number > 1 else None
            words = _REVISION.format(number=number, parent=parent, statement=text)
            (self.folder / "alembic" / "versions" / f"{number:06d}_table.py").write_text(words)

    def ours(self, verb: str, *options: str) -> Taken:
        """Run `dbcustody migrate` *verb* with *options* on the database `ours`."""
        argv = [sys.executable, "-m", "dbcustody", "migrate", verb, "--dir", str(self.folder / "ours"), *options]
        return self._run(argv, {"DATABASE_URL": f"{self.server.url('ours')}?sslmode=disable"})

    def bare(self) -> Taken:
        """Ask the database `ours` for nothing: open a session as libpq does from Python, and leave. No tool of this kind can take less."""
        return self._run([sys.executable, "-c", _BARE], {"DATABASE_URL": f"{self.server.url('ours')}?sslmode=disable"})

    def alembic(self) -> Taken:
        """Run `alembic upgrade head` on the database `alembic`."""
        argv = [sys.executable, "-m", "alembic", "-c", str(self.folder / "alembic.ini"), "upgrade", "head"]
        url = self.server.url("alembic").replace("postgresql:", "postgresql+psycopg:")
        return self._run(argv, {"ALEMBIC_URL": f"{url}?sslmode=disable"})

    def golang(self, verb: str = "up") -> Taken:
        """Run `migrate up`, or `migrate version`, on the database `golang`."""
        url = self.server.url("golang").replace("postgresql:", "pgx5:")
        argv = [golang_migrate(), "-path", self.folder / "golang", "-database", f"{url}?sslmode=disable", verb]
        return self._run([str(word) for word in argv], {})

    def _run(self, argv: list[str], more: dict[str, str]) -> Taken:
        known = len(self.server.log)
        began = time.time()
        done = subprocess.run(argv, env={**os.environ, **more}, capture_output=True, text=True, check=False)
        ended = time.time()
        if done.returncode != 0:
            raise RuntimeError(f"{argv[:4]}: exit status {done.returncode}: {done.stderr[-1000:]}")
        first = _RECEIVED.search(self.server.log[known:])
        if first is None:
            raise RuntimeError("the server logged no connection")
        return Taken(whole=ended - began, connected=ended - float(first[1]))
