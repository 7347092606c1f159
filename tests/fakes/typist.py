"""Who types `dbcustody migrate` in a folder of migrations, as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from ground.postgres import PostgresServer

BEGIN: Final = "20261101_120000_begin"
AGE: Final = "20261102_120000_age"


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
        environ = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": f"{self.server.url('shop')}?sslmode=disable",
            **variables,
        }
        argv = [sys.executable, "-m", "dbcustody", "migrate", *words]
        return subprocess.run(
            argv,
            cwd=self.folder,
            env=environ | {"PYTHONPATH": os.pathsep.join([*sys.path, str(self.folder)])},
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def columns(self) -> list[str]:
        """Return the columns of the table, none where it is not there."""
        words = "select attname::text from pg_attribute where attrelid = to_regclass('public.people') and attnum > 0 and not attisdropped"
        return [row[0] for row in self.server.execute(words, database="shop")]
