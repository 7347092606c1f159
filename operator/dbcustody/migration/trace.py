"""What shows that a statement outside of any transaction is in: for what a killed runner did, only the catalogue knows.

Such a statement commits in several steps. An index whose building was broken off is there, and invalid; a partition that is being
detached is neither in nor out (manual, CREATE INDEX, "Building Indexes Concurrently"; ALTER TABLE, DETACH PARTITION). A REINDEX that was
broken off leaves invalid twins beside the indexes, which nothing uses and every write has to keep up (manual, REINDEX).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from dbcustody.migration.nature import behind_options, reindexes_concurrently
from dbcustody.migration.relation import Relation, read_relation
from dbcustody.migration.statement import begins

if TYPE_CHECKING:
    from dbcustody.migration.statement import Terms


class Sought(StrEnum):
    """What to look for."""

    INDEX = "Index"
    """It is there and valid."""
    NO_INDEX = "NoIndex"
    DETACHED = "Detached"
    """The partition is a table of its own."""
    NO_TWIN = "NoTwin"
    """No invalid index is there of those that REINDEX CONCURRENTLY builds beside others."""
    REPEATABLE = "Repeatable"
    """Nothing: doing it once more does no harm."""
    UNKNOWN = "Unknown"
    """Nothing that could be seen: a person has to look."""


class Finding(StrEnum):
    """What the catalogue shows of a statement."""

    ABSENT = "Absent"
    BROKEN = "Broken"
    """It was begun and broken off; what is left has to be cleared away, or finished, first."""
    DONE = "Done"


class Scope(StrEnum):
    """How much a REINDEX is of."""

    INDEX = "index"
    TABLE = "table"
    SCHEMA = "schema"
    DATABASE = "database"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What a statement leaves in the catalogue.

    *relation* is the index, the partition, or what a REINDEX is of as *scope* says (a schema by its name alone); *parent* the table that
    the partition is taken from, or the index is on.
    """

    sought: Sought
    relation: Relation | None = None
    parent: Relation | None = None
    scope: Scope | None = None


_REPEATABLE: Final = ("vacuum", "cluster", "reindex")


def trace_of(terms: Terms) -> Trace:
    """Return what a statement of *terms*, which runs outside of a transaction, leaves in the catalogue."""
    if begins(terms, "create", "index|unique"):
        return _made_index(terms[3:] if begins(terms, "create", "unique") else terms[2:])
    if begins(terms, "drop", "index"):
        return _dropped_index(terms[2:])
    if begins(terms, "alter", "table"):
        return _detached(terms[2:])
    if reindexes_concurrently(terms):
        return _reindexed(behind_options(terms[1:]))
    return Trace(sought=Sought.REPEATABLE if begins(terms, "|".join(_REPEATABLE)) else Sought.UNKNOWN)


def _made_index(rest: Terms) -> Trace:
    """Return the index of that name on its table, whose schema is its own. One without a name cannot be found again."""
    named = read_relation(rest)
    if not named.relations or begins(rest, "concurrently", "on") or not begins(named.rest, "on"):
        return Trace(sought=Sought.UNKNOWN)
    table = read_relation(named.rest[1:]).relations
    if not table:
        return Trace(sought=Sought.UNKNOWN)
    index = Relation(table[0].schema, named.relations[0].name)
    return Trace(sought=Sought.INDEX, relation=index, parent=table[0])


def _dropped_index(rest: Terms) -> Trace:
    """Return the one index; PostgreSQL drops no more than one concurrently."""
    found = read_relation(rest).relations
    return Trace(sought=Sought.NO_INDEX, relation=found[0]) if found else Trace(sought=Sought.UNKNOWN)


def _reindexed(rest: Terms) -> Trace:
    """Return that no twins are there of what is reindexed, which may be the whole database."""
    if begins(rest, "database"):
        return Trace(sought=Sought.NO_TWIN, scope=Scope.DATABASE)
    found = read_relation(rest[1:]).relations
    if not found or not begins(rest, "index|table|schema"):
        return Trace(sought=Sought.REPEATABLE)
    return Trace(sought=Sought.NO_TWIN, relation=found[0], scope=Scope(rest[0]))


def _detached(rest: Terms) -> Trace:
    parent = read_relation(rest)
    if not parent.relations or not begins(parent.rest, "detach", "partition"):
        return Trace(sought=Sought.UNKNOWN)
    partition = read_relation(parent.rest[2:]).relations
    if not partition:
        return Trace(sought=Sought.UNKNOWN)
    return Trace(sought=Sought.DETACHED, relation=partition[0], parent=parent.relations[0])
