"""`dbcustody backup`: one backup of one database, proven, and the old ones thinned out; the same work as the operator's two Jobs."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import click

from dbcustody.api.backup import Stage
from dbcustody.api.policy import Algorithm, Level
from dbcustody.cli.ending import Exit, complain, exit_of, interruptible, told
from dbcustody.cli.environment import read_standalone
from dbcustody.cli.progress import make_display
from dbcustody.cli.standalone import notices, require_clients, require_test_server, set_up
from dbcustody.cli.summary import backup_text, retention_text
from dbcustody.contract import Verb
from dbcustody.errors import DbcustodyError, InterruptedRunError
from dbcustody.jobs import backup as backup_job
from dbcustody.jobs import prune as prune_job
from dbcustody.jobs.commitment import read_claim
from dbcustody.jobs.compression import NAMED_SINCE
from dbcustody.reason import ExitCode, Reason
from dbcustody.repository.layout import attempt_prefix, check_name

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping

    from dbcustody.api.restore import RestoreStage
    from dbcustody.cli.environment import Standalone
    from dbcustody.cli.progress import Display
    from dbcustody.cli.standalone import Bench
    from dbcustody.contract import JobResult

_BEFORE_COMMIT: Final = frozenset({None, Stage.WAITING, Stage.CONNECTING, Stage.LOCKING, Stage.DUMPING})


def take_backup(
    environ: Mapping[str, str], *, name: str | None = None, prune: bool = True, confirm: str | None = None
) -> int:
    """Take a backup named *name* (None: a new name), verify it, and *prune* unless that is declined; returns the exit code.

    *confirm* is the hash of a retention plan that waits for a person. Raises InvalidSpecError for wrong settings, and what the Job raises.
    """
    settings = read_standalone(environ)
    if settings.level is Level.RESTORE:
        require_test_server(settings)
    if name is not None:
        check_name(name)
    for notice in notices(settings.database):
        complain(notice, kind="note")

    def work(stop: threading.Event) -> int:
        display = make_display()
        with set_up(settings, environ, report=display.report, stop=stop) as bench, display:
            say_compression(settings, require_clients(bench.tools))
            result = back_up(bench, display, name or bench.tools.job_name)
            pruned = _prune(bench, confirm) if prune and result.exit_code is ExitCode.DONE else None
        return _conclude(bench, result, pruned)

    return interruptible(work)


def say_compression(settings: Standalone, newest_client: int) -> None:
    """Say when the clients at hand cannot compress as was wished."""
    wanted = settings.compression.algorithm
    if newest_client < NAMED_SINCE and wanted in {Algorithm.ZSTD, Algorithm.LZ4}:
        complain(
            f"the newest client at hand is pg_dump {newest_client}, which knows no {wanted.value}: Gzip is taken",
            kind="note",
        )


def back_up(bench: Bench, display: Display, name: str) -> JobResult:
    """Return the Job's result; a run that ended before its commit takes along what it had stored."""
    try:
        return backup_job.run(bench.request(Verb.BACKUP, name=name), bench.tools)
    except BaseException as error:
        if display.stage in _BEFORE_COMMIT:
            with suppress(DbcustodyError):
                _take_along(bench, name)
        elif isinstance(error, InterruptedRunError):
            raise InterruptedRunError(
                f"stopped while backup {name} was being {_doing(display.stage)}; what lies in the storage of it counts once "
                f"`dbcustody verify {name}` passed"
            ) from error
        raise


def _doing(stage: Stage | RestoreStage | None) -> str:
    return "committed" if stage is Stage.COMMITTING else "verified"


def _take_along(bench: Bench, name: str) -> None:
    """Delete what this very attempt stored, which nothing refers to; what cannot be deleted now is left to the next sweep."""
    store = bench.tools.store()
    backup_id = read_claim(store, bench.custody_id, name)
    if backup_id is not None:
        own = attempt_prefix(bench.custody_id, backup_id, bench.tools.attempt)
        store.delete([entry.key for entry in store.entries(own)])


def _prune(bench: Bench, confirm: str | None) -> JobResult | DbcustodyError:
    """Return what became of retention; the backup before it is good whatever that is, so an error is a result here."""
    request = bench.request(Verb.PRUNE)
    request = replace(request, retention=bench.settings.retention, confirm_prune=confirm)
    try:
        return prune_job.run(request, bench.tools)
    except DbcustodyError as error:
        return error


def _conclude(bench: Bench, result: JobResult, pruned: JobResult | DbcustodyError | None) -> int:
    """Show the summary, and return the exit code of the backup, or else of its retention."""
    if result.backup is not None:
        click.echo(backup_text(result, bench.settings.database))
    if result.exit_code is not ExitCode.DONE:
        complain(told(result.reason, result.message))
        return exit_of(result.reason)
    untested = _why_untested(result)
    if untested is not None:
        complain(f"the backup is good, but was not restored: {untested}")
    code = _conclude_retention(pruned)
    return Exit.ERROR if untested is not None and code == Exit.DONE else code


def _why_untested(result: JobResult) -> str | None:
    """Return why the restore test that was asked for did not pass, None: it did, or nobody asked."""
    test = result.backup.restore_test if result.backup is not None else None
    return None if test is None or test.reason is Reason.RESTORE_TESTED else told(test.reason, test.message)


def _conclude_retention(pruned: JobResult | DbcustodyError | None) -> int:
    if pruned is None:
        return Exit.DONE
    if isinstance(pruned, DbcustodyError):
        complain(f"the backup is good, but retention was not carried out: {told(pruned.reason, pruned.message)}")
        return exit_of(pruned.reason)
    if pruned.prune is not None:
        click.echo(retention_text(pruned.prune))
    if pruned.exit_code is not ExitCode.DONE:
        complain(f"the backup is good, but retention is not done: {told(pruned.reason, pruned.message)}")
    return exit_of(pruned.reason)
