"""The catalogue of a backup: what no dump of pg_dump carries, and the counts to compare a restore with.

It holds names of roles and tables, so it is encrypted like data. `ALTER DATABASE ... SET`, role settings in a database, its ACL and
owner are in no archive of pg_dump (https://www.postgresql.org/docs/current/app-pgdump.html, Notes); role definitions neither.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from dbcustody.repository.canonical import canonical, parse_exactly

PASSWORDS: Final = "passwords of {} roles"
FOREIGN_ROWS: Final = "rows of {} foreign tables, which lie on other servers"
_ELSEWHERE: Final = tuple(text.split("{}") for text in (PASSWORDS, FOREIGN_ROWS))
"""How what is not captured is told that no database holds: roles are the server's, and foreign rows another one's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleSetting:
    """One `ALTER ROLE ... IN DATABASE ... SET`; role None means: of the database itself."""

    role: str | None = None
    settings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseFacts:
    """What belongs to the database as such."""

    name: str
    owner: str
    encoding: str
    collation: str
    ctype: str
    locale_provider: str
    icu_locale: str | None = None
    icu_rules: str | None = None
    collation_version: str | None = None
    connection_limit: int = -1
    acl: tuple[str, ...] = ()
    comment: str | None = None
    settings: tuple[RoleSetting, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleFacts:
    """A role that the database needs; passwords are never captured."""

    name: str
    attributes: tuple[str, ...] = ()
    member_of: tuple[str, ...] = ()
    connection_limit: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFacts:
    """A table whose rows are in the backup; rows None means: not counted."""

    schema: str
    name: str
    rows: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceFacts:
    """Where a sequence stood after the last stream had ended; last_value None means: never used or not readable."""

    schema: str
    name: str
    last_value: int | None = None
    is_called: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtensionFacts:
    """An installed extension."""

    name: str
    version: str
    schema: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """The whole catalogue."""

    format: int = 1
    database: DatabaseFacts
    roles: tuple[RoleFacts, ...] = ()
    tables: tuple[TableFacts, ...] = ()
    sequences: tuple[SequenceFacts, ...] = ()
    extensions: tuple[ExtensionFacts, ...] = ()
    large_objects: int = 0
    not_captured: tuple[str, ...] = field(default=())

    @property
    def lacking(self) -> tuple[str, ...]:
        """What of *not_captured* the database itself had; words that nobody knows here count as such."""
        return tuple(
            one
            for one in self.not_captured
            if not any(one.startswith(front) and one.endswith(back) for front, back in _ELSEWHERE)
        )

    @property
    def row_count(self) -> int | None:
        """The rows of all tables; None when one was not counted."""
        rows = [table.rows for table in self.tables]
        return None if any(count is None for count in rows) else sum(count for count in rows if count is not None)


def write_catalogue(catalogue: Catalogue) -> bytes:
    """Return the plaintext of the catalogue object."""
    return canonical(catalogue)


def read_catalogue(data: bytes, what: str) -> Catalogue:
    """Return the catalogue in the plaintext *data*; raises DamagedError naming *what*, RefusedError (FormatUnknown)."""
    return parse_exactly(Catalogue, data, what)
