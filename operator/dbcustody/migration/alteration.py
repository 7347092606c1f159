"""What each form of ALTER TABLE locks and goes through.

Sources: manual, ALTER TABLE, where each form names its lock, and ACCESS EXCLUSIVE where it does not; AlterTableGetLockLevel in
tablecmds.c. The work is the most that the text allows: whether a type can be changed without writing the rows anew, or a constraint
proves that there is no null, the server knows. tests/adapters/postgres/test_migration_effect.py asks servers of every major.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from dbcustody.migration.lock import Lock, Mode, Work
from dbcustody.migration.relation import is_name, name_of, read_relation
from dbcustody.migration.statement import begins, holds
from dbcustody.migration.wording import parted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dbcustody.migration.statement import Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class Alteration:
    """What one form does to the table; *destroys* says of what, with {} for its name, and is empty where nothing is lost."""

    mode: Mode = Mode.ACCESS_EXCLUSIVE
    work: Work = Work.CATALOGUE
    destroys: str = ""
    locks: tuple[Lock, ...] = ()
    """Those on other tables."""


_PLAIN: Final = Alteration()
_SCANNED: Final = Alteration(work=Work.SCAN)
_REWRITTEN: Final = Alteration(work=Work.REWRITE)
_GENTLE: Final = Alteration(mode=Mode.SHARE_UPDATE_EXCLUSIVE)
_GENTLE_SCAN: Final = Alteration(mode=Mode.SHARE_UPDATE_EXCLUSIVE, work=Work.SCAN)
_TRIGGERS: Final = Alteration(mode=Mode.SHARE_ROW_EXCLUSIVE)
_FORMS: Final[tuple[tuple[tuple[str, ...], Alteration], ...]] = (
    (("validate", "constraint"), _GENTLE_SCAN),
    (("cluster", "on"), _GENTLE),
    (("set", "without", "cluster"), _GENTLE),
    (("set", "logged|unlogged|tablespace"), _REWRITTEN),
    (("set", "access", "method"), _REWRITTEN),
    (("enable|disable", "trigger"), _TRIGGERS),
    (("enable", "replica|always", "trigger"), _TRIGGERS),
    (("alter", "constraint"), _PLAIN),
    (("alter", "?", "set", "statistics"), _GENTLE),
    (("alter", "?", "set|reset", "("), _GENTLE),
    (("alter", "?", "set", "not", "null"), _SCANNED),
    (("alter", "?", "set", "expression"), _REWRITTEN),
)
"""Forms that the words at their head tell apart, with COLUMN left out; what is not here locks the table and changes the catalogue."""
_SERIALS: Final = frozenset({"serial", "bigserial", "smallserial", "serial2", "serial4", "serial8"})
_STRICT_OPTIONS: Final = frozenset(
    {
        "user_catalog_table",
        "security_barrier",
        "security_invoker",
        "check_option",
        "fastupdate",
        "gin_pending_list_limit",
    }
    | {"autosummarize", "pages_per_range", "buffering"}
)
_CONSTRAINTS: Final = frozenset(
    {"constraint", "not", "null", "check", "unique", "primary", "references", "generated", "collate"}
)
"""What can stand behind a default, and not within it but for parentheses."""
_STABLE: Final = frozenset(
    {"now", "statement_timestamp", "transaction_timestamp", "concat", "lower", "upper", "coalesce", "make_date"}
)
"""Functions whose value is computed once when a column is added with it as default."""


def alterations(terms: Terms) -> Iterator[Alteration]:
    """Yield what the forms of an ALTER TABLE do; *terms* is what stands behind the name of the table."""
    for form in forms_of(terms):
        yield alteration_of(form)


def alteration_of(form: Terms) -> Alteration:
    """Return what one form does; *form* is one of those that `forms_of` yields."""
    for words, alteration in _FORMS:
        if begins(form, *words):
            return alteration
    for words, judge in _JUDGED:
        if begins(form, *words):
            return judge(form)
    return _PLAIN


def mode_of_options(options: Terms) -> Mode:
    """Return the lock that it takes to set or reset *options* of a relation; most are read by no running query (reloptions.c)."""
    return Mode.ACCESS_EXCLUSIVE if _STRICT_OPTIONS & set(options) else Mode.SHARE_UPDATE_EXCLUSIVE


def _dropped(form: Terms) -> Alteration:
    return Alteration(destroys=f"column {name_of(form[1])} of {{}}")


def _retyped(form: Terms) -> Alteration:
    return Alteration(
        work=Work.REWRITE, destroys=f"values of column {name_of(form[1])} of {{}} that its new type cannot hold"
    )


def _attached(form: Terms) -> Alteration:
    """Return what it takes to attach or detach a partition: it is out of reach itself, its parent less than that where possible."""
    child = tuple(Lock(relation, Mode.ACCESS_EXCLUSIVE) for relation in read_relation(form[2:]).relations)
    if begins(form, "attach"):
        return Alteration(mode=Mode.SHARE_UPDATE_EXCLUSIVE, work=Work.SCAN, locks=child)
    is_gentle = form[-1] in {"concurrently", "finalize"}
    return Alteration(mode=Mode.SHARE_UPDATE_EXCLUSIVE if is_gentle else Mode.ACCESS_EXCLUSIVE, locks=child)


def _inherited(form: Terms) -> Alteration:
    parent, mode = (form[1:], Mode.SHARE_UPDATE_EXCLUSIVE) if form[0] == "inherit" else (form[2:], Mode.ACCESS_SHARE)
    return Alteration(locks=tuple(Lock(relation, mode) for relation in read_relation(parent).relations))


def _added(form: Terms) -> Alteration:
    """Return what it takes to add a constraint or a column."""
    what = form[1:]
    others = tuple(references(what))
    if begins(what, "constraint"):
        what = what[2:]
    if begins(what, "foreign", "key"):
        work = Work.CATALOGUE if what[-2:] == ("not", "valid") else Work.SCAN
        return Alteration(mode=Mode.SHARE_ROW_EXCLUSIVE, work=work, locks=others)
    if begins(what, "primary|unique|check|exclude|not"):
        is_ready = what[-2:] == ("not", "valid") or (
            "using" in what and begins(what[what.index("using") :], "using", "index")
        )
        return Alteration(work=Work.CATALOGUE if is_ready else Work.SCAN)
    return Alteration(work=_work_of_column(what), locks=others)


def references(what: Terms) -> Iterator[Lock]:
    """Yield the locks on the tables that *what* has foreign keys to."""
    for at, term in enumerate(what):
        if term == "references":
            yield from (
                Lock(relation, Mode.SHARE_ROW_EXCLUSIVE) for relation in read_relation(what[at + 1 :]).relations
            )


def _work_of_column(column: Terms) -> Work:
    """Return what adding *column* (name, type, constraints) takes; a default that is the same for every row is not written to them."""
    words = set(column[1:])
    if words & {"stored", "identity", *_SERIALS} or _has_volatile_default(column):
        return Work.REWRITE
    is_checked = bool(words & {"unique", "primary", "check", "references"})
    return Work.SCAN if is_checked or ("default" not in words and holds(column, "not", "null")) else Work.CATALOGUE


def _has_volatile_default(column: Terms) -> bool:
    """Return whether the default calls a function that is not known to give one value for all rows."""
    value = tuple(takewhile(lambda term: term not in _CONSTRAINTS, _behind_default(column)))
    return any(
        after == "(" and is_name(name) and name not in _STABLE and before != "::"
        for before, name, after in zip(("", *value), value, value[1:], strict=False)
    )


def _behind_default(column: Terms) -> Terms:
    return column[column.index("default") + 1 :] if "default" in column else ()


def forms_of(terms: Terms) -> Iterator[Terms]:
    """Return the forms that the commas outside of parentheses part, without COLUMN and IF [NOT] EXISTS."""
    return map(_bare, parted(terms))


def _bare(form: Terms) -> Terms:
    head, rest = form[:1], form[1:]
    for words in (("column",), ("if", "not", "exists"), ("if", "exists")):
        rest = rest[len(words) :] if begins(rest, *words) and len(rest) > len(words) else rest
    return head + rest


_JUDGED: Final[tuple[tuple[tuple[str, ...], Callable[[Terms], Alteration]], ...]] = (
    (("add",), _added),
    (("drop", "constraint"), lambda _: _PLAIN),
    (("drop", "?"), _dropped),
    (("alter", "?", "type"), _retyped),
    (("alter", "?", "set", "data", "type"), _retyped),
    (("attach|detach", "partition"), _attached),
    (("set|reset", "("), lambda form: Alteration(mode=mode_of_options(form))),
    (("inherit",), _inherited),
    (("no", "inherit"), _inherited),
)
"""Forms of which the words at the head do not tell enough."""
