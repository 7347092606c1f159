"""Sessions of ours that break at an exact statement: ended by the server before it, or with the answer lost once it was carried out."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg.sql import Composable

from ground.postgres import PostgresServer
from ground.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

BEFORE: Final = "before"
"""The server ends the session; the statement finds it gone."""
AFTER: Final = "after"
"""The server did it, and nobody hears of that."""
_EXECUTE: Final = psycopg.Connection.execute
_TRANSACTION: Final = psycopg.Connection.transaction


@dataclass
class Severing:
    """Counts the statements of our sessions, ends of transactions among them, and breaks the one that is number *at* (0: none)."""

    server: PostgresServer
    when: str = BEFORE
    at: int = 0
    is_counting: bool = True
    said: list[str] = field(default_factory=list)
    """How each statement so far began."""

    @property
    def counted(self) -> int:
        """How many statements there were since the beginning."""
        return len(self.said)

    def begin(self, at: int) -> None:
        """Count anew, and break the statement that is number *at*."""
        self.at = at
        self.said.clear()

    def numbers(self, word: str) -> list[int]:
        """Return the numbers of the statements that begin with *word*."""
        return [number for number, one in enumerate(self.said, start=1) if one.startswith(word)]

    def execute(self, session: psycopg.Connection[Any], *arguments: Any, **options: Any) -> Any:
        """Do what `Connection.execute` does, unless it is its turn to break."""
        if not self._is_due(session, arguments[0]):
            return _EXECUTE(session, *arguments, **options)
        if self.when == BEFORE:
            self._end(session)
            return _EXECUTE(session, *arguments, **options)
        _EXECUTE(session, *arguments, **options)
        raise _lost(session)

    @contextmanager
    def transaction(self, session: psycopg.Connection[Any], **options: Any) -> Iterator[Any]:
        """Do what `Connection.transaction` does, unless it is its end's turn to break."""
        with _TRANSACTION(session, **options) as begun:
            yield begun
            is_due = self._is_due(session, "commit")
            if is_due and self.when == BEFORE:
                self._end(session)
        if is_due and self.when == AFTER:
            raise _lost(session)

    def _is_due(self, session: psycopg.Connection[Any], statement: Any) -> bool:
        if not self.is_counting or "dbcustody" not in session.info.get_parameters().get("application_name", ""):
            return False
        self.said.append(_text(session, statement))
        return self.counted == self.at

    def _end(self, session: psycopg.Connection[Any]) -> None:
        pid = session.info.backend_pid
        self.server.execute(f"select pg_terminate_backend({pid})")
        there = f"select 1 from pg_stat_activity where pid = {pid}"  # noqa: S608 - a number of the server's
        assert wait_until(lambda: not self.server.execute(there), 20)


def _text(session: psycopg.Connection[Any], statement: Any) -> str:
    text = statement.as_string(session) if isinstance(statement, Composable) else statement
    return text.decode() if isinstance(text, bytes) else str(text)


def _lost(session: psycopg.Connection[Any]) -> psycopg.OperationalError:
    session.close()
    return psycopg.OperationalError("server closed the connection unexpectedly")


@contextmanager
def severed(patched: pytest.MonkeyPatch, severing: Severing) -> Iterator[Severing]:
    """Let *severing* stand between us and our sessions while the block runs."""

    def execute(session: psycopg.Connection[Any], *arguments: Any, **options: Any) -> Any:
        return severing.execute(session, *arguments, **options)

    def transaction(session: psycopg.Connection[Any], **options: Any) -> Any:
        return severing.transaction(session, **options)

    with patched.context() as scope:
        scope.setattr(psycopg.Connection, "execute", execute)
        scope.setattr(psycopg.Connection, "transaction", transaction)
        yield severing
