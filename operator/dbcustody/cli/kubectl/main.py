"""The command tree of `kubectl dbcustody`. Each command imports what it needs when it runs, so that `--help` comes at once."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

import dbcustody
from dbcustody.cli.bounds import LARGEST_PARALLELISM, LONGEST_KEEP_SECONDS
from dbcustody.cli.kubectl.door import Door, in_cluster
from dbcustody.cli.side_effects import SIDE_EFFECTS
from dbcustody.errors import DbcustodyError, InvalidSpecError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime

    from dbcustody.cli.kubectl.session import Session

    Command = Callable[[Session], Awaitable[int]]

PROGRAM: Final = "kubectl-dbcustody"
"""As kubectl finds it, and as shells complete it."""
COMPLETE: Final = "_KUBECTL_DBCUSTODY_COMPLETE"
_SETTINGS: Final = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


_NAME: Final = click.option("--name", help="Name of the resource; by default one with the time in it.")
_WAIT: Final = click.option(
    "--wait", "waits", is_flag=True, help="Wait for the end and show how far it is; 1 when it fails."
)
_TIMEOUT: Final = click.option(
    "--timeout", "seconds", type=click.FloatRange(0), metavar="SECONDS", help="With --wait: how long; then 2."
)


@click.group(context_settings=_SETTINGS)
@click.version_option(dbcustody.__version__, prog_name="kubectl dbcustody")
def kubectl_command() -> None:
    """Ask the operator for backups and restores of PostgreSQL, and see how everything is.

    Exit codes: 0 done, 1 failed, 2 not yet or something needs a person, 64 wrong usage, 130 cancelled.
    """


@kubectl_command.group("backup")
def backup_group() -> None:
    """Have backups taken."""


@backup_group.command("now")
@click.argument("database")
@click.option("--policy", metavar="NAME", help="How it is taken; needed when the Database has several policies.")
@_NAME
@_WAIT
@_TIMEOUT
@in_cluster()
def backup_now_command(
    database: str, *, policy: str | None, name: str | None, waits: bool, seconds: float | None
) -> Command:
    """Have DATABASE backed up now, as its policy says, and print the name of the Backup."""
    from dbcustody.cli.kubectl.asking import backup_now  # noqa: PLC0415

    _check_patience(waits=waits, seconds=seconds)
    return lambda session: backup_now(session, database, policy=policy, name=name, waits=waits, seconds=seconds)


@kubectl_command.command("restore")
@click.argument("backup", required=False)
@click.option("--policy", metavar="NAME", help="Instead of BACKUP: the newest good backup of this policy,")
@click.option("--before", metavar="TIME", help="not younger than TIME (2027-01-31T02:00:00Z).")
@click.option("--storage", metavar="NAME", help="Instead of BACKUP: what lies in this BackupStorage,")
@click.option("--custody", "custody_id", metavar="ID", help="below this custody id,")
@click.option("--backup-id", metavar="ID", help="by this id; by default the newest good one.")
@click.option("--into", metavar="NEW", help="The new database; one that exists is never written into.")
@click.option("--on", "database", metavar="DATABASE", help="On whose server; by default the Database of the backup.")
@click.option(
    "--missing-roles",
    type=click.Choice(["Fail", "Create", "SkipOwnership"], case_sensitive=False),
    default="Fail",
    show_default=True,
    help="What to do about roles that the server does not have.",
)
@click.option(
    "--parallelism",
    type=click.IntRange(1, LARGEST_PARALLELISM),
    default=2,
    show_default=True,
    help="How much at a time.",
)
@click.option("--replace", metavar="DATABASE", help="Instead of --into: into the place of what DATABASE is.")
@click.option("--undo", metavar="RESTOREREQUEST", help="Instead of BACKUP: put back what this one put away.")
@click.option(
    "--confirm",
    metavar="DATABASE@SYSTEMID",
    help="Of --replace and --undo; by default it is asked for at the terminal.",
)
@click.option(
    "--keep-old",
    "keep_old_seconds",
    type=click.IntRange(0, LONGEST_KEEP_SECONDS),
    metavar="SECONDS",
    help="How long the old database is kept, shut, before it is dropped; by default a day.",
)
@click.option("--no-safety-backup", is_flag=True, help="Take no backup of what is there first.")
@click.option(
    "--acknowledge",
    multiple=True,
    type=click.Choice(SIDE_EFFECTS, case_sensitive=False),
    help="A side effect of the plan that is accepted; may be given several times.",
)
@click.option("--approval", is_flag=True, help="Have somebody else agree to the plan first.")
@_NAME
@_WAIT
@_TIMEOUT
@in_cluster()
def restore_command(
    *,
    before: str | None,
    missing_roles: str,
    acknowledge: tuple[str, ...],
    name: str | None,
    waits: bool,
    seconds: float | None,
    **words: Any,
) -> Command:
    """Have BACKUP brought back into a new database beside what runs, and print the name of the RestoreRequest.

    With --replace it then takes the place of what runs, which is kept, shut, and can be put back with --undo.

    Ctrl-C stops the waiting, not the restore: `kubectl dbcustody cancel` does that.
    """
    from dbcustody.api.restore import MissingRoles, SideEffect  # noqa: PLC0415
    from dbcustody.cli.kubectl.asking import restore  # noqa: PLC0415
    from dbcustody.plan.asking import RestoreWish  # noqa: PLC0415

    _check_patience(waits=waits, seconds=seconds)
    moment = None if before is None else _read_time(before)
    accepted = tuple(SideEffect(one) for one in acknowledge)
    wish = RestoreWish(before=moment, missing_roles=MissingRoles(missing_roles), acknowledge=accepted, **words)
    return lambda session: restore(session, wish, name=name, waits=waits, seconds=seconds)


@kubectl_command.command("cancel")
@click.argument("restorerequest")
@in_cluster()
def cancel_command(restorerequest: str) -> Command:
    """Have a restore stopped that is not over yet; it takes away what it had made."""
    from dbcustody.cli.kubectl.asking import cancel  # noqa: PLC0415

    return lambda session: cancel(session, restorerequest)


_KIND: Final = click.option(
    "--kind", default="restorerequest", show_default=True, metavar="KIND", help="Kind of the request."
)
_PLAN: Final = click.option("--plan", "plan_hash", metavar="HASH", help="Only if the request still tells this plan.")
_WHY: Final = click.option("--reason", metavar="TEXT", help="Why; it stands in the Approval for everybody to read.")


@kubectl_command.command("approve")
@click.argument("request", metavar="NAME")
@_KIND
@_PLAN
@_WHY
@in_cluster()
def approve_command(request: str, *, kind: str, plan_hash: str | None, reason: str | None) -> Command:
    """Agree to the plan that the request NAME tells now: show it, and create an Approval of that plan alone.

    Nobody can agree to what he asked for himself.
    """
    return _decide("Approve", kind, request, plan_hash=plan_hash, reason=reason)


@kubectl_command.command("deny")
@click.argument("request", metavar="NAME")
@_KIND
@_PLAN
@_WHY
@in_cluster()
def deny_command(request: str, *, kind: str, plan_hash: str | None, reason: str | None) -> Command:
    """Refuse the plan that the request NAME tells now, which ends the request; what would have been done is shown."""
    return _decide("Deny", kind, request, plan_hash=plan_hash, reason=reason)


@kubectl_command.command("plan")
@click.argument("place", metavar="NAME")
@click.option(
    "--dir",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Take the SQL from this folder, such as a checkout of what is in an image; it is said when it has other files.",
)
@in_cluster()
def plan_command(place: str, *, folder: Path | None) -> Command:
    """Show what the DatabaseMigration NAME (or pgmig/NAME) has pending: SQL, locks, risks, and what is in the way.

    0: nothing is pending; 2: something is; 3: and something is in its way.
    """
    from dbcustody.cli.kubectl.planning import plan  # noqa: PLC0415

    return lambda session: plan(session, place, folder)


@kubectl_command.command("timeline")
@click.argument("place", metavar="NAME")
@in_cluster()
def timeline_command(place: str) -> Command:
    """Show what happened to the DatabaseMigration NAME: attempts of its ledger, conditions, Approvals, backups, Events."""
    from dbcustody.cli.kubectl.planning import timeline  # noqa: PLC0415

    return lambda session: timeline(session, place)


def _decide(decision: str, kind: str, request: str, *, plan_hash: str | None, reason: str | None) -> Command:
    from dbcustody.api.approval import Decision  # noqa: PLC0415
    from dbcustody.cli.kubectl.deciding import decide  # noqa: PLC0415

    return lambda session: decide(session, Decision(decision), kind, request, plan_hash=plan_hash, reason=reason)


@kubectl_command.command("status")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Format.")
@in_cluster(everywhere=True)
def status_command(output: str) -> Command:
    """Show each Database with its newest proof, and what needs a person with the command to type; then 2."""
    from dbcustody.cli.kubectl.status import status  # noqa: PLC0415

    return lambda session: status(session, as_json=output == "json")


@kubectl_command.command("wait")
@click.argument("place", metavar="KIND/NAME")
@click.option(
    "--timeout",
    "seconds",
    type=click.FloatRange(0),
    default=600,
    show_default=True,
    metavar="SECONDS",
    help="How long; 0 looks once.",
)
@in_cluster()
def wait_command(place: str, seconds: float) -> Command:
    """Wait for a good end: 0 when it came, 1 when it cannot come any more, 2 when it has not come in time.

    A Backup or RestoreRequest has come to its good end when it succeeded, anything else when it is Ready as it is wanted now.
    """
    from dbcustody.cli.kubectl.asking import wait  # noqa: PLC0415

    return lambda session: wait(session, place, seconds=seconds)


@kubectl_command.command("doctor")
@click.option(
    "--operator-namespace", default="dbcustody", show_default=True, metavar="NAME", help="Where the operator runs."
)
@in_cluster(everywhere=True)
def doctor_command(operator_namespace: str) -> Command:
    """Check that everything is in place: API server, CRDs, operator, your rights, resources, Argo CD, clocks."""
    from dbcustody.cli.kubectl.doctor import doctor  # noqa: PLC0415

    return lambda session: doctor(session, operator_namespace=operator_namespace)


@kubectl_command.command("uninstall")
@click.option("--release-finalizers", "releases", is_flag=True, help="What is done; it has to be said.")
@click.option("--yes", "is_agreed", is_flag=True, help="Do not ask.")
@click.option("--force", "is_forced", is_flag=True, help="Also while an operator is alive, or could not be looked for.")
@click.option(
    "--operator-namespace", default="dbcustody", show_default=True, metavar="NAME", help="Where the operator ran."
)
@in_cluster(everywhere=True)
def uninstall_command(*, releases: bool, is_agreed: bool, is_forced: bool, operator_namespace: str) -> Command:
    """Take our finalizer off every resource, when the operator is gone, so that nothing hangs in Terminating.

    Says for each what stays where. Deletes nothing itself; what is being deleted already goes at once.
    """
    from dbcustody.cli.kubectl.leaving import release_finalizers  # noqa: PLC0415

    if not releases:
        raise InvalidSpecError(
            "uninstall: must be told --release-finalizers; the release itself goes with `helm uninstall`"
        )
    return lambda session: release_finalizers(
        session, operator_namespace=operator_namespace, is_agreed=is_agreed, is_forced=is_forced
    )


def _check_patience(*, waits: bool, seconds: float | None) -> None:
    if seconds is not None and not waits:
        raise InvalidSpecError("--timeout: goes with --wait only")


def _read_time(text: str) -> datetime:
    from dbcustody.codec import parse_time  # noqa: PLC0415

    try:
        return parse_time(text)
    except ValueError as error:
        raise InvalidSpecError(f"--before: {text[:40]!r} is no time with a zone, as 2027-01-31T02:00:00Z") from error


def run(words: Sequence[str] | None = None, door: Door | None = None, *, program: str = "kubectl dbcustody") -> int:
    """Run the command line as *program* and return its exit code; every error is one message on standard error."""
    program = PROGRAM if COMPLETE in os.environ else program
    try:
        code = kubectl_command.main(words, prog_name=program, complete_var=COMPLETE, standalone_mode=False, obj=door)
    except SystemExit as end:
        return int(end.code or 0)
    except (click.ClickException, click.exceptions.Abort, KeyboardInterrupt, DbcustodyError) as error:
        return _told(error)
    return int(code or 0)


def _told(error: BaseException) -> int:
    """Tell *error* and return the exit code that it means."""
    from dbcustody.cli.ending import Exit, complain  # noqa: PLC0415

    match error:
        case click.ClickException():
            error.show()
            return Exit.USAGE
        case InvalidSpecError():
            complain(error.message)
            return Exit.USAGE
        case DbcustodyError():
            complain(error.message)
            return Exit.ERROR
        case _:
            complain("cancelled")
            return Exit.CANCELLED


def main() -> NoReturn:
    """Run `kubectl dbcustody`; nobody is to see a traceback with values in it."""
    try:
        code = run()
    except Exception as error:  # noqa: BLE001 - the last frame of the process
        from dbcustody.cli.ending import INTERNAL_ERROR, complain, unforeseen  # noqa: PLC0415

        complain(f"{INTERNAL_ERROR}: {unforeseen(error)}")
        code = 1
    sys.exit(code)
