"""What any statement will do, and how dangerous that is: the judgement that a plan shows before anything is run."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final

from dbcustody.migration.definition import alteration, creation, removal
from dbcustody.migration.effect import NOTHING, UNKNOWN, Effect, locked
from dbcustody.migration.lock import Mode, Work
from dbcustody.migration.nature import Nature, classify
from dbcustody.migration.relation import read_relation, read_relations
from dbcustody.migration.rows import copy_effect, rows_effect
from dbcustody.migration.statement import begins, holds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dbcustody.migration.statement import Terms


class Risk(IntEnum):
    """How dangerous a statement is, the less the smaller."""

    SAFE = 0
    CAUTION = 1
    DESTRUCTIVE = 2

    @property
    def label(self) -> str:
        """Its name in a plan."""
        return self.name.capitalize()


def forecast(terms: Terms) -> Effect:
    """Return what a statement of *terms* will do; of a command that is not known, that it is not known."""
    foretell = _COMMANDS.get(terms[0])
    return foretell(terms) if foretell else UNKNOWN


def risk_of(terms: Terms, effect: Effect) -> Risk:
    """Return how dangerous the statement of *terms* is, of which *effect* is known.

    Destructive is what loses data. Caution deserves what cannot be undone or known, what runs outside of a transaction, what a running
    application may stumble over (a name that goes away), and what goes through all rows of a table while others wait for it.
    """
    if effect.destroys:
        return Risk.DESTRUCTIVE
    is_slow_and_in_the_way = effect.work > Work.ROWS and any(lock.mode.stops_writers for lock in effect.locks)
    is_open = effect.is_irreversible or not effect.is_known or classify(terms).nature is not Nature.TRANSACTIONAL
    is_caution = is_slow_and_in_the_way or is_open or begins(terms, "drop|lock") or _takes_away(terms)
    return Risk.CAUTION if is_caution else Risk.SAFE


def _takes_away(terms: Terms) -> bool:
    """Return whether something is no longer found where it was."""
    ways = (("rename",), ("set", "schema"), ("detach", "partition"))
    return begins(terms, "alter") and any(holds(terms, *words) for words in ways)


def _emptied(terms: Terms) -> Effect:
    relations = read_relations(terms[2 if begins(terms, "truncate", "table") else 1 :]).relations
    lost = tuple(f"rows of {relation}" for relation in relations)
    return Effect(locks=locked(relations, Mode.ACCESS_EXCLUSIVE), destroys=lost)


def _cleaned(terms: Terms) -> Effect:
    """Return what VACUUM and ANALYZE do; FULL writes the table anew."""
    rest = _behind_options(terms[1:])
    is_full = "full" in terms[: len(terms) - len(rest)]
    relations = read_relations(rest).relations
    mode = Mode.ACCESS_EXCLUSIVE if is_full else Mode.SHARE_UPDATE_EXCLUSIVE
    return Effect(locks=locked(relations, mode), work=Work.REWRITE if is_full else Work.SCAN)


def _clustered(terms: Terms) -> Effect:
    relations = read_relation(_behind_options(terms[1:])).relations
    return Effect(locks=locked(relations, Mode.ACCESS_EXCLUSIVE), work=Work.REWRITE)


def _reindexed(terms: Terms) -> Effect:
    """Return what a REINDEX does: an index is locked against everything, its table (which an index does not name) against writing."""
    rest = _behind_options(terms[1:])
    is_concurrent = "concurrently" in terms[: len(terms) - len(rest) + 2]
    relations = read_relation(rest[1:]).relations if begins(rest, "table|index") else ()
    strict = Mode.SHARE if begins(rest, "table") else Mode.ACCESS_EXCLUSIVE
    return Effect(locks=locked(relations, Mode.SHARE_UPDATE_EXCLUSIVE if is_concurrent else strict), work=Work.SCAN)


def _refreshed(terms: Terms) -> Effect:
    rest = terms[3:]
    mode = Mode.EXCLUSIVE if begins(rest, "concurrently") else Mode.ACCESS_EXCLUSIVE
    return Effect(locks=locked(read_relation(rest).relations, mode), work=Work.REWRITE)


def _locked(terms: Terms) -> Effect:
    relations, rest = read_relations(terms[2 if begins(terms, "lock", "table") else 1 :])
    words = rest[1 : rest.index("mode")] if begins(rest, "in") and "mode" in rest else ()
    mode = Mode.__members__.get("_".join(words).upper(), Mode.ACCESS_EXCLUSIVE)
    return Effect(locks=locked(relations, mode))


def _commented(terms: Terms) -> Effect:
    """Return what a COMMENT does; a column's name ends in one more part than its table's."""
    named = terms[3:]
    if begins(terms, "comment", "on", "column"):
        path = named[: named.index("is")] if "is" in named else named
        named = path[:-2]
    elif not begins(terms, "comment", "on", "table|view|index|sequence"):
        named = ()
    return Effect(locks=locked(read_relation(named).relations, Mode.SHARE_UPDATE_EXCLUSIVE))


def _behind_options(terms: Terms) -> Terms:
    """Return *terms* without options, in parentheses or as words."""
    if begins(terms, "(") and ")" in terms:
        return terms[terms.index(")") + 1 :]
    while begins(terms, "full|freeze|verbose|analyze|analyse"):
        terms = terms[1:]
    return terms


_COMMANDS: Final[Mapping[str, Callable[[Terms], Effect]]] = {
    "create": creation,
    "alter": alteration,
    "drop": removal,
    "truncate": _emptied,
    "vacuum": _cleaned,
    "analyze": _cleaned,
    "analyse": _cleaned,
    "cluster": _clustered,
    "reindex": _reindexed,
    "refresh": _refreshed,
    "lock": _locked,
    "comment": _commented,
    "copy": copy_effect,
    **dict.fromkeys(("select", "with", "insert", "update", "delete", "merge", "values", "table", "("), rows_effect),
    **dict.fromkeys(
        ("set", "reset", "show", "grant", "revoke", "security", "reassign", "notify", "listen", "unlisten"),
        lambda _: NOTHING,
    ),
}
"""What each command does, by its first word; those that run somebody's code (DO, CALL, EXECUTE) are not known."""
