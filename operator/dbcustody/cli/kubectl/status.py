"""`status`: the estate in one table, and below it what needs a person, with the command to type."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from dbcustody.api.meta import Kind
from dbcustody.cli.ending import Exit
from dbcustody.cli.figures import table_text
from dbcustody.codec import encode, format_time
from dbcustody.logs import redact_text
from dbcustody.plan.estate import age_text, kept_of, rows_of
from dbcustody.plan.needs import needs_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from dbcustody.cli.kubectl.session import Session
    from dbcustody.plan.estate import Kept, Row
    from dbcustody.plan.needs import Need

_HEADER = ("DATABASE", "READY", "LAST-BACKUP", "VERIFIED", "NEXT-RUN", "STORAGE", "RECOVERY-POINT")


async def status(session: Session, *, as_json: bool) -> int:
    """Show how everything is; returns 0, or 2 when something needs a person."""
    resources, strange = await session.all(*(kind for kind in Kind if kind is not Kind.APPROVAL))
    now = session.now()
    rows, kept, needs = rows_of(resources), kept_of(resources, now), (*strange, *needs_of(resources, now))
    if as_json:
        click.echo(
            json.dumps(_redacted({"databases": encode(rows), "kept": encode(kept), "needs": encode(needs)}), indent=2)
        )
    else:
        click.echo(_as_text(session, rows, [*_told_needs(needs, now), *_told_kept(kept, now)]))
    return Exit.PENDING if needs else Exit.DONE


def plain(text: str) -> str:
    """Return *text* on one line, without what looks like a secret, and without what a terminal would obey."""
    return redact_text("".join(one if one.isprintable() else " " for one in text))


def _redacted(value: Any) -> Any:
    """Return *value* with every text in it redacted by itself, so that what comes out is still JSON."""
    if isinstance(value, dict):
        return {name: _redacted(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_redacted(item) for item in value]
    return redact_text(value) if isinstance(value, str) else value


def _as_text(session: Session, rows: Sequence[Row], told: Sequence[str]) -> str:
    now = session.now()
    everywhere = session.namespace is None
    where = "any namespace" if everywhere else f"namespace {session.namespace}"
    front = ("NAMESPACE",) if everywhere else ()
    cells = [((row.namespace,) if everywhere else ()) + _cells(row, now) for row in rows]
    table = table_text((*front, *_HEADER), cells) if rows else f"no Database in {where}"
    return "\n".join([table, "", *told])


def _told_needs(needs: Sequence[Need], now: datetime) -> list[str]:
    head = f"{len(needs)} things need a person:" if len(needs) != 1 else "1 thing needs a person:"
    return [head, *(_paragraph(need, now) for need in needs)] if needs else ["nothing needs a person"]


def _told_kept(kept: Sequence[Kept], now: datetime) -> list[str]:
    """Return what can still be taken back, which nobody has to do anything about."""
    told = (
        f"- {one.database} in {one.namespace}, until {format_time(one.until)} ({age_text(one.until, now)}): {one.name}\n  $ {one.command}"
        for one in kept
    )
    return (
        ["", "old databases that can be put back:", *("\n".join(map(plain, one.split("\n"))) for one in told)]
        if kept
        else []
    )


def _cells(row: Row, now: datetime) -> tuple[str, ...]:
    return (
        row.name,
        row.ready,
        age_text(row.last_backup, now),
        age_text(row.last_verified, now),
        age_text(row.next_run, now),
        ",".join(row.storages) or "-",
        row.recovery_point or "-",
    )


def _paragraph(need: Need, now: datetime) -> str:
    since = "" if need.since is None else f" (for {age_text(need.since, now)})"
    lines = [f"- {need.resource} in {need.namespace}: {need.reason}{since}", need.message]
    lines += [f"what helps: {need.remedy}"] if need.remedy else []
    lines += [f"$ {need.command}"] if need.command else []
    return "\n  ".join(plain(line) for line in lines if line)
