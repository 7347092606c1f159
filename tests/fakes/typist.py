"""Who types `dbcustody migrate` in a folder of migrations, as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from ground.postgres import PostgresServer

BEGIN: Final = "20261101_120000_begin"
AGE: Final = "20261102_120000_age"
_ASKS: Final = b"[y/N]"
_LONGEST_SECONDS: Final = 60


class Shell:
    """Types commands in a folder, against a database `shop`."""

    def __init__(self, server: PostgresServer, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.files = folder / "migrations"
        self.files.mkdir()
        self.write(BEGIN, "create table people (id int);\n", down="drop table people;\n")
        self.write(AGE, "alter table people add column age int;\n", down="alter table people drop column age;\n")

    def write(self, name: str, text: str, *, down: str | None = None) -> None:
        """Write a migration."""
        (self.files / f"{name}.sql").write_text(text)
        if down is not None:
            (self.files / f"{name}.down.sql").write_text(down)

    def type(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run `dbcustody migrate` with *words*."""
        return subprocess.run(
            _argv(words),
            cwd=self.folder,
            env=self._environ(variables),
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def answer(
        self, *words: str, says: str, meanwhile: Callable[[], object] = lambda: None
    ) -> subprocess.CompletedProcess[str]:
        """Run the same at a terminal, where *says* is typed once it asks, and *meanwhile* happens before that."""
        person, terminal = os.openpty()
        argv, pipe = _argv(words), subprocess.PIPE
        with subprocess.Popen(
            argv, cwd=self.folder, env=self._environ({}), stdin=terminal, stdout=pipe, stderr=pipe
        ) as process:
            assert process.stderr is not None
            told = b""
            while _ASKS not in told and (more := os.read(process.stderr.fileno(), 65_536)):
                told += more
            meanwhile()
            os.write(person, f"{says}\n".encode())
            out, rest = process.communicate(timeout=_LONGEST_SECONDS)
        os.close(person)
        os.close(terminal)
        return subprocess.CompletedProcess(argv, process.returncode, out.decode(), (told + rest).decode())

    def _environ(self, variables: Mapping[str, str]) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": f"{self.server.url('shop')}?sslmode=disable",
            **variables,
            "PYTHONPATH": os.pathsep.join([*sys.path, str(self.folder)]),
        }

    def columns(self) -> list[str]:
        """Return the columns of the table, none where it is not there."""
        words = "select attname::text from pg_attribute where attrelid = to_regclass('public.people') and attnum > 0 and not attisdropped"
        return [row[0] for row in self.server.execute(words, database="shop")]


def _argv(words: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "dbcustody", "migrate", *words]
