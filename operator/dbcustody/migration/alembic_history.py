"""What Alembic's own table of versions says, held against the revisions of a source and against our ledger.

The table holds ends alone: that one of them is in says that everything is which it follows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dbcustody.migration.fault import Fault
from dbcustody.migration.graph import ancestors, ends
from dbcustody.migration.history import Difference, History, Kind
from dbcustody.migration.ledger import Standing, records
from dbcustody.migration.script import Script

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from dbcustody.migration.ledger import Attempt

ADOPT = "dbcustody migrate adopt --from alembic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """What is to be taken over, in the order of the chain, and why it cannot be; with faults nothing is to be written."""

    scripts: tuple[Script, ...]
    faults: tuple[Fault, ...]


def parents_of(scripts: Iterable[Script]) -> dict[str, tuple[str, ...]]:
    """Return what each revision follows."""
    return {script.revision: script.parents for script in scripts}


def adoption(heads: Sequence[str], scripts: Sequence[Script], attempts: Iterable[Attempt]) -> Adoption:
    """Return which of *scripts* Alembic's *heads* say are in, and the ledger of *attempts* does not know yet.

    Faults: a head that no script is of; what the ledger has in, and Alembic has not; what the ledger has in in part.
    """
    parents = parents_of(scripts)
    told = {*heads, *ancestors(heads, parents)}
    standings = {revision: record.standing for revision, record in records(attempts).items()}
    faults = [
        Fault(
            what=f"{head} is in Alembic's table, and no file is of it",
            helps="give the source that has it, an older one perhaps came back",
        )
        for head in heads
        if head not in parents
    ]
    for script in scripts:
        standing = standings.get(script.revision, Standing.OUT)
        if standing in {Standing.PARTIAL, Standing.UNSETTLED}:
            what, helps = "is in in part, as the ledger has it", "resolve it first: `dbcustody migrate status` says how"
            faults.append(Fault(file=script.up.file, what=what, helps=helps))
        elif standing is Standing.IN and script.revision not in told and not set(heads) - set(parents):
            what, helps = "is in, as the ledger has it, and not as Alembic has it", _STAMP
            faults.append(Fault(file=script.up.file, what=what, helps=helps))
    new = tuple(one for one in scripts if one.revision in told and standings.get(one.revision) is not Standing.IN)
    return Adoption(scripts=() if faults else new, faults=tuple(faults))


_STAMP = "`alembic stamp` says that it is in; `dbcustody migrate resolve --rolled-back` says that it is not"


def moved(heads: Sequence[str], revision: str, parents: Mapping[str, Sequence[str]], *, is_in: bool) -> tuple[str, ...]:
    """Return *heads* after *revision* came in, or went; sorted as Alembic's table is read. One that others follow changes nothing."""
    if is_in:
        return tuple(sorted(ends([*dict.fromkeys((*heads, revision))], parents)))
    if revision not in heads:
        return tuple(heads)
    rest = [head for head in heads if head != revision]
    return tuple(sorted(ends([*dict.fromkeys((*rest, *parents.get(revision, ())))], parents)))


def with_alembic(history: History, heads: Sequence[str] | None, scripts: Sequence[Script]) -> History:
    """Return *history* with every difference to what Alembic's table has; None: there is no such table."""
    if heads is None:
        return history
    found = tuple(_differences(heads, scripts, history.present))
    return replace(history, differences=(*history.differences, *found))


def _differences(heads: Sequence[str], scripts: Sequence[Script], present: Collection[str]) -> Iterator[Difference]:
    parents = parents_of(scripts)
    unknown = [head for head in heads if head not in parents]
    for head in unknown:
        what = "is in the database by Alembic's table, and no file is of it"
        helps = "deploy the source that has it; nothing is undone because an older one came back"
        yield Difference(kind=Kind.UNKNOWN_REVISION, name=head, what=what, helps=helps)
    told = {*heads, *ancestors(heads, parents)}
    unadopted = [script for script in scripts if script.revision in told and script.revision not in present]
    if unadopted:
        what = f"is in the database by Alembic's table, {_and_more(len(unadopted) - 1)}and the ledger does not know it"
        helps = f"say `{ADOPT}`: it writes down what is in, and runs nothing"
        yield Difference(kind=Kind.UNADOPTED, name=unadopted[-1].name, what=what, helps=helps)
    for script in () if unknown else scripts:
        if script.revision in present and script.revision not in told:
            what = "is in the database by the ledger, and not by Alembic's table"
            yield Difference(kind=Kind.TAKEN_BACK, name=script.name, what=what, helps=_STAMP)


def _and_more(count: int) -> str:
    return f"with {count} before it, " if count else ""
