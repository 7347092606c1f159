"""Heads of archives as pg_dump writes them, made by hand: for what no server of ours writes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from dbcustody.repository.contents import Contents, Entry

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass
class Shelf:
    """Entries that are added one after the other; each has the id that `add` returns."""

    entries: list[Entry] = field(default_factory=list)

    def add(
        self,
        kind: str,
        name: str,
        *needs: int,
        schema: str = "public",
        owner: str | None = "shop",
        sql: str | None = None,
    ) -> int:
        """Add an entry and return its id; *name* of a table, *needs* are ids."""
        number = len(self.entries) + 1
        self.entries.append(
            Entry(id=number, kind=kind, schema=schema, name=name, owner=owner, definition=sql, needs=frozenset(needs))
        )
        return number

    def table(self, name: str, *needs: int, schema: str = "public", owner: str = "shop") -> int:
        """Add a table with rows and return its id."""
        number = self.add("TABLE", name, *needs, schema=schema, owner=owner)
        self.add("TABLE DATA", name, number, schema=schema, owner=owner)
        return number

    @property
    def contents(self) -> Contents:
        """The contents of an archive with these entries."""
        return Contents(entries=tuple(self.entries))

    def titles(self, kept: Iterable[int]) -> list[str]:
        """Return what *kept* are, in their order."""
        return [entry.title for entry in self.entries if entry.id in set(kept)]


def integer(value: int, size: int = 4) -> bytes:
    """Return *value* as the archive has it."""
    return bytes([value < 0]) + abs(value).to_bytes(size, "little")


def text(value: bytes | None) -> bytes:
    """Return *value* as the archive has it; None is told from what is empty."""
    return integer(-1) if value is None else integer(len(value)) + value


def head(
    *entries: Entry,
    version: tuple[int, int] = (1, 16),
    encoding: str = "UTF8",
    codec: str = "utf-8",
    count: int | None = None,
) -> bytes:
    """Return the head of an archive of *version* with *entries*, whose names are in *encoding*."""
    said = Entry(
        id=9999, kind="ENCODING", schema="", name="ENCODING", definition=f"SET client_encoding = '{encoding}';\n"
    )
    compression = b"\1" if version >= (1, 15) else integer(-1)
    times = b"".join(integer(one) for one in (1, 2, 3, 4, 5, 126, 0))
    names = b"".join(text(one) for one in (b"shop", b"17.0", b"17.1"))
    start = b"PGDMP" + bytes([*version, 0, 4, 8, 1]) + compression + times + names
    written = [_entry(one, version, codec) for one in (said, *entries)]
    return start + integer(len(written) if count is None else count) + b"".join(written)


def _entry(entry: Entry, version: tuple[int, int], codec: str) -> bytes:
    def said(word: str | None) -> bytes:
        return text(None if word is None else word.encode(codec, errors="surrogateescape"))

    return b"".join(
        [
            integer(entry.id), integer(0), text(b"0"), text(b"0"), said(entry.name), said(entry.kind), integer(2),
            said(entry.definition), text(b""), said(entry.copy or None), said(entry.schema or None), text(None), text(None),
            integer(114) if version >= (1, 16) else b"", said(entry.owner), text(b"false"),
            *(text(str(need).encode()) for need in sorted(entry.needs)), text(None), b"\1", bytes(8),
        ]
    )  # fmt: skip


def bare(entry: Entry) -> Entry:
    """Return *entry* without the bytes around it."""
    return replace(entry, around=(b"", b"", b"", b""))
