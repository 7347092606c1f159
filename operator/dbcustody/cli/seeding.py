"""`dbcustody seed`: the rows that a database of developers begins with, from SQL files and from a command of the project's own."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from dbcustody.cli.answer import answering
from dbcustody.cli.ending import Exit, complain, interruptible
from dbcustody.cli.environment import read_laptop
from dbcustody.cli.laptop import refuse_production
from dbcustody.cli.migrating import Wish, order_of
from dbcustody.errors import InterruptedRunError, InvalidSpecError, RefusedError
from dbcustody.jobs.renewal import survey
from dbcustody.jobs.seeding import Seeded, sow
from dbcustody.migration.script import SourceFile
from dbcustody.migration.seed import read_seeds
from dbcustody.migration.tree import Tree
from dbcustody.reason import Reason

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping, Sequence

    from dbcustody.jobs.migration import MigrationOrder
    from dbcustody.migration.body import Body

FOLDER: Final = Path("seeds")
_LEFT: Final = "a seed is in as a whole or not at all; the next `dbcustody seed` goes on"
_LOOK_SECONDS: Final = 0.2
_SIGNALLED: Final = 128
"""What shells add to the number of a signal that ended a command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedWish:
    """What `seed` is told."""

    folder: Path = FOLDER
    files: tuple[Path, ...] = ()
    """These instead of those of the folder."""
    again: bool = False
    in_production: bool = False
    arguments: tuple[str, ...] = field(default=())
    """More words for the command."""


def seed(environ: Mapping[str, str], wish: SeedWish, *, lock_wait_seconds: int, as_json: bool) -> int:
    """Run the seeds that have not run yet, and then the command; returns the exit code, which is the command's where that failed."""
    return answering(
        lambda: _seed(environ, wish, lock_wait_seconds=lock_wait_seconds, as_json=as_json), as_json=as_json
    )


def _seed(environ: Mapping[str, str], wish: SeedWish, *, lock_wait_seconds: int, as_json: bool) -> int:
    laptop = read_laptop(environ)
    if not wish.in_production:
        refuse_production(laptop, "seed")
    seeds = read_files(wish)

    def work(stop: threading.Event) -> int:
        order = order_of(environ, Wish(folder=wish.folder, lock_wait_seconds=lock_wait_seconds), stop=stop, read=Tree())
        if not wish.in_production and (seeds or laptop.seed_command) and (found := survey(order)) is not None:
            refuse_production(laptop, "seed", operator=found.operator)
        done = sow(order, seeds, again=wish.again) if seeds else Seeded(ran=(), before=())
        code = run_command(environ, laptop.seed_command, wish.arguments, stop)
        _tell(done, laptop.seed_command, code, as_json=as_json)
        return code

    return interruptible(work, left=_LEFT)


def read_files(wish: SeedWish) -> tuple[Body, ...]:
    """Return the seeds; the folder of the default name need not be there.

    Raises RefusedError (SourceInvalid) with every fault of every file.
    """
    paths = wish.files or _in_folder(wish.folder)
    if missing := [str(path) for path in paths if not path.is_file()]:
        raise InvalidSpecError(f"--file: there is no file {', '.join(missing)}")
    source = read_seeds(SourceFile(name=path.name, content=path.read_bytes()) for path in paths)
    if source.faults:
        for fault in source.faults:
            complain(str(fault))
        raise RefusedError(f"{len(source.faults)} faults in the seeds; nothing was run", reason=Reason.SOURCE_INVALID)
    return source.seeds


def _in_folder(folder: Path) -> tuple[Path, ...]:
    if not folder.is_dir():
        if folder != FOLDER:
            raise InvalidSpecError(f"--dir: there is no folder {folder}")
        return ()
    return tuple(one for one in sorted(folder.iterdir()) if one.suffix == ".sql" and one.name[0] != ".")


def run_command(
    environ: Mapping[str, str], command: str | None, arguments: Sequence[str], stop: threading.Event
) -> int:
    """Let a shell run *command* and return its exit status (128 and the signal that ended it); 0 where there is none.

    It finds the database in its environment, as we do, and nowhere else: words of a command can be read by everybody on the machine. What
    it says goes to standard error. Raises InterruptedRunError when told to stop; the command is told, too, and waited for.
    """
    if command is None:
        return Exit.DONE
    words = f"{command} {shlex.join(arguments)}" if arguments else command
    process = subprocess.Popen(  # noqa: S602 - whoever sets the variable owns the shell
        words, shell=True, env=dict(environ), stdin=subprocess.DEVNULL, stdout=2, start_new_session=True
    )
    try:
        while process.poll() is None:
            if stop.wait(_LOOK_SECONDS):
                _send(process, signal.SIGTERM)
                process.wait()
                raise InterruptedRunError("DBCUSTODY_SEED_COMMAND: was told to stop, and has ended")
    finally:
        _send(process, signal.SIGKILL)
    code = process.returncode if process.returncode >= 0 else _SIGNALLED - process.returncode
    if code:
        complain(f"DBCUSTODY_SEED_COMMAND: ended with exit status {code}")
    return code


def _send(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send *number* to the command and whatever it started, if it has not ended."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)


def tell_order(order: MigrationOrder) -> str:
    """Return which database *order* is about, for people."""
    return f"{order.target.database} at {order.target.endpoint}"


def _tell(done: Seeded, command: str | None, code: int, *, as_json: bool) -> None:
    if as_json:
        click.echo(
            json.dumps(
                {"ran": list(done.ran), "before": list(done.before), "command": None if command is None else code}
            )
        )
        return
    if not done.ran and not done.before and command is None:
        click.echo("no seeds: there is no folder seeds with .sql files, and DBCUSTODY_SEED_COMMAND is not set")
        return
    click.echo(f"{len(done.ran)} seeds ran, {len(done.before)} had run before")
    if command is not None and code == 0:
        click.echo("the seed command is done")
