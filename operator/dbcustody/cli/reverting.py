"""`dbcustody restore --undo`, `--drop-old` and `--recover`: what becomes of the databases that a replacement left on the server."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

import click

from dbcustody.cli.ending import Exit, asking, complain, interruptible
from dbcustody.cli.environment import read_standalone
from dbcustody.cli.progress import make_display
from dbcustody.cli.standalone import set_up
from dbcustody.cli.swapping import LEFT, Consent, Swapping
from dbcustody.contract import Verb
from dbcustody.errors import InvalidSpecError
from dbcustody.jobs.recovery import drop_left, find_kept, recover

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Mapping

    from dbcustody.jobs.recovery import Left, Recovery


def undo(environ: Mapping[str, str], name: str | None, consent: Consent) -> int:
    """Put the old database *name* (None: of the last swap) back in its place, and keep what ran there; returns the exit code.

    Raises what `replacing.replace_database` raises, and RefusedError (NothingToUndo).
    """
    settings = read_standalone(environ)
    display = make_display()

    def work(stop: threading.Event) -> int:
        with set_up(settings, environ, report=display.report, stop=stop) as bench:
            kept = find_kept(bench.request(Verb.PLAN_RESTORE), bench.tools, name)
            mark, since = kept.imprint.mark, kept.kept_since
            assert since is not None  # noqa: S101 - it is kept
            swapping = Swapping(bench=bench, display=display, consent=consent, undoes=mark, kept_time=since)
            return _put_back(swapping, kept)

    return interruptible(work, left=LEFT)


def _put_back(swapping: Swapping, kept: Left) -> int:
    wanted = swapping.confirmation()
    plan = swapping.plan(wanted)
    swapping.show(f"{swapping.database} is replaced by {kept.name}, which was put away for {kept.imprint.mark}", plan)
    confirm = swapping.agree(wanted)
    swapped = swapping.swap(confirm)
    click.echo(f"{swapping.database} is again what was put away as {kept.name}")
    swapping.tell_old(swapped, confirm)
    return Exit.DONE


def drop_old(environ: Mapping[str, str], name: str, *, is_agreed: bool) -> int:
    """Drop the database *name* that a restore of ours put away, or left unfinished, and no other; returns the exit code."""
    settings = read_standalone(environ)

    def work(stop: threading.Event) -> int:
        if not is_agreed:
            _ask_to_drop(name)
        with set_up(settings, environ, stop=stop) as bench:
            drop_left(bench.request(Verb.DROP_REPLACED), bench.tools, name)
        click.echo(f"{name} is dropped")
        return Exit.DONE

    return interruptible(work, left=LEFT)


def _ask_to_drop(name: str) -> None:
    if not sys.stdin.isatty():
        raise InvalidSpecError(f"--yes: is missing, and nobody can be asked; this drops the database {name}")
    with asking():
        click.confirm(f"drop the database {name}, which nothing brings back", abort=True, err=True)


def put_right(environ: Mapping[str, str]) -> int:
    """Open the database of DATABASE_URL if a swap that was broken off left it shut, and say what was found; returns the exit code."""
    settings = read_standalone(environ)

    def work(stop: threading.Event) -> int:
        with set_up(settings, environ, stop=stop) as bench:
            found = recover(bench.request(Verb.SETTLE_RESTORE), bench.tools)
        for line in _lines(found):
            click.echo(line)
        if not found.is_open:
            statement = 'ALTER DATABASE "{}" ALLOW_CONNECTIONS true;'.format(found.live.replace('"', '""'))
            complain(
                f"{found.live}: lets nobody in, and nothing on the server says that a swap shut it; unless somebody meant it: {statement}"
            )
            return Exit.ERROR
        return Exit.DONE

    return interruptible(work, left=LEFT)


def _lines(found: Recovery) -> Iterator[str]:
    if found.opened_for is not None:
        yield f"{found.live}: had been left shut by a swap that was broken off ({found.opened_for}), and is open again"
    elif found.is_open:
        yield f"{found.live}: is open"
    yield from (
        f"{name}: had been left open by an undo that was broken off, and is shut again" for name in found.shut_again
    )
    for left in found.left:
        drop = shlex.join(["dbcustody", "restore", "--drop-old", left.name, "--yes"])
        if left.is_kept:
            yield f"{left.name}: was put away for {left.imprint.mark}, to be kept until {left.imprint.until}; to drop it: {drop}"
        else:
            yield f"{left.name}: was made for {left.imprint.mark}, and is used by nobody; if that does not run any more: {drop}"
