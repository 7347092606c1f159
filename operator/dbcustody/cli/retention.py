"""`dbcustody retention explain`: the very judgement that a prune acts on, shown for any moment, with nothing that could delete in reach."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from dbcustody.cli.backups import look
from dbcustody.cli.ending import Exit, interruptible, told
from dbcustody.cli.environment import read_standalone
from dbcustody.cli.figures import size_text, table_text, time_text
from dbcustody.cli.standalone import set_up
from dbcustody.errors import InvalidSpecError
from dbcustody.plan.retention import decide

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping

    from dbcustody.plan.retention import RetentionPlan
    from dbcustody.repository.inventory import Inventory

_HEADER = ("NAME", "SNAPSHOT", "SIZE", "DECISION", "EXPIRES", "BECAUSE")


def explain(environ: Mapping[str, str], *, at_time: str | None) -> int:
    """Show for each backup whether it stays at *at_time* (None: now) and why; deletes nothing, and returns the exit code."""
    settings = read_standalone(environ, needs_database=False)
    at = datetime.now(UTC) if at_time is None else read_time(at_time)

    def work(stop: threading.Event) -> int:
        with set_up(settings, environ, stop=stop) as bench:
            location, inventory = look(bench)
        if not inventory.backups:
            click.echo(f"no backups of {bench.custody_id} in {location}")
            return Exit.DONE
        plan = decide(inventory, settings.retention, time_zone=settings.time_zone, now=at)
        click.echo(plan_text(plan, inventory, at))
        return Exit.DONE

    return interruptible(work)


def read_time(text: str) -> datetime:
    """Return the RFC 3339 time *text*; raises InvalidSpecError for anything else, a time without a zone included."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidSpecError(f"--at: {text[:40]!r} is no time; must be as 2027-01-31T02:00:00Z") from error
    if moment.tzinfo is None:
        raise InvalidSpecError(f"--at: {text[:40]!r} has no zone; must end with Z or as +02:00")
    return moment


def plan_text(plan: RetentionPlan, inventory: Inventory, at: datetime) -> str:
    """Return *plan* as a table, with what stands in its way below it."""
    backups = {one.manifest.backup_id: one for one in inventory.backups}
    rows = [
        (
            entry.name,
            time_text(backups[entry.backup_id].manifest.snapshot),
            size_text(backups[entry.backup_id].manifest.stored_bytes),
            "keep" if entry.keep else "delete",
            time_text(entry.expires),
            ", ".join(entry.because) or "-",
        )
        for entry in plan.entries
    ]
    head = f"as of {time_text(at)}; nothing is deleted by this command"
    return "\n".join([head, table_text(_HEADER, rows), *_obstacle(plan)])


def _obstacle(plan: RetentionPlan) -> tuple[str, ...]:
    if plan.frozen is None:
        return ()
    return (told(*plan.frozen),)
