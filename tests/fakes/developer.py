"""A developer who types `dbcustody` in a folder, also at a terminal."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.fakes.typist import AGE, BEGIN, Shell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ground.postgres import PostgresServer


MODELS: Final = """
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

class Base(DeclarativeBase):
    pass

class Person(Base):
    __tablename__ = "people"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    age: Mapped[int | None]
{more}
"""
"""Models of the table that the migrations of `simplify` make; *more* are further columns and classes."""


@dataclass(frozen=True)
class Said:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


@contextmanager
def room() -> Iterator[Path]:
    """Yield a folder for temporary files that servers of other users may enter, with a short name, since sockets lie in it."""
    folder = Path(tempfile.mkdtemp(prefix="room-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


class Developer(Shell):
    """Types commands in a folder, against a database `shop`; *variables* are in every environment."""

    def __init__(self, server: PostgresServer, folder: Path, **variables: str) -> None:
        super().__init__(server, folder)
        self.variables = variables

    def simplify(self) -> None:
        """Write the migrations anew, so that they make what the models say."""
        self.write(BEGIN, "create table people (id int primary key);\n")
        self.write(AGE, "alter table people add column age int;\n")

    def model(self, more: str) -> None:
        """Write models with *more* in them."""
        (self.folder / "app").mkdir(exist_ok=True)
        (self.folder / "app" / "models.py").write_text(MODELS.format(more=more))

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
