"""What the script of `pg_restore -f -` holds: the rows of every COPY block and the large objects, counted while it streams by.

Rows are counted as line ends in large pieces, never line by line. Everything outside of a block is read with the eyes of SQL (strings,
quoted names, comments), because the comment on a large object, or a column's name, may hold a line `COPY x FROM stdin;`. Inside a block
nothing can look like its end: COPY doubles each backslash of a value and writes no line end as it is
(https://www.postgresql.org/docs/current/sql-copy.html, Text Format).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from dbcustody.errors import DamagedError
from dbcustody.repository.encoding import codec_of

if TYPE_CHECKING:
    from collections.abc import Callable

TableName = tuple[str, str]
"""Schema and name, as the database has them."""
_BLOCK_END: Final = b"\n\\.\n"
_HEAD_BYTES: Final = 2048
"""How much of a statement or a comment is looked at: two quoted names of 63 characters fit, whatever is in them."""
_TOKEN: Final = re.compile(rb"""['";\\]|--""")
_ESCAPED: Final = re.compile(rb"\\[\s\S]|'")
_NAME: Final = rb'(?:[^\s".();]+|"(?:[^"]|"")+")'
_COPY: Final = re.compile(rb"COPY (?P<schema>%b)\.(?P<name>%b) " % (_NAME, _NAME))
_HEADER: Final = re.compile(rb"-- Data for Name: (?P<name>.+); Type: TABLE DATA; Schema: (?P<schema>.+); Owner: ")
_BY_ROOT: Final = b"-- load via partition root "
_LARGE_OBJECT: Final = b"SELECT pg_catalog.lo_open("
_ENCODING: Final = re.compile(rb"SET client_encoding = '(?P<name>\w+)'")
_BACKSLASH_ESCAPES: Final = b"SET standard_conforming_strings = off"


@dataclass(slots=True)
class ScriptCount:
    """What was counted: for each table the rows of each of its COPY blocks (one, unless something is wrong), and the large objects."""

    tables: dict[TableName, list[int]] = field(default_factory=dict)
    large_objects: int = 0

    def add(self, other: ScriptCount) -> None:
        """Add what another script holds."""
        for table, blocks in other.tables.items():
            self.tables.setdefault(table, []).extend(blocks)
        self.large_objects += other.large_objects

    @property
    def rows(self) -> int:
        """The rows of all tables."""
        return sum(sum(blocks) for blocks in self.tables.values())


class ScriptCounter:
    """Takes a script in pieces of any size; memory is one piece. *what* names it in errors."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._count = ScriptCount()
        self._reader: Callable[[bytes, int], int] = self._read_sql
        self._rest = b""
        self._statement, self._comment = bytearray(), bytearray()
        self._header: TableName | None = None
        self._is_by_root = False
        self._backslash_escapes = False
        self._codec = "utf-8"
        self._table: TableName = ("", "")
        self._rows = 0

    def feed(self, piece: bytes | memoryview) -> None:
        """Count what *piece* completes; raises DamagedError for a script that pg_restore does not write."""
        data = self._rest + piece
        position = 0
        while position < len(data):
            reader = self._reader
            position = reader(data, position)
            if self._reader == reader:
                break  # it has taken what it could, and waits for more
        self._rest = data[position:]

    def finish(self) -> ScriptCount:
        """Return the count; raises DamagedError when the script ends inside of a block or a statement."""
        if self._reader != self._read_sql or self._rest or self._statement.strip():
            raise DamagedError(f"{self._what}: its script ends in the middle")
        return self._count

    def _read_sql(self, data: bytes, position: int) -> int:
        while match := _TOKEN.search(data, position):
            start, position, token = position, match.end(), match[0]
            if token == b"--" or (token == b"\\" and not (self._statement + data[start : position - 1]).strip()):
                self._keep(data[start : match.start()])
                self._comment = bytearray(token)
                self._reader = self._read_comment
                return position
            self._keep(data[start:position])
            if token == b";":
                self._end_statement()
            elif token != b"\\":
                self._reader = self._read_string if token == b"'" else self._read_name
            if self._reader != self._read_sql:
                return position
        end = max(position, len(data) - data.endswith(b"-"))
        self._keep(data[position:end])
        return end

    def _read_string(self, data: bytes, position: int) -> int:
        if not self._backslash_escapes:
            return self._read_until(b"'", data, position)
        start = position
        while match := _ESCAPED.search(data, position):
            position = match.end()
            if match[0] == b"'":
                self._reader = self._read_sql
                break
        else:
            position = max(position, len(data) - data.endswith(b"\\"))
        self._keep(data[start:position])
        return position

    def _read_name(self, data: bytes, position: int) -> int:
        return self._read_until(b'"', data, position)

    def _read_until(self, quote: bytes, data: bytes, position: int) -> int:
        """Pass over what is quoted; a doubled quote ends it and begins it again, which comes to the same."""
        end = data.find(quote, position) + 1
        if end:
            self._reader = self._read_sql
        end = end or len(data)
        self._keep(data[position : min(end, position + _HEAD_BYTES)])
        return end

    def _read_comment(self, data: bytes, position: int) -> int:
        """Pass over a comment, or a command of psql such as `restrict`: both end with their line."""
        end = data.find(b"\n", position) + 1
        self._comment += data[position : end or len(data)][: _HEAD_BYTES - len(self._comment)]
        if end:
            self._reader = self._read_sql
            if header := _HEADER.match(self._comment):
                self._header = (self._decode(header["schema"]), self._decode(header["name"]))
            self._is_by_root |= self._comment.startswith(_BY_ROOT)
        return end or len(data)

    def _read_rows(self, data: bytes, position: int) -> int:
        """Count line ends up to the end of the block; the first belongs to the statement itself."""
        backslash = data.find(b"\\", position)  # fast, and data often has none; to search for the whole end is slow
        end = -1 if backslash < 0 else data.find(_BLOCK_END, max(position, backslash - 1))
        if end < 0:
            stop = max(position, len(data) - len(_BLOCK_END) + 1)
            self._rows += data.count(b"\n", position, stop)
            return stop
        self._rows += data.count(b"\n", position, end + 1) - 1
        self._count.tables.setdefault(self._table, []).append(self._rows)
        self._reader = self._read_sql
        return end + len(_BLOCK_END)

    def _keep(self, text: bytes) -> None:
        self._statement += text[: _HEAD_BYTES - len(self._statement)]

    def _end_statement(self) -> None:
        statement = bytes(self._statement).strip()
        if statement.startswith(b"COPY "):
            self._begin_rows(statement)
        elif statement.startswith(_LARGE_OBJECT):
            self._count.large_objects += 1
        elif statement.startswith(_BACKSLASH_ESCAPES):
            self._backslash_escapes = True
        elif encoding := _ENCODING.match(statement):
            self._codec = codec_of(encoding["name"].decode())
        self._statement.clear()
        self._header, self._is_by_root = None, False

    def _begin_rows(self, statement: bytes) -> None:
        """Go on with rows; a partition whose rows go in by the root of its table is named by the comment above the statement only."""
        named = _COPY.match(statement)
        if named is None:
            raise DamagedError(f"{self._what}: its script has a COPY that names no table")
        written = (self._decode(named["schema"], quoted=True), self._decode(named["name"], quoted=True))
        self._table = self._header if self._is_by_root and self._header else written
        self._rows = 0
        self._reader = self._read_rows

    def _decode(self, name: bytes, *, quoted: bool = False) -> str:
        if quoted and name.startswith(b'"'):
            name = name[1:-1].replace(b'""', b'"')
        return name.decode(self._codec, errors="surrogateescape")
