"""`dbcustody migrate ...`: the files of a folder against the database of DATABASE_URL, by the same engine as a Job's.

The exit codes tell what a script has to know: 2 pending, 4 a person has to resolve something, 5 locked, 7 files and database differ.
"""

from __future__ import annotations

import getpass
import json
import socket
import sys
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

import dbcustody
from dbcustody.cli.ending import Exit, asking, complain, interruptible
from dbcustody.cli.environment import read_migrating
from dbcustody.cli.figures import table_text
from dbcustody.cli.standalone import default_custody_id
from dbcustody.errors import InvalidSpecError, RefusedError
from dbcustody.jobs.foresight import foresee, require_passed
from dbcustody.jobs.migration import MigrationOrder, look, migrate, require_sound
from dbcustody.jobs.reversal import declare, roll_back, to_undo
from dbcustody.jobs.tools import make_target
from dbcustody.migration.filename import parse_filename
from dbcustody.migration.finding import Severity
from dbcustody.migration.history import Kind
from dbcustody.migration.ledger import State
from dbcustody.migration.outlook import look_ahead
from dbcustody.migration.planned import FailOn, Policy
from dbcustody.migration.script import SourceFile, read_scripts
from dbcustody.reason import Reason

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping

    from dbcustody.migration.history import History
    from dbcustody.migration.script import Script

_LEFT: Final = "the next `dbcustody migrate deploy` settles what it left"
_UNFINISHED: Final = frozenset({Kind.PARTIAL, Kind.UNSETTLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What every verb is told."""

    folder: Path
    allows_out_of_order: bool = False
    lock_wait_seconds: int = 60
    fail_on: FailOn = FailOn.ERROR


def status(environ: Mapping[str, str], wish: Wish, *, as_json: bool) -> int:
    """Show what is applied and pending, and everything in which files and database differ; writes nothing. Returns the exit code."""
    order = order_of(environ, wish)
    history = look(order)
    click.echo(json.dumps(_as_json(history), indent=2) if as_json else _as_text(order, history))
    return standing_of(history)


def deploy(environ: Mapping[str, str], wish: Wish) -> int:
    """Carry out what is pending; returns the exit code."""

    def work(stop: threading.Event) -> int:
        order = order_of(environ, wish, stop=stop)
        foreseen = foresee(order, Policy(fail_on=wish.fail_on))
        require_sound(foreseen.history)
        require_passed(foreseen.plan)
        for finding in foreseen.plan.findings:
            if finding.severity is Severity.WARNING and finding.waived is None:
                complain(str(finding), kind="note")
        admitted = frozenset(script.name for script in foreseen.history.pending)
        history = migrate(replace(order, admitted=admitted))
        done = [name for name in history.applied if name not in foreseen.history.applied]
        for difference in history.differences:
            complain(str(difference), kind="note")
        click.echo(f"{_counted(len(done))} applied, the last is {done[-1]}" if done else "nothing is pending")
        return Exit.DONE

    return interruptible(work, left=_LEFT)


def rollback(environ: Mapping[str, str], wish: Wish, *, target: str, is_agreed: bool) -> int:
    """Undo everything after the migration *target* (`base`: everything); returns the exit code."""

    def work(stop: threading.Event) -> int:
        order, wanted = order_of(environ, wish, stop=stop), None if target == "base" else target
        undone = to_undo(order, look(order), wanted)
        if not undone:
            click.echo("nothing is to be undone")
            return Exit.DONE
        click.echo("\n".join(["to be undone, in this order:", *(f"  {script.name}" for script in undone)]), err=True)
        if not is_agreed:
            _agree()
        roll_back(order, wanted)
        click.echo(f"{_counted(len(undone))} undone")
        return Exit.DONE

    return interruptible(work, left=_LEFT)


def resolve(environ: Mapping[str, str], wish: Wish, *, name: str, state: State, reason: str) -> int:
    """Write down that the migration *name* was found to be in or out; returns the exit code."""

    def work(stop: threading.Event) -> int:
        declare(order_of(environ, wish, stop=stop), name, state, reason)
        click.echo(
            f"{name}: is marked as {'applied' if state is State.RESOLVED_APPLIED else 'rolled back'}; nothing was run"
        )
        return Exit.DONE

    return interruptible(work, left=_LEFT)


def new(folder: Path, words: str, *, has_down: bool, now: datetime) -> int:
    """Write an empty migration called after *words*, later than every other; returns the exit code. Nothing is ever overwritten."""
    stem = next_stem(folder, words, now)
    for ending in (".sql", ".down.sql")[: 2 if has_down else 1]:
        path = folder / f"{stem}{ending}"
        with path.open("x") as file:
            file.write(f"-- {' '.join(words.split())}\n")
        click.echo(str(path))
    return Exit.DONE


def next_stem(folder: Path, words: str, now: datetime) -> str:
    """Return the name of a new migration called after *words*, later than every other in *folder*, which is made where it is not there.

    Raises InvalidSpecError when *words* make no name.
    """
    slug = "_".join(
        filter(None, "".join(one if one.isalnum() and one.isascii() else "_" for one in words.lower()).split("_"))
    )
    if not slug:
        raise InvalidSpecError("NAME: must have letters or digits in it, such as `add users table`")
    folder.mkdir(parents=True, exist_ok=True)
    return f"{_time_after(folder, now):%Y%m%d_%H%M%S}_{slug}"


def _time_after(folder: Path, now: datetime) -> datetime:
    """Return *now*, or the second after the newest migration in *folder* when that is not earlier."""
    names = [parse_filename(path.name) for path in _files(folder)]
    taken = [
        datetime.strptime(one.revision, "%Y%m%d_%H%M%S").replace(tzinfo=UTC)
        for one in names
        if hasattr(one, "revision")
    ]
    newest = max(taken, default=None)
    moment = now.replace(microsecond=0)
    return moment if newest is None or moment > newest else newest + timedelta(seconds=1)


def _files(folder: Path) -> list[Path]:
    """Return the files that are to be migrations; hidden ones and texts for people are not."""
    return [one for one in sorted(folder.iterdir()) if one.is_file() and one.name[0] != "." and one.suffix != ".md"]


def read_folder(folder: Path) -> tuple[Script, ...]:
    """Return the migrations of *folder* in their order; raises RefusedError (SourceInvalid) with every fault of every file."""
    if not folder.is_dir():
        raise InvalidSpecError(f"--dir: there is no folder {folder}")
    source = read_scripts(SourceFile(name=path.name, content=path.read_bytes()) for path in _files(folder))
    if source.faults:
        for fault in source.faults:
            complain(str(fault))
        raise RefusedError(f"{len(source.faults)} faults in {folder}; nothing was run", reason=Reason.SOURCE_INVALID)
    return source.scripts


def order_of(
    environ: Mapping[str, str],
    wish: Wish,
    *,
    stop: threading.Event | None = None,
    scripts: tuple[Script, ...] | None = None,
) -> MigrationOrder:
    """Return what is to be done, by the environment and what was typed; raises InvalidSpecError, and as `read_folder` does.

    *scripts* None: those of the folder.
    """
    settings = read_migrating(environ)
    scripts = read_folder(wish.folder) if scripts is None else scripts
    more: dict[str, Any] = {} if stop is None else {"stop": stop}
    return MigrationOrder(
        target=make_target(settings.database, application="dbcustody migrate"),
        custody_id=settings.custody_id or default_custody_id(settings.database),
        maintenance_database="postgres",
        scripts=scripts,
        run=uuid.uuid4(),
        actor=f"{getpass.getuser()}@{socket.gethostname()}",
        tool=f"dbcustody {dbcustody.__version__}",
        allows_out_of_order=wish.allows_out_of_order,
        lock_wait_seconds=wish.lock_wait_seconds,
        say=lambda words: click.echo(words, err=True),
        **more,
    )


def _agree() -> None:
    """Ask a person; raises InvalidSpecError where none is there."""
    if not sys.stdin.isatty():
        raise InvalidSpecError("--yes: must be given where nobody can be asked")
    with asking():
        click.confirm("undo them", abort=True, err=True)


def _counted(number: int) -> str:
    return f"{number} migration{'' if number == 1 else 's'}"


def standing_of(history: History) -> Exit:
    """Return the exit code that tells how a database with *history* stands to its files."""
    kinds = {one.kind for one in history.differences}
    if kinds & _UNFINISHED:
        return Exit.NEEDS_RESOLUTION
    if kinds and not history.is_ahead:
        return Exit.INTEGRITY
    return Exit.PENDING if history.pending else Exit.DONE


def _as_text(order: MigrationOrder, history: History) -> str:
    risks = {script.name: look_ahead(script.up.statements).risk.label for script in order.scripts}
    rows = [(name, "Applied", risks.get(name, "-")) for name in history.applied]
    rows += [(script.name, "Pending", risks[script.name]) for script in history.pending]
    lines = [table_text(("MIGRATION", "STATE", "RISK"), rows)] if rows else ["no migrations"]
    lines += [f"{one.kind.value}: {one}" for one in history.differences]
    return "\n".join([*lines, f"{len(history.applied)} applied, {len(history.pending)} pending"])


def _as_json(history: History) -> dict[str, Any]:
    return {
        "applied": list(history.applied),
        "pending": [script.name for script in history.pending],
        "heads": list(history.heads),
        "differences": differences_as_json(history),
    }


def differences_as_json(history: History) -> list[dict[str, str]]:
    """Return everything in which files and database differ, for programs."""
    return [
        {"kind": one.kind.value, "migration": one.name, "what": one.what, "helps": one.helps}
        for one in history.differences
    ]
