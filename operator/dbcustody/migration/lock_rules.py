"""What stops others for long, or for everybody at once, beside the constraints, columns and indexes that have rules of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbcustody.migration.finding import Finding, Recipe, Severity
from dbcustody.migration.lock import Mode, Work
from dbcustody.migration.relation import read_relation
from dbcustody.migration.statement import begins
from dbcustody.migration.wording import named_at, write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbcustody.migration.case import Case

RULES = {
    "vacuum-full": "VACUUM FULL: the table is written anew while nobody can read or write",
    "cluster": "CLUSTER: the table is written anew while nobody can read or write",
    "refresh-view": "REFRESH MATERIALIZED VIEW without CONCURRENTLY: nobody can read it meanwhile",
    "lock-table": "LOCK TABLE of a strength that stops others to the end of the transaction",
    "create-trigger": "CREATE TRIGGER on a table that is in use: from then on every write runs it",
    "detach-partition": "DETACH PARTITION without CONCURRENTLY: nobody can read or write the whole table",
    "attach-partition": "ATTACH PARTITION: all rows of the partition are read while nobody can use it",
    "slow-while-locked": "anything else that goes through all rows while others cannot write",
}


def lock_findings(case: Case) -> Iterator[Finding]:
    """Yield how *case* stops others."""
    yield from _rewritten(case)
    yield from _partitions(case)
    terms = case.terms
    if begins(terms, "refresh") and "concurrently" not in terms and case.relations:
        what = f"nobody can read it while its query runs ({case.weight.words})"
        helps = "refresh it beside its readers; that needs a unique index on its columns"
        changed = (*terms[:3], "concurrently", *terms[3:])
        recipe = None if begins(terms[-3:], "with", "no", "data") else Recipe(migrations=(f"{write(changed)};\n",))
        yield Finding(rule="refresh-view", severity=_at_most_warning(case), what=what, helps=helps, recipe=recipe)
    elif begins(terms, "lock") and any(lock.mode >= Mode.SHARE for lock in case.step.effect.locks):
        what = "others wait to the end of the transaction, however long it takes"
        helps = "take it out where the statements take what they need themselves; else keep the file short"
        yield Finding(rule="lock-table", severity=case.unless_new(Severity.WARNING), what=what, helps=helps)
    elif (
        begins(terms, "create") and "trigger" in terms[1:5] and case.relations and not begins(terms, "create", "event")
    ):
        what = "from the commit on every write runs it, those of the application's older version, too"
        helps = "see that it does no harm to them, and that it is fast"
        yield Finding(rule="create-trigger", severity=case.unless_new(Severity.WARNING), what=what, helps=helps)


def _rewritten(case: Case) -> Iterator[Finding]:
    terms = case.terms
    what = f"nobody can read or write while all rows are written anew ({case.weight.words})"
    if begins(terms, "vacuum") and case.step.effect.work is Work.REWRITE:
        helps = "a plain VACUUM makes the room usable again; only giving it back to the system needs FULL, for which there is pg_repack"
        named = next(
            (
                named_at(terms[at:])
                for at in range(len(terms))
                if read_relation(terms[at:]).relations == case.relations[:1] != ()
            ),
            "",
        )
        recipe = Recipe(migrations=(f"vacuum {named};\n",)) if named and len(case.relations) == 1 else None
        yield Finding(rule="vacuum-full", severity=case.weight.severity, what=what, helps=helps, recipe=recipe)
    elif begins(terms, "cluster"):
        helps = "do it while nobody works, or by pg_repack, beside everybody"
        yield Finding(rule="cluster", severity=case.weight.severity, what=what, helps=helps)


def _partitions(case: Case) -> Iterator[Finding]:
    for change in case.changes():
        if begins(change.form, "detach", "partition") and change.form[-1] not in {"concurrently", "finalize"}:
            yield Finding(
                rule="detach-partition",
                severity=case.unless_new(Severity.WARNING),
                what=f"while it waits for whoever uses {change.table}, everybody waits behind it, readers included",
                helps="detach it beside everybody, in a file of its own",
                recipe=Recipe(
                    migrations=(f"alter table {change.written} {write(change.form)} concurrently;\n",),
                    remark="it leaves a CHECK of the bounds on the partition, which may be dropped",
                ),
            )
        elif begins(change.form, "attach", "partition"):
            part = read_relation(change.form[2:]).relations
            words = " and ".join(map(str, part)) or "the partition"
            yield Finding(
                rule="attach-partition",
                severity=_at_most_warning(case),
                what=f"all rows of {words} are read, and nobody can use it meanwhile ({case.weight.words})",
                helps="give it a CHECK that says the same as its bounds first, NOT VALID and validated then: with it nothing is read",
            )


def slow_finding(case: Case) -> Finding:
    """Return the finding of a *case* that is slow in others' way, and of which no other rule has spoken."""
    verb = "are written anew" if case.step.effect.work is Work.REWRITE else "are read"
    what = f"nobody can write while all rows {verb} ({case.weight.words})"
    return Finding(rule="slow-while-locked", severity=case.weight.severity, what=what, helps="do it while nobody works")


def is_slow_while_locked(case: Case) -> bool:
    """Return whether *case* goes through all rows of what it stops others from writing to; nobody writes to a materialized view."""
    effect = case.step.effect
    return (
        effect.work > Work.ROWS
        and not begins(case.terms, "refresh")
        and any(lock.mode.stops_writers for lock in effect.locks)
    )


def _at_most_warning(case: Case) -> Severity:
    return min(case.weight.severity, Severity.WARNING)
