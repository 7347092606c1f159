"""To wait for what was asked for, and to show how far it is meanwhile: a bar on a terminal, lines elsewhere.

Whoever stops waiting stops nothing: the work is the operator's.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import click

from dbcustody.adapters.kube import ours
from dbcustody.api.backup import Progress
from dbcustody.api.meta import Kind
from dbcustody.api.restore import RestoreProgress
from dbcustody.cli.ending import Exit, complain
from dbcustody.cli.kubectl.session import see
from dbcustody.cli.progress import make_display
from dbcustody.codec import decode
from dbcustody.errors import InvalidSpecError, UnavailableError
from dbcustody.plan.verdict import End, Verdict, judge, remedy_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dbcustody.cli.kubectl.session import Session
    from dbcustody.cli.progress import Display

LOOK_SECONDS: Final = 1.0
_PROGRESS: Final = {Kind.BACKUP: Progress, Kind.RESTORE_REQUEST: RestoreProgress}
_EXITS: Final = {End.GOOD: Exit.DONE, End.FAILED: Exit.ERROR, End.PENDING: Exit.PENDING}


async def follow(session: Session, kind: Kind, name: str, *, seconds: float | None) -> int:
    """Wait until the resource has come to an end, or for *seconds* (None: for as long as it takes); returns the exit code.

    An API server that does not answer for a while is asked again.
    """
    try:
        verdict = await _until_end(session, kind, name, seconds)
    except asyncio.CancelledError:
        stops = (
            f"; to stop it: kubectl dbcustody cancel {name} -n {session.home}" if kind is Kind.RESTORE_REQUEST else ""
        )
        complain(f"{kind.value.lower()} {name}: goes on without being watched{stops}", kind="note")
        raise
    tell(kind, name, verdict)
    return _EXITS[verdict.end]


async def _until_end(session: Session, kind: Kind, name: str, seconds: float | None) -> Verdict:
    started, is_told = session.now(), False
    with make_display() as display:
        while True:
            verdict = await _look(session, kind, name, display)
            if verdict == judge(None) and not is_told:
                complain(f"{kind.value.lower()} {name}: is not there yet in namespace {session.home}", kind="note")
                is_told = True
            waited = (session.now() - started).total_seconds()
            if verdict.end is not End.PENDING or (seconds is not None and waited >= seconds):
                return verdict
            await session.pause(LOOK_SECONDS)


def tell(kind: Kind, name: str, verdict: Verdict) -> None:
    """Say on standard error how it ended, and what helps."""
    subject = f"{kind.value.lower()} {name}"
    said = ": ".join(filter(None, (verdict.reason, verdict.message)))
    if verdict.end is End.GOOD:
        click.echo(f"{subject}: {said or 'done'}", err=True)
    elif verdict.end is End.PENDING:
        complain(f"{subject}: not yet ({said or 'nothing is said of it yet'})", kind="note")
    else:
        remedy = remedy_of(verdict.reason)
        complain(" ".join(f"{subject}: {said}{f' (what helps: {remedy})' if remedy else ''}".split()))


async def _look(session: Session, kind: Kind, name: str, display: Display) -> Verdict:
    try:
        body = await session.kube.get(ours(kind.plural), session.home, name)
    except UnavailableError as error:
        return Verdict(End.PENDING, message=error.message)
    if body is None:
        return judge(None)
    _show(display, kind, body)
    return judge(see(kind, body))


def _show(display: Display, kind: Kind, body: Mapping[str, Any]) -> None:
    """Show how far it is; a stage that a newer operator knows is not shown."""
    progress = (body.get("status") or {}).get("progress")
    if progress and kind in _PROGRESS:
        try:
            display.report(decode(_PROGRESS[kind], progress))
        except InvalidSpecError:
            return
