"""`dbcustody restore --replace`: a backup takes the place of the database that runs, which is backed up first and kept afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from dbcustody.api.restore import MissingRoles
from dbcustody.cli.backup import back_up, say_compression
from dbcustody.cli.backups import find_backup
from dbcustody.cli.ending import Exit, complain, exit_of, interruptible, told
from dbcustody.cli.environment import read_standalone
from dbcustody.cli.figures import count_text, time_text
from dbcustody.cli.progress import make_display
from dbcustody.cli.restore import ask_which
from dbcustody.cli.standalone import known_database, require_clients, set_up
from dbcustody.cli.swapping import LEFT, Consent, Swapping
from dbcustody.contract import Verb
from dbcustody.jobs import restore as restore_job
from dbcustody.plan.invocation import safety_name
from dbcustody.reason import ExitCode

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping

    from dbcustody.cli.standalone import Bench
    from dbcustody.contract import JobResult
    from dbcustody.repository.inventory import ReadBackup


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacing:
    """What was said on the command line; *name* None: is asked at the terminal."""

    name: str | None
    consent: Consent
    with_safety_backup: bool = True
    jobs: int = 2
    missing_roles: MissingRoles = MissingRoles.FAIL


def replace_database(environ: Mapping[str, str], choice: Replacing) -> int:
    """Put the backup in the place of the database of DATABASE_URL, and tell how to take that back; returns the exit code.

    Raises InvalidSpecError for wrong settings or a confirmation that is missing, and what the Jobs raise; the live database is open then.
    """
    settings = read_standalone(environ)
    display = make_display()

    def work(stop: threading.Event) -> int:
        with set_up(settings, environ, report=display.report, stop=stop) as bench:
            client = require_clients(bench.tools)
            _, backup = find_backup(bench, choice.name or ask_which(bench), read_only=True)
            swapping = Swapping(
                bench=bench,
                display=display,
                consent=choice.consent,
                backup_id=backup.manifest.backup_id,
                jobs=choice.jobs,
                missing_roles=choice.missing_roles,
            )
            if choice.with_safety_backup:
                say_compression(settings, client)
            return _replace(swapping, choice, backup)

    return interruptible(work, left=LEFT)


def _replace(swapping: Swapping, choice: Replacing, backup: ReadBackup) -> int:
    wanted = swapping.confirmation()
    plan = swapping.plan(wanted)
    if not backup.is_good:
        complain(
            f"backup {backup.manifest.name}: was never verified; all that is read of it is checked now", kind="note"
        )
    swapping.show(_head(swapping.bench, backup), plan)
    confirm = swapping.agree(wanted)
    safety = _safety_backup(swapping) if choice.with_safety_backup else None
    if safety is not None and safety.exit_code is not ExitCode.DONE:
        complain(f"the safety backup is not good, so nothing is replaced: {told(safety.reason, safety.message)}")
        return exit_of(safety.reason)
    with swapping.display:
        asked = swapping.request(Verb.RESTORE, confirm=confirm, plan_hash=plan.hash)
        restored = restore_job.run(asked, swapping.bench.tools)
    swapped = swapping.swap(confirm)
    _tell(backup, restored, swapping, safety)
    swapping.tell_old(swapped, confirm)
    return Exit.DONE


def _head(bench: Bench, backup: ReadBackup) -> str:
    manifest, live = backup.manifest, known_database(bench.settings.database)
    return f"{live.database} at {live.host} is replaced by backup {manifest.name}, its data as of {time_text(manifest.snapshot)}"


def _safety_backup(swapping: Swapping) -> JobResult:
    bench = swapping.bench
    name = safety_name(bench.started, bench.tools.attempt)
    click.echo(f"safety backup {name}", err=True)
    with swapping.display:
        return back_up(bench, swapping.display, name)


def _tell(backup: ReadBackup, restored: JobResult, swapping: Swapping, safety: JobResult | None) -> None:
    facts = restored.restore
    checks = facts.checks if facts is not None else None
    rows = "rows not compared" if checks is None or checks.rows is None else f"{count_text(checks.rows)} rows"
    tables = 0 if checks is None else checks.tables
    click.echo(f"replaced {swapping.database} by {backup.manifest.name}: {tables} tables, {rows}, compared and equal")
    if safety is not None and safety.backup is not None:
        click.echo(f"  {'safety backup':<14}{safety.backup.name}, good")
    if facts is not None and facts.unknown_settings:
        complain(f"the server does not know {', '.join(facts.unknown_settings)}, which was left out", kind="note")
    for remark in checks.remarks if checks is not None else ():
        complain(remark, kind="note")
