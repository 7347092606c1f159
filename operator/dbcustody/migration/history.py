"""The history of a database held against the scripts of a source: what is pending, and every way in which the two differ.

All differences are found and listed together, each with what to do. None of them is ever a reason to undo something:
that a file is gone means that a file is gone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import TYPE_CHECKING, Final

from dbcustody.migration.graph import ancestors
from dbcustody.migration.ledger import Attempt, Record, Standing, State, records, repeated
from dbcustody.migration.script import Script

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


MOST_RECENT: Final = 20
"""How many attempts are told."""
_WITHOUT_CHANGE: Final = frozenset({State.STARTED, State.FAILED})


class Kind(StrEnum):
    """How a database and a source can differ, beyond what is only pending."""

    UNSETTLED = "Unsettled"
    PARTIAL = "Partial"
    EDITED = "Edited"
    RENAMED = "Renamed"
    MISSING = "Missing"
    UNKNOWN = "Unknown"
    OUT_OF_ORDER = "OutOfOrder"
    REORDERED = "Reordered"
    DUPLICATED = "Duplicated"
    SEVERAL_HEADS = "SeveralHeads"
    UNKNOWN_REVISION = "UnknownRevision"
    """Alembic's table has one that no file is of."""
    UNADOPTED = "Unadopted"
    """Alembic's table has one that the ledger does not know."""
    TAKEN_BACK = "TakenBack"
    """The ledger has one that Alembic's table does not."""


_AHEAD: Final = frozenset({Kind.UNKNOWN, Kind.UNKNOWN_REVISION})


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One of them, with the migration that it is about, and what helps."""

    kind: Kind
    name: str
    what: str
    helps: str

    def __str__(self) -> str:
        return f"{self.name}: {self.what}; {self.helps}"


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What is in, what is to come, and what stands in the way."""

    applied: tuple[str, ...]
    """The names of the migrations that are in, in the order in which they came in."""
    present: tuple[str, ...]
    """Their revisions, in the same order."""
    pending: tuple[Script, ...]
    """The scripts that are not in, in the order in which they are to run."""
    heads: tuple[str, ...]
    """The revisions that are in and that none which is in comes after."""
    differences: tuple[Difference, ...]
    failed: tuple[Attempt, ...] = ()
    """The last attempt of each pending script that was tried and failed as a whole, in the order in which they are to run."""
    recent: tuple[Attempt, ...] = ()
    """The last attempts that the ledger knows, oldest first."""
    changes: int
    """How many attempts changed where a revision stands, ever: it never becomes less, so that no state of the ledger comes twice."""

    @property
    def is_ahead(self) -> bool:
        """Whether the database has all of the source, and more: what it looks like when an older image came back."""
        kinds = {difference.kind for difference in self.differences}
        return bool(kinds) and kinds <= _AHEAD and not self.pending


@dataclass(frozen=True, slots=True)
class _Sides:
    """What is compared."""

    scripts: Sequence[Script]
    attempts: Sequence[Attempt]
    records: Mapping[str, Record]

    def is_in(self, revision: str) -> bool:
        return self.standing(revision) is Standing.IN

    def standing(self, revision: str) -> Standing:
        record = self.records.get(revision)
        return record.standing if record else Standing.OUT

    @property
    def pending(self) -> list[Script]:
        return [script for script in self.scripts if self.standing(script.revision) is Standing.OUT]

    @property
    def unscripted(self) -> list[Record]:
        """Those in the database, in whole or in part, that no script is of."""
        known = {script.revision for script in self.scripts}
        return [
            one
            for one in self.records.values()
            if one.standing is not Standing.OUT and one.attempt.revision not in known
        ]

    def renamed(self, record: Record) -> Script | None:
        """Return the pending script of the same text as that of *record*, or None."""
        checksum = record.attempt.checksum
        return next((script for script in self.pending if checksum is not None and script.checksum == checksum), None)


def compare(scripts: Sequence[Script], attempts: Iterable[Attempt], *, allows_out_of_order: bool = False) -> History:
    """Return the history of the database whose ledger has *attempts*, held against *scripts* in their order.

    With *allows_out_of_order* an older script that came late is pending like any other; else it is a difference.
    """
    rows = tuple(attempts)
    sides = _Sides(scripts, rows, records(rows))
    late = () if allows_out_of_order else _late(sides)
    found = chain(
        _unfinished(sides), _edited(sides), _absent(sides), late, _reordered(sides), _duplicated(sides), _several_heads(scripts)
    )  # fmt: skip
    present = [record.attempt for record in sides.records.values() if record.standing is Standing.IN]
    return History(
        applied=tuple(attempt.name for attempt in present),
        present=tuple(attempt.revision for attempt in present),
        pending=tuple(sides.pending),
        heads=_heads([attempt.revision for attempt in present], scripts),
        differences=tuple(found),
        failed=tuple(_failed(sides)),
        recent=rows[-MOST_RECENT:],
        changes=sum(attempt.state not in _WITHOUT_CHANGE for attempt in rows),
    )


def _failed(sides: _Sides) -> Iterator[Attempt]:
    """Yield the last attempt of each pending script where that failed; whatever was said of one since makes it old news."""
    last = {attempt.revision: attempt for attempt in sorted(sides.attempts, key=lambda one: one.ordinal)}
    for script in sides.pending:
        attempt = last.get(script.revision)
        if attempt is not None and attempt.state is State.FAILED:
            yield attempt


def _heads(present: Sequence[str], scripts: Sequence[Script]) -> tuple[str, ...]:
    """Return those of *present* that no other one of them comes after."""
    there = set(present)
    parents = {parent for script in scripts if script.revision in there for parent in script.parents}
    return tuple(revision for revision in present if revision not in parents)


def _unfinished(sides: _Sides) -> Iterator[Difference]:
    for record in sides.records.values():
        if record.standing is Standing.UNSETTLED:
            what = "has begun, and how it ended is not written down"
            helps = "wait while it runs; the next run settles by the catalogue what a killed one left"
            yield Difference(kind=Kind.UNSETTLED, name=record.attempt.name, what=what, helps=helps)
        elif record.standing is Standing.PARTIAL:
            name = record.attempt.name
            what = "is in in part"
            helps = f"finish or undo it, then say `dbcustody migrate resolve --applied {name}` or `--rolled-back {name}`, with a reason"
            yield Difference(kind=Kind.PARTIAL, name=name, what=what, helps=helps)


def _edited(sides: _Sides) -> Iterator[Difference]:
    for script in sides.scripts:
        record = sides.records.get(script.revision)
        if record is None or record.standing is Standing.OUT or record.attempt.checksum in {None, script.checksum}:
            continue
        what = f"was {record.attempt.checksum[:12]} when it ran, and is {script.checksum[:12]} now"
        helps = "put back the text that ran (the ledger keeps it), and write what is to change as a new migration"
        yield Difference(kind=Kind.EDITED, name=script.name, what=what, helps=helps)


def _absent(sides: _Sides) -> Iterator[Difference]:
    newest = max((one.attempt.ordinal for one in _known(sides)), default=None)
    for record in sides.unscripted:
        name = record.attempt.name
        script = sides.renamed(record)
        if script is not None:
            what, helps = (
                f"is in the database, and has become {script.name}",
                f"call the file {name}.sql again: its time is its place",
            )
            yield Difference(kind=Kind.RENAMED, name=name, what=what, helps=helps)
        elif newest is not None and record.attempt.ordinal > newest:
            what = "is in the database, and newer than everything in the source"
            helps = "deploy the source that has it; nothing is undone because an older one came back"
            yield Difference(kind=Kind.UNKNOWN, name=name, what=what, helps=helps)
        else:
            what, helps = "is in the database, and not in the source", "bring the file back (the ledger keeps its text)"
            yield Difference(kind=Kind.MISSING, name=name, what=what, helps=helps)


def _known(sides: _Sides) -> Iterator[Record]:
    known = {script.revision for script in sides.scripts}
    return (record for record in sides.records.values() if record.attempt.revision in known)


def _late(sides: _Sides) -> Iterator[Difference]:
    """Yield the scripts that are pending and older than one that is in: merged late, and never tried in this order.

    Where only what it follows says the place of a script, it is late when one that is in follows it.
    """
    present = [script for script in sides.scripts if sides.is_in(script.revision)]
    followed = ancestors([one.revision for one in present], {one.revision: one.parents for one in sides.scripts})
    last = max((place for place, script in enumerate(sides.scripts) if sides.is_in(script.revision)), default=-1)
    renamed = [sides.renamed(record) for record in sides.unscripted]
    for script in sides.scripts[: last + 1]:
        is_late = script.revision in followed or not script.is_in_graph
        if is_late and sides.standing(script.revision) is Standing.OUT and script not in renamed:
            what = f"is pending, and older than {sides.scripts[last].name}, which is in"
            helps = "give the file a later time, or set policy.outOfOrder to Allow"
            yield Difference(kind=Kind.OUT_OF_ORDER, name=script.name, what=what, helps=helps)


def _reordered(sides: _Sides) -> Iterator[Difference]:
    """Yield what came in after something that it stands before; what a person or another tool says is in has no order of its own."""
    later: Script | None = None
    for script in reversed([one for one in sides.scripts if not one.is_in_graph]):
        record = sides.records.get(script.revision)
        if record is None or record.standing is not Standing.IN:
            continue
        attempt = record.attempt
        first = sides.records[later.revision].attempt.ordinal if later else attempt.ordinal
        if (
            later
            and attempt.ordinal > first
            and attempt.state is State.APPLIED
            and not attempt.was_allowed_out_of_order
        ):
            what = f"stands before {later.name}, and came in after it"
            helps = "put back the names and down-revisions as they were when these ran"
            yield Difference(kind=Kind.REORDERED, name=script.name, what=what, helps=helps)
        later = script if later is None or attempt.ordinal < first else later


def _duplicated(sides: _Sides) -> Iterator[Difference]:
    for attempt in repeated(sides.attempts):
        what = f"was applied while it was in already (row {attempt.ordinal} of the ledger)"
        helps = f"look what it did twice, then say `dbcustody migrate resolve --applied {attempt.name}`, with a reason"
        yield Difference(kind=Kind.DUPLICATED, name=attempt.name, what=what, helps=helps)
    seen: dict[str, Script] = {}
    for script in sides.scripts:
        other = seen.setdefault(script.revision, script)
        if other is not script:
            what = f"has the revision {script.revision}, which {other.name} has, too"
            yield Difference(
                kind=Kind.DUPLICATED, name=script.name, what=what, helps="give one that is not in another revision"
            )


def _several_heads(scripts: Sequence[Script]) -> Iterator[Difference]:
    heads = _heads([script.revision for script in scripts], scripts)
    if len(heads) > 1:
        names = {script.revision: script.name for script in scripts}
        what = f"is one of {len(heads)} ends of the source: {', '.join(heads)}"
        joined = f"add a migration with `-- dbcustody: down-revision {', '.join(heads)}`"
        if any(script.is_in_graph for script in scripts):
            joined = f"join them: `alembic merge -m '...' {' '.join(heads)}`"
        helps = f"let one come after the other, or {joined}"
        yield from (Difference(kind=Kind.SEVERAL_HEADS, name=names[head], what=what, helps=helps) for head in heads)
