"""The history of another tool held against the files and against our ledger: what can be taken over, and every reason why not.

Nothing is taken over while anything contradicts: half a history would have the other half run again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import chain
from typing import TYPE_CHECKING, Final

from dbcustody.migration import atlas, flyway, prisma
from dbcustody.migration.history import Difference, Kind
from dbcustody.migration.layout import LaidMigration, Layout, Tool
from dbcustody.migration.ledger import Attempt, Record, Standing, State, records
from dbcustody.migration.predecessor import ForeignRow, Mark, Predecessor
from dbcustody.migration.script import Script

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_REPAIRS: Final = {
    Tool.PRISMA: "wait while it runs; else mend it and say `prisma migrate resolve --applied NAME` or `--rolled-back NAME`",
    Tool.FLYWAY: "undo what it left, then say `flyway repair`",
    Tool.GOLANG_MIGRATE: "mend what it left, then say `migrate force VERSION` with the version that is in",
    Tool.ATLAS: "let `atlas migrate apply` finish it, or say `atlas migrate set VERSION`",
}


class Proof(StrEnum):
    """How it is known that a file is what the other tool ran."""

    VERIFIED = "verified"
    NOT_KEPT = "not kept"
    """The tool keeps no checksum of it."""
    COVERED = "baseline"
    """It lies before the first that the tool looked after: nobody says that it ever ran."""
    DIFFERS = "differs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A migration that is in by the other tool's word, and what is known of it."""

    script: Script
    proof: Proof
    checksum: str | None
    """That of the other tool."""
    finished: datetime | None
    is_known: bool
    """Whether our ledger has it already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """What is to be taken over."""

    predecessor: Predecessor
    entries: tuple[Entry, ...]
    """What is in by the other tool's word, in its order."""
    pending: tuple[str, ...]
    """The names of the migrations that will be pending then."""
    differences: tuple[Difference, ...]
    """Why nothing can be taken over, all of it."""
    asides: tuple[str, ...]
    """What the table has beside, for people."""

    @property
    def new(self) -> tuple[Entry, ...]:
        """Those that our ledger does not have."""
        return tuple(entry for entry in self.entries if not entry.is_known)


@dataclass(frozen=True, slots=True)
class _Sides:
    layout: Layout
    scripts: Mapping[str, Script]
    predecessor: Predecessor
    records: Mapping[str, Record]
    chains: tuple[Mapping[str, frozenset[str]], ...]
    """Checksums over several files: of all there are, and of those alone that are in."""

    def standing(self, key: str) -> Standing | None:
        """Return where our ledger has the migration *key*; None: it says nothing of it."""
        record = self.records.get(key)
        return None if record is None else record.standing


def weigh(
    layout: Layout, predecessor: Predecessor, attempts: Iterable[Attempt], *, allows_out_of_order: bool = False
) -> Adoption:
    """Return what of *predecessor*, whose rows could be read, can be taken over with the files of *layout* into the ledger of *attempts*.

    With *allows_out_of_order* a file that the other tool did not run, and that is older than one which it did, is pending like any other.
    """
    scripts = {script.revision: script for script in layout.scripts}
    sides = _Sides(layout, scripts, predecessor, records(attempts), _chains(layout, predecessor))
    entries = tuple(_entries(sides))
    present = {entry.script.revision for entry in entries}
    waiting = [key for key in scripts if key not in present and sides.standing(key) is not Standing.IN]
    late = () if allows_out_of_order else _late(sides, waiting, present)
    return Adoption(
        predecessor=predecessor,
        entries=entries,
        pending=tuple(scripts[key].name for key in waiting),
        differences=tuple(
            chain(_failed(predecessor), _missing(sides), _edited(sides, entries), late, _contradicted(sides, entries))
        ),
        asides=tuple(_asides(predecessor)),
    )


def _entries(sides: _Sides) -> Iterator[Entry]:
    """Yield what is in: first what a row of another covers, as the files are sorted, then what has its own, as the rows are."""
    laid = {one.key: one for one in sides.layout.migrations}
    for key, one in laid.items():
        cover = sides.predecessor.covering(key)
        if cover is not None:
            yield _entry(sides, one, cover, _proof_of_covered(sides.predecessor.tool))
    for key, row in sides.predecessor.present.items():
        if key in laid:
            yield _entry(sides, laid[key], row, _proof(sides, laid[key], row))


def _entry(sides: _Sides, laid: LaidMigration, row: ForeignRow, proof: Proof) -> Entry:
    script = sides.scripts[laid.key]
    return Entry(
        script=script,
        proof=proof,
        checksum=row.checksum if row.key == laid.key else None,
        finished=row.finished,
        is_known=sides.standing(laid.key) is Standing.IN,
    )


def _proof_of_covered(tool: Tool) -> Proof:
    """Return what is known of what has no row: golang-migrate has run it, the others start behind it."""
    return Proof.NOT_KEPT if tool is Tool.GOLANG_MIGRATE else Proof.COVERED


def _proof(sides: _Sides, laid: LaidMigration, row: ForeignRow) -> Proof:
    if row.mark is Mark.UP_TO:
        return _proof_of_covered(sides.layout.tool)
    if not row.checksum:
        return Proof.NOT_KEPT
    return Proof.VERIFIED if _fits(sides, laid, row.checksum) else Proof.DIFFERS


def _fits(sides: _Sides, laid: LaidMigration, checksum: str) -> bool:
    """Return whether the file of *laid* is the one that has *checksum*."""
    if sides.layout.tool is Tool.PRISMA:
        return prisma.fits(laid.up.content, checksum)
    if sides.layout.tool is Tool.FLYWAY:
        return flyway.checksum(laid.up.content) == checksum
    return any(atlas.bare(checksum) in known.get(laid.key, ()) for known in sides.chains)


def _chains(layout: Layout, predecessor: Predecessor) -> tuple[Mapping[str, frozenset[str]], ...]:
    """Return the checksums that Atlas may have kept: a file that is pending may have come between since."""
    if layout.tool is not Tool.ATLAS:
        return ()
    return layout.chained, atlas.chained([one.up for one in layout.migrations if predecessor.claims(one.key)])


def _failed(predecessor: Predecessor) -> Iterator[Difference]:
    for row in predecessor.failed:
        what = f"has not come to its end, as {predecessor} has it"
        yield Difference(kind=Kind.PARTIAL, name=row.name, what=what, helps=_REPAIRS[predecessor.tool])


def _missing(sides: _Sides) -> Iterator[Difference]:
    """Yield what is in and has no file; a baseline needs none, where it stands for what was there before."""
    tool = sides.predecessor.tool
    for key, row in sides.predecessor.present.items():
        if key in sides.scripts or (row.mark is Mark.UP_TO and tool is not Tool.GOLANG_MIGRATE):
            continue
        what = f"is in, as {sides.predecessor} has it, and has no file"
        helps = "bring its file back, as SQL and under the same version; nothing is undone because a file is gone"
        yield Difference(kind=Kind.MISSING, name=row.name, what=what, helps=helps)


def _edited(sides: _Sides, entries: Sequence[Entry]) -> Iterator[Difference]:
    tool = sides.predecessor.tool
    whose = "it or a file before it was" if tool is Tool.ATLAS else "it was"
    for entry in entries:
        if entry.proof is Proof.DIFFERS:
            what = f"does not have the checksum {(entry.checksum or '')[:16]} that {tool.label} keeps: {whose} edited since"
            helps = "put back the text that ran, and write what is to change as a new migration"
            yield Difference(kind=Kind.EDITED, name=entry.script.name, what=what, helps=helps)


def _late(sides: _Sides, waiting: Sequence[str], present: set[str]) -> Iterator[Difference]:
    """Yield what is pending and older than something that is in."""
    places = {key: place for place, key in enumerate(sides.scripts)}
    last = max(present, key=places.__getitem__, default=None)
    for key in waiting:
        if last is not None and places[key] < places[last]:
            what = f"is pending, and older than {sides.scripts[last].name}, which is in"
            helps = "give it a later version, or say --out-of-order"
            yield Difference(kind=Kind.OUT_OF_ORDER, name=sides.scripts[key].name, what=what, helps=helps)


def _contradicted(sides: _Sides, entries: Sequence[Entry]) -> Iterator[Difference]:
    """Yield in what our ledger says otherwise."""
    for entry in entries:
        record = sides.records.get(entry.script.revision)
        if record is not None and (found := _contradiction(sides, entry, record)) is not None:
            yield found
    if sides.predecessor.tool is not Tool.GOLANG_MIGRATE or not sides.predecessor.failed:
        yield from _taken_back(sides, {entry.script.revision for entry in entries})


def _taken_back(sides: _Sides, claimed: set[str]) -> Iterator[Difference]:
    """Yield what was adopted and is not in any more; the one row of golang-migrate does not say so while it is dirty."""
    for key, record in sides.records.items():
        is_gone = key not in claimed and key not in sides.predecessor.present
        if is_gone and record.standing is Standing.IN and record.attempt.state is State.IMPORTED:
            what = f"was adopted, and is not in any more, as {sides.predecessor} has it"
            helps = (
                "go on with one tool alone: mark it as applied there, or undo it here with `dbcustody migrate rollback`"
            )
            yield Difference(kind=Kind.UNKNOWN, name=record.attempt.name, what=what, helps=helps)


def _contradiction(sides: _Sides, entry: Entry, record: Record) -> Difference | None:
    name = entry.script.name
    if record.standing is Standing.OUT:
        what = f"is in, as {sides.predecessor} has it, and was rolled back here"
        helps = f"say `dbcustody migrate resolve --applied {name}` with a reason when it is in, or take it out there"
        return Difference(kind=Kind.UNKNOWN, name=name, what=what, helps=helps)
    if record.standing is not Standing.IN:
        helps = "see what `dbcustody migrate status` says of it first"
        return Difference(kind=Kind.PARTIAL, name=name, what="is not settled in our ledger", helps=helps)
    if record.attempt.checksum not in {None, entry.script.checksum}:
        what = f"was {(record.attempt.checksum or '')[:12]} when it came into our ledger, and is {entry.script.checksum[:12]} now"
        helps = "put back the text that ran (the ledger keeps it), and write what is to change as a new migration"
        return Difference(kind=Kind.EDITED, name=name, what=what, helps=helps)
    return None


def _asides(predecessor: Predecessor) -> Iterator[str]:
    if predecessor.tool is Tool.FLYWAY:
        yield from (
            f"{row.name}: is a repeatable migration, and stays Flyway's"
            for row in predecessor.rows or ()
            if row.mark is Mark.ASIDE and row.name.startswith("R__")
        )
