"""Whether a statement can run in a transaction: PostgreSQL refuses some there, and some may end it from within.

The first are those for which PostgreSQL 14 to 18 call PreventInTransactionBlock (utility.c, vacuum.c, tablecmds.c, subscriptioncmds.c),
as far as the text tells: a REINDEX or CLUSTER of a partitioned table looks like any other. ALTER TYPE ... ADD VALUE is allowed
since 12; its value must not be used before the commit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from dbcustody.migration.statement import begins

if TYPE_CHECKING:
    from collections.abc import Callable

    from dbcustody.migration.statement import Terms


class Nature(StrEnum):
    """How a statement stands to the transaction that it is run in."""

    TRANSACTIONAL = "Transactional"
    NON_TRANSACTIONAL = "NonTransactional"
    """PostgreSQL refuses it within a transaction."""
    MAY_COMMIT = "MayCommit"
    """It runs code that may commit where it is not within a transaction."""


@dataclass(frozen=True, slots=True)
class Classified:
    """The nature of a statement, and what it is called by who explains it."""

    nature: Nature
    name: str


_ENDS: Final = re.compile(r"\b(?:commit|rollback|call)\b", re.IGNORECASE)
_NO: Final = frozenset({"false", "off", "no", "0", "'false'", "'off'", "'no'", "'0'"})


def classify(terms: Terms) -> Classified:
    """Return the nature of a statement of *terms*; transactional where nothing speaks against it."""
    for name, is_so in _OUTSIDE.get(terms[0], {}).items():
        if is_so(terms):
            return Classified(Nature.NON_TRANSACTIONAL, name)
    if begins(terms, "call") or _may_end_transaction(terms):
        return Classified(Nature.MAY_COMMIT, terms[0].upper())
    return Classified(Nature.TRANSACTIONAL, " ".join(terms[:2]).upper())


def commits_in_steps(terms: Terms) -> bool:
    """Return whether some of a statement of *terms* may be in although the server refused it.

    That is code, and what PostgreSQL does in several transactions and tells the next run nothing of. Anything else that it refuses, be it
    outside of a transaction block or not, it has done in one transaction, which the error rolls back; of a tablespace it removes the old
    files after that. VACUUM, CLUSTER and REINDEX may be repeated.
    """
    return begins(terms, "call|do") or _builds_index(terms) or _detaches(terms)


def _may_end_transaction(terms: Terms) -> bool:
    """Return whether a DO block has COMMIT, ROLLBACK or CALL in it; in a comment they count as well."""
    return begins(terms, "do") and any(_ENDS.search(term) for term in terms[1:])


def _builds_index(terms: Terms) -> bool:
    return begins(terms, "create", "index", "concurrently") or begins(
        terms, "create", "unique", "index", "concurrently"
    )


def _reindexes(terms: Terms) -> bool:
    """Return whether it is concurrent, or of more than one relation's indexes."""
    return begins(behind_options(terms[1:]), "schema|database|system") or reindexes_concurrently(terms)


def _clusters_all(terms: Terms) -> bool:
    rest = behind_options(terms[1:])
    return rest in {(), ("verbose",)}


def _detaches(terms: Terms) -> bool:
    """Return whether a partition goes without stopping anybody.

    FINALIZE is allowed in a transaction, but would hold all locks of that until every older snapshot is gone.
    """
    return begins(terms, "alter", "table") and "detach" in terms and terms[-1] in {"concurrently", "finalize"}


def _moves_database(terms: Terms) -> bool:
    return begins(terms, "alter", "database") and begins(terms[3:], "set", "tablespace")


def _subscribes(terms: Terms) -> bool:
    """Return whether a slot is made at the publisher."""
    is_local = _says(terms, "connect", _NO) or _says(terms, "create_slot", _NO)
    return begins(terms, "create", "subscription") and not is_local


def _refreshes(terms: Terms) -> bool:
    rest = terms[3:] if begins(terms, "alter", "subscription") else ()
    changes = begins(rest, "set|add|drop", "publication") and not _says(rest, "refresh", _NO)
    return changes or begins(rest, "refresh", "publication")


def _changes_slot(terms: Terms) -> bool:
    """Return whether the slot at the publisher changes, which no rollback brings back (17 and newer)."""
    rest = terms[3:] if begins(terms, "alter", "subscription") else ()
    return begins(rest, "set", "(") and ("failover" in rest or _says(rest, "two_phase", _NO))


def reindexes_concurrently(terms: Terms) -> bool:
    """Return whether a statement of *terms* builds indexes anew beside running work."""
    rest = behind_options(terms[1:])
    options = terms[1 : len(terms) - len(rest)]
    return begins(terms, "reindex") and ("concurrently" in rest[1:2] or _says(options, "concurrently"))


def behind_options(terms: Terms) -> Terms:
    """Return *terms* without the parentheses that they begin with, if they do; options hold none within."""
    return terms[terms.index(")") + 1 :] if begins(terms, "(") and ")" in terms else terms


def _says(options: Terms, name: str, values: frozenset[str] | None = None) -> bool:
    """Return whether the option *name* is given one of *values*; with None, whether it is not declined."""
    if name not in options:
        return False
    rest = options[options.index(name) + 1 :]
    value = rest[1] if begins(rest, "=") and len(rest) > 1 else "".join(rest[:1])
    return value in values if values is not None else value not in _NO


_OUTSIDE: Final[dict[str, dict[str, Callable[[Terms], bool]]]] = {
    "create": {
        "CREATE INDEX CONCURRENTLY": _builds_index,
        "CREATE TABLESPACE": lambda terms: begins(terms, "create", "tablespace"),
        "CREATE SUBSCRIPTION": _subscribes,
    },
    "alter": {
        "ALTER TABLE ... DETACH PARTITION, CONCURRENTLY or FINALIZE": _detaches,
        "ALTER DATABASE ... SET TABLESPACE": _moves_database,
        "ALTER SUBSCRIPTION with a refresh": _refreshes,
        "ALTER SUBSCRIPTION of the slot": _changes_slot,
    },
    "drop": {
        "DROP INDEX CONCURRENTLY": lambda terms: begins(terms, "drop", "index", "concurrently"),
        "DROP TABLESPACE": lambda terms: begins(terms, "drop", "tablespace"),
        "DROP SUBSCRIPTION": lambda terms: begins(terms, "drop", "subscription"),
    },
    "reindex": {"REINDEX": _reindexes},
    "vacuum": {"VACUUM": bool},
    "cluster": {"CLUSTER of all tables": _clusters_all},
}
"""What PostgreSQL runs outside of a transaction only, by its first word: its name, and how the rest of its text is known."""
