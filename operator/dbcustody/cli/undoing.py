"""`dbcustody migrate rollback`: what would be undone is shown first, with the SQL of each way back and its risk, and then asked about."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from dbcustody.cli.answer import answer, answering
from dbcustody.cli.drifting import is_refused, tell_drift
from dbcustody.cli.ending import Exit, asking, complain, interruptible
from dbcustody.cli.migrating import LEFT, Wish, counted, order_of, standing_of
from dbcustody.errors import InvalidSpecError
from dbcustody.jobs.checkup import check_up
from dbcustody.jobs.reversal import roll_back, to_undo
from dbcustody.jobs.revision import previewed_back
from dbcustody.migration.outlook import risk_of_body

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Mapping, Sequence

    from dbcustody.jobs.migration import MigrationOrder
    from dbcustody.migration.body import Body
    from dbcustody.migration.script import Script

    Ways = Sequence[tuple[str, Body]]


def rollback(
    environ: Mapping[str, str],
    wish: Wish,
    target: str,
    *,
    is_agreed: bool,
    is_trial: bool = False,
    as_json: bool = False,
) -> int:
    """Undo everything after the migration *target* (`base`: everything), or only show what that would be (*is_trial*).

    Returns the exit code, which of a trial says what stands against it, or that something is to be undone.
    """
    wanted = None if target == "base" else target

    def work(stop: threading.Event) -> int:
        order = order_of(environ, wish, stop=stop)
        history, checkup = check_up(order)
        ways = _ways_back(order, to_undo(order, history, wanted))
        if not ways:
            return answer(_as_json((), None if is_trial else ()), "nothing is to be undone", as_json=as_json)
        if is_trial:
            answer(_as_json(ways, None), *_as_text(ways), as_json=as_json)
            for difference in history.differences:
                complain(f"{difference.kind.value}: {difference}", kind="note")
            standing = standing_of(history)
            if standing in {Exit.DONE, Exit.PENDING}:
                return tell_drift(checkup.drift) if is_refused(checkup.drift, wish.drift) else Exit.PENDING
            return standing
        click.echo("\n".join(_as_text(ways)), err=True)
        if not is_agreed:
            _agree()
        left = roll_back(order, wanted, agreed=[name for name, _ in ways]).applied
        undone = [name for name, _ in ways if name not in left]
        return answer(_as_json(ways, undone), f"{counted(len(undone))} undone", as_json=as_json)

    return answering(lambda: interruptible(work, left=LEFT), as_json=as_json)


def _ways_back(order: MigrationOrder, undone: Sequence[Script]) -> Ways:
    """Return the names of what is to be undone, in that order, and what each way back says; Python's by what it renders."""
    return tuple((script.name, previewed_back(script, metadata=order.metadata)) for script in undone)


def _as_text(ways: Ways) -> Iterator[str]:
    yield "to be undone, in this order:"
    for name, body in ways:
        yield f"  {name}: {risk_of_body(body).label}"
        for statement in body.statements:
            yield from (f"    {line}" for line in f"{statement.text};".splitlines())
        if body.unseen:
            yield f"    what it does is not known before it runs: {body.unseen}"


def _as_json(ways: Ways, undone: Sequence[str] | None) -> dict[str, Any]:
    """Return *ways* and what of them was *undone* for programs; None: it is only tried."""
    return {
        "dryRun": undone is None,
        "undone": list(undone or ()),
        "migrations": [
            {
                "migration": name,
                "risk": risk_of_body(body).label,
                "statements": [statement.text for statement in body.statements],
                "unseen": body.unseen or None,
            }
            for name, body in ways
        ],
    }


def _agree() -> None:
    """Ask a person; raises InvalidSpecError where none is there."""
    if not sys.stdin.isatty():
        raise InvalidSpecError("--yes: must be given where nobody can be asked; --dry-run shows what would be undone")
    with asking():
        click.confirm("undo them", abort=True, err=True)
