"""A developer who types `dbcustody` in a folder, also at a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.fakes.typist import Shell

if TYPE_CHECKING:
    from pathlib import Path

    from ground.postgres import PostgresServer


@dataclass(frozen=True)
class Said:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


class Developer(Shell):
    """Types commands in a folder, against a database `shop`; *variables* are in every environment."""

    def __init__(self, server: PostgresServer, folder: Path, **variables: str) -> None:
        super().__init__(server, folder)
        self.variables = variables

    def environ(self, **changes: str) -> dict[str, str]:
        """Return the environment of a command, with *changes*."""
        return {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": f"{self.server.url('shop')}?sslmode=disable",
            "PYTHONPATH": os.pathsep.join([*sys.path, str(self.folder)]),
            **self.variables,
            **changes,
        }

    def start(self, *words: str, stdin: int = subprocess.DEVNULL, **changes: str) -> subprocess.Popen[str]:
        """Start `dbcustody *words*`."""
        return subprocess.Popen(
            [sys.executable, "-m", "dbcustody", *words],
            cwd=self.folder,
            env=self.environ(**changes),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, **changes: str) -> Said:
        """Return how `dbcustody *words*` ends where nobody can be asked."""
        process = self.start(*words, **changes)
        out, err = process.communicate(timeout=120)
        assert self.server.password not in out + err
        assert "Traceback" not in out + err
        return Said(process.returncode, out, err)

    def answer(self, *words: str, answers: str, **changes: str) -> Said:
        """Return how `dbcustody *words*` ends at a terminal where *answers* are typed."""
        terminal, theirs = pty.openpty()
        process = self.start(*words, stdin=theirs, **changes)
        os.close(theirs)
        os.write(terminal, answers.encode())
        out, err = process.communicate(timeout=120)
        os.close(terminal)
        return Said(process.returncode, out, err)

    def seed(self, name: str, text: str) -> None:
        """Write a seed."""
        (self.folder / "seeds").mkdir(exist_ok=True)
        (self.folder / "seeds" / name).write_text(text)

    def ask(self, query: str) -> list[Any]:
        """Return the first column of what *query* finds in the database."""
        return [row[0] for row in self.server.execute(query, database="shop")]
