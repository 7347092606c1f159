"""Reading by a thread of its own, a piece ahead of whoever uses it, so that a storage that hangs holds up nobody who is told to stop.

A restore that is ended has a database to take away. It cannot wait for an answer that does not come, and be killed over it.
"""

from __future__ import annotations

import threading
from queue import Empty, Full, Queue
from typing import TYPE_CHECKING, Final

from dbcustody.errors import InterruptedRunError

if TYPE_CHECKING:
    from collections.abc import Generator

_TICK_SECONDS: Final = 0.2
_AHEAD: Final = 1


def read_ahead(pieces: Generator[bytes], stop: threading.Event) -> Generator[bytes]:
    """Yield *pieces*, and raise what they raise; they are closed by the thread that reads them.

    Raises InterruptedRunError within a fraction of a second when *stop* is set, whatever the reading waits for; the thread is left behind.
    """
    reader = _Reader(pieces)
    reader.start()
    try:
        while (piece := reader.take(stop)) is not None:
            yield piece
    finally:
        reader.leave()


class _Reader(threading.Thread):
    """Puts one piece after the other where it can be taken, then None, or what was raised instead."""

    def __init__(self, pieces: Generator[bytes]) -> None:
        super().__init__(name="read-ahead", daemon=True)
        self._pieces = pieces
        self._ready: Queue[bytes | BaseException | None] = Queue(_AHEAD)
        self._is_left = threading.Event()

    def take(self, stop: threading.Event) -> bytes | None:
        """Return the next piece, or None after the last."""
        while not stop.is_set():
            try:
                found = self._ready.get(timeout=_TICK_SECONDS)
            except Empty:
                continue
            if isinstance(found, BaseException):
                raise found
            return found
        raise InterruptedRunError("the run was told to stop")

    def leave(self) -> None:
        """Want no more; one that waits for the storage is not waited for."""
        self._is_left.set()
        self.join(_TICK_SECONDS)

    def run(self) -> None:
        """Read until the end, an error, or until nobody wants more."""
        try:
            for piece in self._pieces:
                if not self._put(piece):
                    return
            self._put(None)
        except BaseException as error:  # noqa: BLE001 - it is raised where the piece is wanted
            self._put(error)
        finally:
            self._pieces.close()

    def _put(self, found: bytes | BaseException | None) -> bool:
        while not self._is_left.is_set():
            try:
                self._ready.put(found, timeout=_TICK_SECONDS)
            except Full:
                continue
            return True
        return False
