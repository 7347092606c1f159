"""What statements that define something do: CREATE, ALTER, DROP and those beside them.

Sources of the locks: manual, "Explicit Locking", and the page of each command.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from dbcustody.migration.alteration import alterations, mode_of_options, references
from dbcustody.migration.effect import NOTHING, UNKNOWN, Effect, locked, strongest
from dbcustody.migration.lock import Lock, Mode, Work
from dbcustody.migration.relation import Relation, read_relation, read_relations
from dbcustody.migration.rows import reads
from dbcustody.migration.statement import Terms, begins

_PERSISTENCE: Final = ("global|local", "temporary|temp|unlogged")


def creation(terms: Terms) -> Effect:
    """Return what a CREATE does; most of what can be made locks nothing that was there."""
    is_replacing = begins(terms, "create", "or", "replace")
    what = _behind(terms[3 if is_replacing else 1 :], *_PERSISTENCE, "constraint", "recursive")
    for words, judge in _CREATIONS:
        if begins(what, *words):
            effect = judge(what[len(words) :])
            return _replaced(effect) if is_replacing else effect
    return NOTHING


def _replaced(effect: Effect) -> Effect:
    """Return *effect* on what is perhaps there already."""
    there = locked(effect.creates, Mode.ACCESS_EXCLUSIVE)
    return replace(effect, creates=(), locks=strongest((*there, *effect.locks)))


def _named(rest: Terms) -> Effect:
    return Effect(creates=read_relation(rest).relations)


def _hanging(word: str, mode: Mode) -> Callable[[Terms], Effect]:
    """Return a judge of what hangs on the relations behind *word*, and takes a lock of *mode* there."""
    return lambda rest: Effect(locks=_locks_behind(rest, word, mode))


def _table(rest: Terms) -> Effect:
    made, rest = read_relation(rest)
    parent = _locks_behind(rest, "of", Mode.ACCESS_EXCLUSIVE) if begins(rest, "partition", "of") else ()
    ancestors = _listed_behind(rest, "inherits", Mode.SHARE_UPDATE_EXCLUSIVE)
    likes = [
        lock
        for at, term in enumerate(rest)
        if term == "like" and rest[at - 1] in {"(", ","}
        for lock in locked(read_relation(rest[at + 1 :]).relations, Mode.ACCESS_SHARE)
    ]
    query = reads(rest) if "select" in rest else ()
    others = [lock for lock in (*parent, *ancestors, *references(rest), *likes, *query) if lock.relation not in made]
    return Effect(creates=made, locks=strongest(others), work=Work.ROWS if query else Work.CATALOGUE)


def _index(rest: Terms) -> Effect:
    mode = Mode.SHARE_UPDATE_EXCLUSIVE if begins(rest, "concurrently") else Mode.SHARE
    table = read_relation(rest[rest.index("on") + 1 :]).relations if "on" in rest else ()
    named = () if begins(rest, "on") else read_relation(rest).relations
    schema = table[0].schema if table else ""
    creates = tuple(Relation(schema, relation.name) for relation in named if relation.name != "on")
    return Effect(creates=creates, locks=locked(table, mode), work=Work.SCAN)


def _view(rest: Terms) -> Effect:
    made, rest = read_relation(rest)
    return Effect(creates=made, locks=reads(rest))


def _stored_view(rest: Terms) -> Effect:
    made, rest = read_relation(rest)
    return Effect(creates=made, locks=reads(rest), work=Work.CATALOGUE if rest[-2:] == ("no", "data") else Work.ROWS)


def alteration(terms: Terms) -> Effect:
    """Return what an ALTER does."""
    for words, judge in _ALTERATIONS:
        if begins(terms[1:], *words):
            return judge(terms[1 + len(words) :])
    return NOTHING


def _altered(rest: Terms) -> Effect:
    tables, rest = read_relation(rest)
    forms = tuple(alterations(rest))
    mode = max(form.mode for form in forms)
    lost = tuple(form.destroys.replace("{}", str(table)) for form in forms if form.destroys for table in tables)
    others = (lock for form in forms for lock in form.locks)
    return Effect(
        locks=strongest((*locked(tables, mode), *others)), work=max(form.work for form in forms), destroys=lost
    )


def _altered_index(rest: Terms) -> Effect:
    indexes, rest = read_relation(rest)
    if begins(rest, "set|reset", "("):
        return Effect(locks=locked(indexes, mode_of_options(rest)))
    if begins(rest, "rename|alter|attach"):
        part = read_relation(rest[2:]).relations if begins(rest, "attach") else ()
        return Effect(locks=(*locked(indexes, Mode.SHARE_UPDATE_EXCLUSIVE), *locked(part, Mode.ACCESS_EXCLUSIVE)))
    work = Work.REWRITE if begins(rest, "set", "tablespace") else Work.CATALOGUE
    return Effect(locks=locked(indexes, Mode.ACCESS_EXCLUSIVE), work=work)


def _altered_sequence(rest: Terms) -> Effect:
    sequences, rest = read_relation(rest)
    is_whole = begins(rest, "owner|rename") or begins(rest, "set", "schema|logged|unlogged")
    mode = Mode.ACCESS_EXCLUSIVE if is_whole else Mode.SHARE_ROW_EXCLUSIVE
    return Effect(locks=locked(sequences, mode), is_irreversible="restart" in rest)


def _altered_type(rest: Terms) -> Effect:
    relations, rest = read_relation(rest)
    if begins(rest, "add", "value"):
        return Effect(is_irreversible=True)
    lost = (
        tuple(f"attribute of {relation}" for relation in relations) if begins(rest, "drop|alter", "attribute") else ()
    )
    return Effect(destroys=lost)


def removal(terms: Terms) -> Effect:
    """Return what a DROP does; with CASCADE, what depends on the thing goes, too, columns included."""
    what, name = terms[1:2], _behind(terms[2:], "view|table|sequence")
    cascade = ("what depends on it",) if terms[-1] == "cascade" else ()
    match what:
        case ("table" | "sequence",):
            gone = read_relations(name).relations
            lost = tuple(f"{what[0]} {relation}" for relation in gone)
            return Effect(locks=locked(gone, Mode.ACCESS_EXCLUSIVE), destroys=(*lost, *cascade))
        case ("view" | "materialized" | "foreign" | "index",):
            mode = Mode.SHARE_UPDATE_EXCLUSIVE if begins(name, "concurrently") else Mode.ACCESS_EXCLUSIVE
            return Effect(locks=locked(read_relations(name).relations, mode), destroys=cascade)
        case ("trigger" | "policy" | "rule",):
            return Effect(locks=_locks_behind(terms, "on", Mode.ACCESS_EXCLUSIVE), destroys=cascade)
        case ("owned",):
            return Effect(destroys=("everything that the role owns",), is_known=False)
    return Effect(destroys=cascade)


def _locks_behind(terms: Terms, word: str, mode: Mode) -> tuple[Lock, ...]:
    """Return locks on the list of relations behind the first *word* of *terms*; none where it is missing."""
    return locked(read_relations(terms[terms.index(word) + 1 :]).relations, mode) if word in terms else ()


def _listed_behind(terms: Terms, word: str, mode: Mode) -> tuple[Lock, ...]:
    """Return the same for a list in parentheses."""
    return locked(read_relations(terms[terms.index(word) + 2 :]).relations, mode) if word in terms else ()


def _behind(terms: Terms, *words: str) -> Terms:
    """Return *terms* without those of *words* that they begin with."""
    for word in words:
        terms = terms[1:] if begins(terms, word) else terms
    return terms


_Judge = Callable[[Terms], Effect]
_CREATIONS: Final[tuple[tuple[tuple[str, ...], _Judge], ...]] = (
    (("table",), _table),
    (("foreign", "table"), _named),
    (("index",), _index),
    (("unique", "index"), _index),
    (("view",), _view),
    (("materialized", "view"), _stored_view),
    (("sequence",), _named),
    (("statistics",), _hanging("from", Mode.SHARE_UPDATE_EXCLUSIVE)),
    (("publication",), _hanging("table", Mode.SHARE_UPDATE_EXCLUSIVE)),
    (("trigger",), _hanging("on", Mode.SHARE_ROW_EXCLUSIVE)),
    (("policy",), _hanging("on", Mode.ACCESS_EXCLUSIVE)),
    (("rule",), _hanging("to", Mode.ACCESS_EXCLUSIVE)),
)
_ALTERATIONS: Final[tuple[tuple[tuple[str, ...], _Judge], ...]] = (
    (("table|index", "all"), lambda _: UNKNOWN),
    (("materialized", "view", "all"), lambda _: UNKNOWN),
    (("table|view",), _altered),
    (("foreign", "table"), _altered),
    (("materialized", "view"), _altered),
    (("index",), _altered_index),
    (("sequence",), _altered_sequence),
    (("type",), _altered_type),
    (("trigger|policy|rule",), _hanging("on", Mode.ACCESS_EXCLUSIVE)),
)
