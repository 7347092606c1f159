"""`dbcustody migrate ...`: the files of a folder against the database of DATABASE_URL, by the same engine as a Job's.

The exit codes tell what a script has to know: 2 pending, 4 a person has to resolve something, 5 locked, 7 files and database differ.
"""

from __future__ import annotations

import getpass
import socket
import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

import dbcustody
from dbcustody.adapters.postgres.alembic_version import VersionTable
from dbcustody.api.migration import FailOn, OnDrift
from dbcustody.cli.answer import answer, answering
from dbcustody.cli.drifting import changes_as_json, is_refused, tell_drift
from dbcustody.cli.ending import Exit, complain, interruptible
from dbcustody.cli.environment import read_migrating
from dbcustody.cli.folder import python_template, read_folder, read_layout, time_after
from dbcustody.cli.identity import default_custody_id
from dbcustody.errors import InvalidSpecError, RefusedError
from dbcustody.jobs.foresight import foresee, require_passed
from dbcustody.jobs.migration import MigrationOrder, migrate, require_runnable, require_sound
from dbcustody.jobs.reversal import accept_drift, declare
from dbcustody.jobs.tools import make_target
from dbcustody.migration.finding import Severity
from dbcustody.migration.history import Kind
from dbcustody.migration.ledger import State
from dbcustody.migration.successor import successor
from dbcustody.migration.tree import AUTO
from dbcustody.reason import Reason

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping, Sequence

    from dbcustody.migration.history import Difference, History
    from dbcustody.migration.tree import Tree


class NewKind(StrEnum):
    """What a new migration is written in."""

    SQL = "Sql"
    SQL_BOTH_WAYS = "SqlBothWays"
    PYTHON = "Python"


_ENDINGS: Final = {
    NewKind.SQL: (".sql",),
    NewKind.SQL_BOTH_WAYS: (".sql", ".down.sql"),
    NewKind.PYTHON: (".py",),
}
_NOTHING: Final = "nothing is pending"
LEFT: Final = "the next `dbcustody migrate deploy` settles what it left"
_UNFINISHED: Final = frozenset({Kind.PARTIAL, Kind.UNSETTLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What every verb is told."""

    folder: Path
    version_table: VersionTable = field(default_factory=VersionTable)
    metadata: str | None = None
    allows_out_of_order: bool = False
    lock_wait_seconds: int = 60
    fail_on: FailOn = FailOn.ERROR
    form: str = AUTO
    """Whose folder it is."""
    accepts_heritage: bool = False
    drift: OnDrift = OnDrift.FAIL
    exclude: tuple[str, ...] = ()


def deploy(environ: Mapping[str, str], wish: Wish, *, as_json: bool = False) -> int:
    """Carry out what is pending; returns the exit code."""

    def work(stop: threading.Event) -> int:
        order = order_of(environ, wish, stop=stop)
        foreseen = foresee(order)
        if foreseen.heritage and not wish.accepts_heritage:
            raise RefusedError("; ".join(foreseen.heritage), reason=Reason.HISTORY_FOREIGN)
        require_runnable(foreseen.history.pending)
        require_sound(foreseen.history)
        if not foreseen.history.pending and not foreseen.history.differences:
            return answer(_deployed((), foreseen.history), _NOTHING, as_json=as_json)
        require_passed(foreseen.plan)
        if foreseen.history.pending and is_refused(foreseen.drift, wish.drift):
            return tell_drift(foreseen.drift, as_json=as_json)
        for finding in foreseen.plan.findings:
            if finding.severity is Severity.WARNING and finding.waived is None:
                complain(str(finding), kind="note")
        admitted = frozenset(script.name for script in foreseen.history.pending)
        history = migrate(replace(order, admitted=admitted))
        done = [name for name in history.applied if name not in foreseen.history.applied]
        for difference in history.differences:
            complain(str(difference), kind="note")
        words = f"{counted(len(done))} applied, the last is {done[-1]}" if done else _NOTHING
        return answer(_deployed(done, history), words, as_json=as_json)

    return answering(lambda: interruptible(work, left=LEFT), as_json=as_json)


def _deployed(done: Sequence[str], history: History) -> dict[str, Any]:
    return {
        "applied": list(done),
        "pending": [script.name for script in history.pending],
        "differences": differences_as_json(history.differences),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What a person says of the migration *name*, and why."""

    name: str
    state: State
    reason: str
    is_forced: bool = False


def resolve(environ: Mapping[str, str], wish: Wish, word: Word, *, as_json: bool = False) -> int:
    """Write down that a migration was found to be in or out; returns the exit code."""

    def work(stop: threading.Event) -> int:
        order = order_of(environ, wish, stop=stop)
        history = declare(order, word.name, word.state, word.reason, is_forced=word.is_forced)
        marked = "applied" if word.state is State.RESOLVED_APPLIED else "rolled back"
        pending = [script.name for script in history.pending]
        state = "Applied" if word.state is State.RESOLVED_APPLIED else "RolledBack"
        content = {"migration": word.name, "markedAs": state, "applied": list(history.applied), "pending": pending}
        return answer(content, f"{word.name}: is marked as {marked}; nothing was run", as_json=as_json)

    return answering(lambda: interruptible(work, left=LEFT), as_json=as_json)


def accept(environ: Mapping[str, str], wish: Wish, *, fingerprint: str, reason: str, as_json: bool = False) -> int:
    """Write down that the schema with *fingerprint* is meant as it is; returns the exit code."""

    def work(stop: threading.Event) -> int:
        drift = accept_drift(order_of(environ, wish, stop=stop), fingerprint, reason)
        words = f"{fingerprint}: is accepted, and what the schema is compared with from now on"
        lines = [*map(str, drift.changes), words]
        return answer({"accepted": fingerprint, "changes": changes_as_json(drift)}, *lines, as_json=as_json)

    return answering(lambda: interruptible(work, left=LEFT), as_json=as_json)


def new(folder: Path, words: str, kind: NewKind, *, now: datetime, form: str = AUTO, as_json: bool = False) -> int:
    """Write an empty migration called after *words*, later than every other; returns the exit code. Nothing is ever overwritten."""

    def work() -> int:
        stem, title = next_stem(folder, words, now), " ".join(words.split())
        paths = _paths_after(folder, stem, kind, form)
        for path in paths:
            path.parent.mkdir(exist_ok=True)
            with path.open("x") as file:
                file.write(python_template(title, stem[:15]) if kind is NewKind.PYTHON else f"-- {title}\n")
        files = [str(path) for path in paths]
        return answer({"files": files}, *files, as_json=as_json)

    return answering(work, as_json=as_json)


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
    return f"{time_after(folder, now):%Y%m%d_%H%M%S}_{slug}"


def _paths_after(folder: Path, stem: str, kind: NewKind, form: str) -> tuple[Path, ...]:
    """Return where the next migration called *stem* is to lie, as its folder calls its files."""
    layout = read_layout(folder, form)
    if layout is not None and kind is not NewKind.PYTHON:
        moment, slug = datetime.strptime(stem[:15], "%Y%m%d_%H%M%S").replace(tzinfo=UTC), stem[16:]
        return tuple(folder / path for path in successor(layout, slug, moment))[: len(_ENDINGS[kind])]
    return tuple(folder / f"{stem}{ending}" for ending in _ENDINGS[kind])


def order_of(
    environ: Mapping[str, str], wish: Wish, *, stop: threading.Event | None = None, read: Tree | None = None
) -> MigrationOrder:
    """Return what is to be done, by the environment and what was typed; raises InvalidSpecError, and as `read_folder` does.

    *read* is the folder where it was read already.
    """
    settings = read_migrating(environ)
    read = read or read_folder(wish.folder, wish.form)
    more: dict[str, Any] = {} if stop is None else {"stop": stop}
    return MigrationOrder(
        target=make_target(settings.database, application="dbcustody migrate"),
        custody_id=settings.custody_id or default_custody_id(settings.database),
        maintenance_database="postgres",
        scripts=read.scripts,
        is_alembic=read.is_alembic,
        version_table=wish.version_table,
        metadata=wish.metadata,
        run=uuid.uuid4(),
        actor=f"{getpass.getuser()}@{socket.gethostname()}",
        tool=f"dbcustody {dbcustody.__version__}",
        allows_out_of_order=wish.allows_out_of_order,
        fail_on=wish.fail_on,
        accepts_heritage=wish.accepts_heritage,
        drift=wish.drift,
        exclude=wish.exclude,
        lock_wait_seconds=wish.lock_wait_seconds,
        say=lambda words: click.echo(words, err=True),
        **more,
    )


def counted(number: int) -> str:
    """Return so many migrations, in words."""
    return f"{number} migration{'' if number == 1 else 's'}"


def standing_of(history: History) -> Exit:
    """Return the exit code that tells how a database with *history* stands to its files."""
    kinds = {one.kind for one in history.differences}
    if kinds & _UNFINISHED:
        return Exit.NEEDS_RESOLUTION
    if kinds and not history.is_ahead:
        return Exit.INTEGRITY
    return Exit.PENDING if history.pending else Exit.DONE


def differences_as_json(differences: Sequence[Difference]) -> list[dict[str, str]]:
    """Return everything in which files and database differ, for programs."""
    return [
        {"kind": one.kind.value, "migration": one.name, "what": one.what, "helps": one.helps} for one in differences
    ]
