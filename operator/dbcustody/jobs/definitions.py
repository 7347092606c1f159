"""What an archive says before its rows: its table of contents, held in memory as a file that several workers of pg_restore can read.

Definitions are needed twice, before rows and after them, and after them by several workers at once, which need a file to jump in. Nothing
may be staged on a disk: it would be the database's names in clear text. Their size is that of the definitions, whatever the rows weigh.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

from dbcustody.adapters.postgres.consumer import Consumer, start
from dbcustody.errors import DamagedError
from dbcustody.repository.contents import rewritten

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Iterator

    from dbcustody.adapters.postgres import Client
    from dbcustody.plan.part import Part

_PIECE_BYTES: Final = 1 << 20


class Definitions:
    """The beginning of an archive in a file without a name; *file* is its descriptor."""

    def __init__(self, file: int) -> None:
        self.file = file
        self.size_bytes = 0

    def add(self, piece: bytes | memoryview) -> None:
        """Append *piece*."""
        remaining = memoryview(piece)
        while remaining:
            written = os.pwrite(self.file, remaining, self.size_bytes)
            self.size_bytes += written
            remaining = remaining[written:]

    def pieces(self) -> Iterator[bytes]:
        """Yield what was appended."""
        position = 0
        while piece := os.pread(self.file, _PIECE_BYTES, position):
            position += len(piece)
            yield piece

    def compared(self, pieces: Iterable[bytes | memoryview], what: str) -> Iterator[bytes | memoryview]:
        """Yield *pieces* as they come; raises DamagedError when they do not begin with what was read before as *what*."""
        position = 0
        for piece in pieces:
            known = os.pread(self.file, len(piece), position) if position < self.size_bytes else b""
            if piece[: len(known)] != known:
                raise DamagedError(f"{what}: was other bytes when it was read a moment ago")
            position += len(piece)
            yield piece
        if position < self.size_bytes:
            raise DamagedError(f"{what}: was longer when it was read a moment ago")


@contextmanager
def altered(head: Definitions, what: str, part: Part) -> Iterator[Definitions]:
    """Lend *head* as *part* wants it: itself where nothing is to be left out or renamed; raises like `repository.contents.rewritten`."""
    if not part.alters:
        yield head
        return
    with definitions() as coming:
        take_all(coming, rewritten(head.pieces(), what, partial(part.rewrite, by_name=False)))
        yield coming


@contextmanager
def definitions() -> Iterator[Definitions]:
    """Lend a file in memory that is gone afterwards."""
    file = os.memfd_create("definitions")
    try:
        yield Definitions(file)
    finally:
        os.close(file)


def take_all(found: Definitions, pieces: Iterable[bytes | memoryview]) -> None:
    """Keep all *pieces*."""
    for piece in pieces:
        found.add(piece)


def take_head(found: Definitions, pieces: Iterable[bytes], client: Client, *, what: str, stop: threading.Event) -> None:
    """Keep of *pieces* as much as pg_restore reads for a table of contents, and a little more."""
    process = start(client, ["--list"], stdout=subprocess.DEVNULL)
    with Consumer(process, what=what, stop=stop, listeners={}) as consumer:
        for piece in pieces:
            found.add(piece)
            consumer.feed(piece)
            if not consumer.is_listening:
                break
        consumer.finish()
