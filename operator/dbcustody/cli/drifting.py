"""How `dbcustody migrate` tells that a schema is not what its history says, and what a migration left that is in in part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from dbcustody.api.migration import OnDrift
from dbcustody.cli.answer import tell_error
from dbcustody.cli.ending import Exit, complain
from dbcustody.migration.drift import Likeness
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbcustody.jobs.checkup import Checkup, Unfinished
    from dbcustody.migration.drift import Drift
    from dbcustody.migration.fingerprint import Change

_LONGEST: Final = 100


def is_refused(drift: Drift | None, wanted: OnDrift) -> bool:
    """Return whether nothing may run because of *drift*."""
    return drift is not None and drift.likeness is Likeness.DRIFTED and wanted is OnDrift.FAIL


def tell_drift(drift: Drift | None, *, as_json: bool = False) -> Exit:
    """Show in what the schema has drifted, and how to go on; returns the exit code for that."""
    for line in () if drift is None else drift_lines(drift):
        click.echo(line, err=True)
    words = "the schema is not what its ledger says; nothing was run"
    if as_json:
        tell_error(Reason.DRIFTED.value, words, drift=drift_as_json(drift))
    complain(f"{Reason.DRIFTED.value}: {words}")
    return Exit.DRIFT


def checkup_lines(checkup: Checkup) -> Iterator[str]:
    """Yield what a person has to know beyond the history; nothing when all is as it was left."""
    for unfinished in checkup.unfinished:
        yield from _unfinished_lines(unfinished)
    if checkup.why_not:
        yield f"Drift: not known: {checkup.why_not}"
    if checkup.drift is None:
        return
    if checkup.unfinished:
        yield from _since_lines(checkup.drift)
    else:
        yield from drift_lines(checkup.drift)


def drift_lines(drift: Drift) -> Iterator[str]:
    """Yield in what the schema has drifted, object by object, and the ways out; nothing when it has not."""
    if drift.likeness is Likeness.UNKNOWN:
        yield f"Drift: not known yet: {drift.why}"
    if drift.likeness is not Likeness.DRIFTED:
        return
    if not drift.changes:
        yield f"Drift: the schema is another; {drift.told}"
    yield from (f"Drift: {change}" for change in drift.changes)
    yield "  a way out is to take it back by hand; or to write it as a migration, and say that this is in:"
    yield "    dbcustody migrate resolve --applied NAME --reason ..."
    yield "  or, if it is meant as it is:"
    yield f"    dbcustody migrate accept-drift {drift.found} --reason ..."


def _unfinished_lines(unfinished: Unfinished) -> Iterator[str]:
    yield from (f"  {words}: {_short(text)}" for words, text in unfinished.told)
    yield f"  if all of it is in, or you finish it by hand: dbcustody migrate resolve --applied {unfinished.name} --reason ..."
    yield "    nothing runs, and the next deploy goes on after it"
    yield f"  if nothing of it is in, or you take it back:  dbcustody migrate resolve --rolled-back {unfinished.name} --reason ..."
    yield "    nothing runs, and the next deploy runs it from its first statement"


def _since_lines(drift: Drift) -> Iterator[str]:
    """Yield what changed since the migration that is in in part was begun: the last fingerprint is from right before it."""
    if drift.likeness is Likeness.UNKNOWN or (drift.likeness is Likeness.DRIFTED and not drift.changes):
        yield f"  what changed in the schema since it was begun is not known: {drift.told}"
    elif not drift.changes:
        yield "  in the schema nothing has changed since it was begun; rows may have"
    else:
        yield "  in the schema this has changed since it was begun:"
        yield from (f"    {change}" for change in drift.changes)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def checkup_as_json(checkup: Checkup) -> dict[str, Any]:
    """Return the same for programs."""
    return {
        "drift": drift_as_json(checkup.drift, checkup.why_not),
        "unrecordedTables": checkup.unrecorded_tables,
        "unfinished": [
            {
                "migration": one.name,
                "statements": [{"line": ran.line, "done": ran.is_done} for ran in one.statements],
            }
            for one in checkup.unfinished
        ],
    }


def drift_as_json(drift: Drift | None, why_not: str = "") -> dict[str, Any] | None:
    """Return how the schema stands to the ledger; None: nobody asked, and *why_not* it could not be asked is empty."""
    if drift is None:
        return {"state": Likeness.UNKNOWN.value, "why": why_not} if why_not else None
    return {
        "state": drift.likeness.value,
        "why": drift.why or None,
        "fingerprint": drift.found,
        "expected": drift.expected,
        "changes": changes_as_json(drift),
    }


def changes_as_json(drift: Drift) -> list[dict[str, str | None]]:
    """Return in what the schema has drifted, object by object, for programs."""
    return [_change_as_json(change) for change in drift.changes]


def _change_as_json(change: Change) -> dict[str, str | None]:
    return {
        "change": change.turn.value,
        "kind": change.key.kind.value,
        "name": change.key.name,
        "property": change.aspect,
        "from": change.before,
        "to": change.after,
    }
