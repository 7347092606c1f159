"""The table of contents at the head of an archive of pg_dump: read exactly, and written again with something left out or renamed.

`pg_restore --list` shows it as text for people, in which a name with a blank or a line's end cannot be told from what stands beside it,
and which does not say what needs what. So it is read as pg_dump writes it (`WriteHead` and `WriteToc` in PostgreSQL's
src/bin/pg_dump/pg_backup_archiver.c, format custom). Whatever is not understood to the last byte is refused, never guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, NoReturn

from dbcustody.errors import DamagedError, RefusedError
from dbcustody.reason import Reason
from dbcustody.repository.encoding import codec_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Name = tuple[str, str]
"""Schema and name; a schema has none above it, and neither have extensions and the like: theirs is empty."""
_MAGIC: Final = b"PGDMP"
_OLDEST, _NEWEST = (1, 14), (1, 16)
"""Of the format: pg_dump 12 to 15, 16, 17 and 18."""
_ALGORITHM_SINCE: Final = (1, 15)
_RELATION_KIND_SINCE: Final = (1, 16)
_CUSTOM: Final = 1
_LONGEST_BYTES: Final = 64 << 20
"""A longer definition is taken for a length that was misread; without a bound it would be waited for in memory."""
_TIMES: Final = 7
_VERSIONS: Final = 3
_EVERY_BYTE: Final = "latin-1"
"""For encodings that Python cannot write back as they were: names look odd then, and nothing is lost."""
_ENCODING: Final = re.compile(rb"SET client_encoding = '(?P<name>\w+)'")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing of an archive; *needs* are the ids of those that must be there before it."""

    id: int
    kind: str
    """In pg_dump's words: TABLE, TABLE DATA, FK CONSTRAINT."""
    schema: str
    name: str
    """What it is called in the list: of an index its own name, of a constraint the table's and its own with a blank between."""
    owner: str | None = None
    """Empty or None: it gets none."""
    definition: str | None = field(repr=False, default=None)
    """The SQL that makes it; None: it has none, as rows."""
    copy: str = field(repr=False, default="")
    """Of rows: the COPY that they go in by."""
    needs: frozenset[int] = frozenset()
    also_needs: tuple[int, ...] = ()
    """What it is to need besides when it is written again."""
    around: tuple[bytes, bytes, bytes, bytes] = field(repr=False, default=(b"", b"", b"", b""))
    """The bytes before the definition, between it and the owner, behind that up to the end of what it needs, and behind that."""

    @property
    def key(self) -> Name:
        """Its schema and name."""
        return self.schema, self.name

    @property
    def title(self) -> str:
        """What it is, for people, in one line: `TABLE sales.customer`."""
        name = f"{self.schema}.{self.name}" if self.schema else self.name
        return " ".join(f"{self.kind} {name}".split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """All entries of an archive, in the order in which they are restored."""

    entries: tuple[Entry, ...]
    start: bytes = field(repr=False, default=b"")
    """What stands before them."""
    integer_bytes: int = 4
    codec: str = "utf-8"

    def having(self, entries: Iterable[Entry]) -> Contents:
        """Return the contents of the same archive with *entries* instead."""
        return replace(self, entries=tuple(entries))

    def write(self) -> bytes:
        """Return the head of the archive."""
        parts = [self.start, _integer(len(self.entries), self.integer_bytes)]
        for entry in self.entries:
            before, between, behind, end = entry.around
            more = (self._text(str(one)) for one in entry.also_needs)
            parts += [before, self._text(entry.definition), between, self._text(entry.owner), behind, *more, end]
        return b"".join(parts)

    def _text(self, text: str | None) -> bytes:
        if text is None:
            return _integer(-1, self.integer_bytes)
        data = text.encode(self.codec, errors="surrogateescape")
        return _integer(len(data), self.integer_bytes) + data


def read_contents(pieces: Iterable[bytes | memoryview], what: str) -> Contents:
    """Return the contents of the archive that begins with *pieces*, of which no more than needed are taken.

    Raises DamagedError naming *what* when it is no archive, RefusedError (VersionUnsupported) when it is one of a newer pg_dump.
    """
    return _Reader(iter(pieces), what).read()


def rewritten(
    pieces: Iterable[bytes | memoryview], what: str, change: Callable[[Contents], Contents]
) -> Iterator[bytes | memoryview]:
    """Yield the archive of *pieces* with the contents that *change* makes of its own; raises like `read_contents`."""
    source = iter(pieces)
    reader = _Reader(source, what)
    yield change(reader.read()).write()
    yield reader.rest
    yield from source


def _integer(value: int, size: int) -> bytes:
    return bytes([value < 0]) + abs(value).to_bytes(size, "little")


class _Reader:
    def __init__(self, pieces: Iterator[bytes | memoryview], what: str) -> None:
        self._pieces, self._what = pieces, what
        self._data, self._at = bytearray(), 0
        self._integer_bytes = self._offset_bytes = 0
        self._version = (0, 0)

    @property
    def rest(self) -> bytes:
        """What was taken of the pieces and is behind the contents."""
        return bytes(self._data[self._at :])

    def read(self) -> Contents:
        """Return the contents; only bytes that can be written again exactly as they are count as understood."""
        self._head()
        start = bytes(self._data[: self._at])
        rows = [self._entry() for _ in range(self._integer())]
        named = next((found for one in rows if (found := _codec(one)) is not None), "utf-8")
        read = (self._decoded(rows, start, codec) for codec in (named, _EVERY_BYTE))
        exact = next((one for one in read if one.write() == self._data[: self._at]), None)
        return exact or self._refuse("its table of contents cannot be written again as it is")

    def _decoded(self, rows: list[_RawEntry], start: bytes, codec: str) -> Contents:
        entries = tuple(one.decoded(codec) for one in rows)
        return Contents(entries=entries, start=start, integer_bytes=self._integer_bytes, codec=codec)

    def _head(self) -> None:
        if self._take(len(_MAGIC)) != _MAGIC:
            self._refuse("is no archive of pg_dump")
        major, minor, _ = self._take(3)
        self._version = (major, minor)
        if self._version > _NEWEST:
            text = f"{self._what}: is of a newer pg_dump (format {major}.{minor}) than this version of dbcustody can choose from"
            raise RefusedError(text, reason=Reason.VERSION_UNSUPPORTED)
        self._integer_bytes, self._offset_bytes, kind = self._take(3)
        if self._version < _OLDEST or kind != _CUSTOM or not self._integer_bytes:
            self._refuse("is no archive of pg_dump in its custom format")
        if self._version >= _ALGORITHM_SINCE:
            self._take(1)
        else:
            self._integer()
        for _ in range(_TIMES):
            self._integer()
        for _ in range(_VERSIONS):
            self._text()

    def _entry(self) -> _RawEntry:
        begin = self._at
        number = self._integer()
        self._integer()  # whether it has rows
        self._text(), self._text()  # the OIDs of its catalog and its own
        name, kind = self._text(), self._text()
        self._integer()  # the section
        at_definition = self._at
        definition = self._text()
        after_definition = self._at
        self._text()  # how it is dropped
        copy, schema = self._text(), self._text()
        self._text(), self._text()  # tablespace and access method
        if self._version >= _RELATION_KIND_SINCE:
            self._integer()
        at_owner = self._at
        owner = self._text()
        after_owner = self._at
        self._text()
        needs, after_needs = self._needs()
        self._take(1 + self._offset_bytes)
        return _RawEntry(
            number=number,
            words=(name, kind, schema, owner, definition, copy),
            needs=frozenset(needs),
            around=(
                bytes(self._data[begin:at_definition]),
                bytes(self._data[after_definition:at_owner]),
                bytes(self._data[after_owner:after_needs]),
                bytes(self._data[after_needs : self._at]),
            ),
        )

    def _needs(self) -> tuple[list[int], int]:
        """Return what an entry needs, and where that ends."""
        needs, end = list[int](), self._at
        while (need := self._text()) is not None:
            if not need.isdigit():
                self._refuse("its table of contents has a need that is no number")
            needs.append(int(need))
            end = self._at
        return needs, end

    def _integer(self) -> int:
        sign, *value = self._take(1 + self._integer_bytes)
        number = int.from_bytes(bytes(value), "little")
        return -number if sign else number

    def _text(self) -> bytes | None:
        length = self._integer()
        return self._take(length) if length >= 0 else None

    def _take(self, size: int) -> bytes:
        if size > _LONGEST_BYTES:
            self._refuse("its table of contents has a length that cannot be")
        while len(self._data) < self._at + size:
            piece = next(self._pieces, None)
            if piece is None:
                self._refuse("ends in its table of contents")
            self._data += piece
        found = bytes(self._data[self._at : self._at + size])
        self._at += size
        return found

    def _refuse(self, fault: str) -> NoReturn:
        raise DamagedError(f"{self._what}: {fault}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _RawEntry:
    """An entry before it is known in which encoding it is."""

    number: int
    words: tuple[bytes | None, ...]
    needs: frozenset[int]
    around: tuple[bytes, bytes, bytes, bytes]

    def decoded(self, codec: str) -> Entry:
        words = (None if word is None else word.decode(codec, errors="surrogateescape") for word in self.words)
        name, kind, schema, owner, definition, copy = words
        return Entry(
            id=self.number,
            kind=kind or "",
            schema=schema or "",
            name=name or "",
            owner=owner,
            definition=definition,
            copy=copy or "",
            needs=self.needs,
            around=self.around,
        )


def _codec(entry: _RawEntry) -> str | None:
    """Return what names are encoded in, when *entry* is the one that says so."""
    _, kind, _, _, definition, _ = entry.words
    if kind != b"ENCODING":
        return None
    found = _ENCODING.match(definition or b"")
    return codec_of(found["name"].decode()) if found is not None else None
