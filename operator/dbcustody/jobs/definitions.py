"""What an archive says before its rows: its table of contents, held in memory as a file that several workers of pg_restore can read.

Definitions are needed twice, before rows and after them, and after them by several workers at once, which need a file to jump in. Nothing
may be staged on a disk: it would be the database's names in clear text. Their size is that of the definitions, whatever the rows weigh.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dbcustody.adapters.postgres.consumer import Consumer, start
from dbcustody.errors import DamagedError, RefusedError
from dbcustody.plan.object_state import Thing, stated
from dbcustody.plan.turn import in_turns
from dbcustody.repository.contents import rewritten

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Iterator

    from dbcustody.adapters.postgres import Client
    from dbcustody.plan.part import Part
    from dbcustody.repository.contents import Contents

States = Mapping[Thing, str] | None
"""How what an archive makes should stand; None: this version cannot read its table of contents, and only pg_restore knows what is in it."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Coming:
    """Definitions as they are to be loaded."""

    head: Definitions
    states: States = None

    def workers(self, wanted: int) -> int:
        """Return how many may load at a time of the workers *wanted*: one, where nobody could give them turns."""
        return 1 if self.states is None else wanted


@contextmanager
def altered(head: Definitions, what: str, part: Part) -> Iterator[Coming]:
    """Lend *head* as *part* wants it, in turns: as it is where it is of a newer pg_dump, and nothing is to be left out or renamed.

    Raises like `repository.contents.rewritten`.
    """
    states: dict[Thing, str] = {}

    def change(contents: Contents) -> Contents:
        chosen = part.rewrite(contents, by_name=False)
        states.update(stated(chosen))
        return in_turns(chosen)

    with definitions() as changed:
        try:
            take_all(changed, rewritten(head.pieces(), what, change))
        except RefusedError:
            if part.alters:
                raise
            yield Coming(head=head)
            return
        yield Coming(head=changed, states=states)


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
