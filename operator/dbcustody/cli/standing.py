"""`dbcustody migrate status`: what is in, what is to come and why its last try failed, and in what files and database differ."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any

import click

from dbcustody.cli.answer import answer, answering
from dbcustody.cli.drifting import checkup_as_json, checkup_lines, is_refused
from dbcustody.cli.ending import Exit
from dbcustody.cli.figures import table_text, time_text
from dbcustody.cli.migrating import Wish, differences_as_json, order_of, standing_of
from dbcustody.jobs.checkup import check_up
from dbcustody.jobs.garbage import collect_rarely
from dbcustody.jobs.migration import MigrationOrder, heritage_of
from dbcustody.jobs.revision import previewed
from dbcustody.migration.outlook import risk_of_body
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dbcustody.jobs.checkup import Checkup
    from dbcustody.migration.history import History
    from dbcustody.migration.ledger import Attempt

_AGAIN = "`dbcustody migrate deploy` tries it again"


def status(environ: Mapping[str, str], wish: Wish, *, as_json: bool) -> int:
    """Show what is applied and pending, and everything in which files and database differ, or the schema from what it was left as.

    Writes nothing. Returns the exit code.
    """
    return answering(lambda: _show(environ, wish, as_json=as_json), as_json=as_json)


def _show(environ: Mapping[str, str], wish: Wish, *, as_json: bool) -> int:
    collect_rarely()
    order = order_of(environ, wish)
    risks = {} if as_json else {script.name: risk_of_body(script.up).label for script in order.scripts}
    history, checkup = check_up(order)
    others = heritage_of(order, history)
    if as_json:
        content = _as_json(history) | checkup_as_json(checkup) | {"otherHistories": list(others)}
        answer(content, as_json=True)
    else:
        risks |= _previewed_risks(order, history)
        first = () if others else _baseline_lines(checkup)
        click.echo("\n".join([_as_text(risks, history, checkup), *others, *first]))
    standing = standing_of(history)
    return Exit.DRIFT if standing in {Exit.DONE, Exit.PENDING} and is_refused(checkup.drift, wish.drift) else standing


def _baseline_lines(checkup: Checkup) -> Iterator[str]:
    """Yield what helps where the first migrations may be in though nobody wrote it down; of another tool's history that tells itself."""
    if count := checkup.unrecorded_tables:
        yield f"Baseline: no history says who made the tables that are in this database ({count})"
        yield "  if the first of these migrations are in already, say so of each, oldest first; nothing runs:"
        yield "    dbcustody migrate resolve --applied NAME --reason ..."
        yield "  if another tool ran them: dbcustody migrate adopt; if the tables are others: dbcustody migrate deploy"


def _previewed_risks(order: MigrationOrder, history: History) -> dict[str, str]:
    """Return the risks of what is pending in Python, by what it renders."""
    pending = (previewed(script, metadata=order.metadata) for script in history.pending if script.is_python)
    return {script.name: risk_of_body(script.up).label for script in pending}


def _as_text(risks: Mapping[str, str], history: History, checkup: Checkup) -> str:
    rows = [(name, "Applied", risks.get(name, "-")) for name in history.applied]
    rows += [(script.name, "Pending", risks[script.name]) for script in history.pending]
    lines = [table_text(("MIGRATION", "STATE", "RISK"), rows)] if rows else ["no migrations"]
    lines += [f"Failed: {attempt.name}: {_failure_text(attempt)}" for attempt in history.failed]
    lines += [f"{one.kind.value}: {one}" for one in history.differences]
    lines += checkup_lines(checkup)
    return "\n".join([*lines, f"{len(history.applied)} applied, {len(history.pending)} pending"])


def _as_json(history: History) -> dict[str, Any]:
    return {
        "applied": list(history.applied),
        "pending": [script.name for script in history.pending],
        "failed": [_failure_as_json(attempt) for attempt in history.failed],
        "heads": list(history.heads),
        "differences": differences_as_json(history.differences),
    }


def _failure_text(attempt: Attempt) -> str:
    """Return why *attempt* failed, as the ledger keeps it, which is without the server's message: that may hold values."""
    state = f"SQLSTATE {attempt.sqlstate}" if attempt.sqlstate is not None else None
    why = ", ".join(word for word in (state, attempt.reason) if word) or "nobody wrote down why"
    return f"failed at {_time_of(attempt) or '-'} ({why}); {_what_helps(attempt)}"


def _time_of(attempt: Attempt) -> str | None:
    """Return when *attempt* ended, in UTC; None: the ledger does not say."""
    return None if attempt.finished is None else time_text(attempt.finished.astimezone(UTC))


def _what_helps(attempt: Attempt) -> str:
    """Return how to go on after *attempt*; what was refused is refused again until the file, or what it met, is another."""
    if attempt.reason in {Reason.MIGRATION_FAILED.value, None}:
        return f"nothing of it is in: correct the file, or what it met in the database; then {_AGAIN}"
    return f"nothing of it is in: {_AGAIN}"


def _failure_as_json(attempt: Attempt) -> dict[str, str | None]:
    return {
        "migration": attempt.name,
        "sqlstate": attempt.sqlstate,
        "reason": attempt.reason,
        "finishedAt": _time_of(attempt),
        "helps": _what_helps(attempt),
    }
