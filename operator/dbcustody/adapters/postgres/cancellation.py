"""An end to statements that take long: what a session runs in one thread is cancelled when an event is set in another.

Closing such a session instead would pull the socket away under whoever waits at it.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

import psycopg

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbcustody.adapters.postgres.session import Session

_LOOK_SECONDS: Final = 0.2
_ANSWER_SECONDS: Final = 5


@contextmanager
def cancelled_by(stop: threading.Event, session: Session) -> Iterator[None]:
    """Run a block of statements in *session*; once *stop* is set, each of them is cancelled (SQLSTATE 57014) until the block ends.

    One request would not do: it may come between two statements, and hit none.
    """
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_LOOK_SECONDS):
            if stop.is_set():
                cancel(session)

    watcher = threading.Thread(target=watch, name="cancel", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def cancel(session: Session) -> None:
    """Ask the server to end what *session* runs; a server that cannot be asked any more ends the statement by being gone."""
    with suppress(psycopg.Error, OSError):
        session.cancel_safe(timeout=_ANSWER_SECONDS)
