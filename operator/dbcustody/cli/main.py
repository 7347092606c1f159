"""The command tree. Each command imports what it needs when it runs: a Job never loads Kopf, the operator never loads boto3."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

import dbcustody
from dbcustody.cli.bounds import LARGEST_PARALLELISM, LONGEST_KEEP_SECONDS
from dbcustody.cli.developer import add_developers_verbs
from dbcustody.cli.side_effects import SIDE_EFFECTS
from dbcustody.errors import DbcustodyError, InvalidSpecError
from dbcustody.logs import set_up_remarks, where_raised


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(dbcustody.__version__, prog_name="dbcustody")
def dbcustody_command() -> None:
    """Take custody of PostgreSQL databases: backups that are encrypted, read back and counted.

    Stand-alone commands read DATABASE_URL, BACKUP_DIR or BACKUP_S3_BUCKET, and BACKUP_ENCRYPTION_KEY from the environment.
    """


@dbcustody_command.command("operator")
def operator_command() -> None:
    """Run the Kubernetes operator (in its Deployment, or locally with a kubeconfig)."""
    from dbcustody.handlers.startup import main as run_operator  # noqa: PLC0415 - see the module's docstring
    from dbcustody.settings import from_environ  # noqa: PLC0415

    sys.exit(run_operator(from_environ(os.environ)))


VERBS = [
    "inspect",
    "probe",
    "backup",
    "settle",
    "prune",
    "re-wrap",
    "hold",
    "plan-restore",
    "restore",
    "settle-restore",
    "swap",
    "drop-replaced",
    "plan-migration",
    "settle-migration",
    "migrate",
]
"""Those of `contract.Verb`, written out so that nothing is loaded for them; a test holds the two together."""


@dbcustody_command.command("job")
@click.argument("verb", type=click.Choice(VERBS))
def job_command(verb: str) -> None:
    """Do what the operator's request asks for; runs in a Job's pod."""
    from dbcustody.jobs.garbage import collect_rarely  # noqa: PLC0415
    from dbcustody.jobs.runner import main as run_job  # noqa: PLC0415

    collect_rarely()
    sys.exit(run_job(verb, os.environ))


@dbcustody_command.command("backup")
@click.option("--name", help="Name of the backup; one that the storage already holds is adopted, never taken again.")
@click.option("--no-prune", is_flag=True, help="Leave retention for later.")
@click.option(
    "--confirm-prune", metavar="HASH", help="Agree to the retention plan of this hash, which waits for a person."
)
def backup_command(name: str | None, *, no_prune: bool, confirm_prune: str | None) -> None:
    """Take a backup of DATABASE_URL, verify it, and thin out the old ones."""
    from dbcustody.cli.backup import take_backup  # noqa: PLC0415

    sys.exit(take_backup(os.environ, name=name, prune=not no_prune, confirm=confirm_prune))


@dbcustody_command.group("backups")
def backups_group() -> None:
    """Look at what lies in the storage."""


@backups_group.command("list")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def backups_list_command(*, as_json: bool) -> None:
    """List the backups of the database, oldest first."""
    from dbcustody.cli.backups import list_backups  # noqa: PLC0415

    sys.exit(list_backups(os.environ, as_json=as_json))


@dbcustody_command.command("verify")
@click.argument("name", required=False)
@click.option("--level", type=click.Choice(["Checksum", "Read", "Restore"]), default="Read", show_default=True)
def verify_command(name: str | None, *, level: str) -> None:
    """Read a backup back (the newest one unless NAME is given) and say whether it can be trusted."""
    from dbcustody.cli.backups import verify  # noqa: PLC0415

    sys.exit(verify(os.environ, name=name, level=level))


@dbcustody_command.command("restore")
@click.argument("name", required=False)
@click.option("--list", "as_list", is_flag=True, help="Show what can be restored, and do nothing.")
@click.option("--json", "as_json", is_flag=True, help="With --list: machine-readable.")
@click.option("--database", metavar="NEW", help="The new database, on the server of DATABASE_URL.")
@click.option("--to", metavar="URL", envvar="RESTORE_URL", help="The new database, anywhere; also as RESTORE_URL.")
@click.option(
    "--jobs",
    type=click.IntRange(1, LARGEST_PARALLELISM),
    default=2,
    show_default=True,
    help="How much is done at a time.",
)
@click.option(
    "--missing-roles",
    type=click.Choice(["Fail", "Create", "SkipOwnership"], case_sensitive=False),
    default="Fail",
    show_default=True,
    help="What to do about roles that the server does not have.",
)
@click.option(
    "--table", "tables", metavar="PATTERN", multiple=True, help="Only these tables, views, sequences; again for more."
)
@click.option("--exclude-table", "no_tables", metavar="PATTERN", multiple=True, help="Not these.")
@click.option("--schema", "schemas", metavar="PATTERN", multiple=True, help="Only what is in these schemas.")
@click.option("--exclude-schema", "no_schemas", metavar="PATTERN", multiple=True, help="Not what is in these.")
@click.option(
    "--owner-map", metavar="FROM=TO", multiple=True, help="A role of the server in the place of one of the backup."
)
@click.option(
    "--replace", "replaces", is_flag=True, help="Into the place of the database of DATABASE_URL, which is kept."
)
@click.option(
    "--confirm",
    metavar="DATABASE@SYSTEMID",
    help="Of --replace and --undo: the database that DATABASE_URL names, an @, and the identifier of its server.",
)
@click.option(
    "--keep-old",
    "keep_old_seconds",
    type=click.IntRange(0, LONGEST_KEEP_SECONDS),
    default=86_400,
    show_default=True,
    metavar="SECONDS",
    help="How long the old database is meant to be kept; 0 drops it at once.",
)
@click.option("--no-safety-backup", is_flag=True, help="With --replace: take no backup of what is there first.")
@click.option(
    "--acknowledge",
    "acknowledged",
    multiple=True,
    type=click.Choice(SIDE_EFFECTS, case_sensitive=False),
    help="A side effect of the plan that is accepted; may be given several times.",
)
@click.option(
    "--undo", metavar="[OLD]", is_flag=False, flag_value="", help="Put the old database OLD back in its place,"
)
@click.option("--last", is_flag=True, help="or the one that was put away last.")
@click.option("--drop-old", metavar="OLD", help="Drop the old database OLD.")
@click.option("--yes", "is_agreed", is_flag=True, help="With --drop-old: do not ask.")
@click.option(
    "--recover", "recovers", is_flag=True, help="Open the database if a swap that was broken off left it shut."
)
def restore_command(**words: Any) -> None:
    """Restore the backup NAME into a new database, and compare it with what was backed up before anybody may enter.

    With --replace it then takes the place of the database that runs, by a swap of names; the old one is kept, shut.
    """
    from dbcustody.cli.restoring import run  # noqa: PLC0415 - see the module's docstring

    sys.exit(run(os.environ, words))


@dbcustody_command.command("hold")
@click.argument("name")
def hold_command(name: str) -> None:
    """Place a hold beside the backup NAME: retention and removals leave it alone, in every cluster, until it is released."""
    from dbcustody.cli.holds import hold  # noqa: PLC0415

    sys.exit(hold(os.environ, name=name))


@dbcustody_command.command("release")
@click.argument("name")
@click.option("--all", "of_all", is_flag=True, help="Also the holds of resources, which their `spec.legalHold` placed.")
def release_command(name: str, *, of_all: bool) -> None:
    """Release the hold that was placed by hand beside the backup NAME."""
    from dbcustody.cli.holds import release  # noqa: PLC0415

    sys.exit(release(os.environ, name=name, of_all=of_all))


@dbcustody_command.group("retention")
def retention_group() -> None:
    """Ask what retention would do."""


@retention_group.command("explain")
@click.option("--at", "at_time", help="Judge as if it were this time (RFC 3339); nothing is deleted.")
def retention_explain_command(at_time: str | None) -> None:
    """Show for each backup whether it stays and why. Deletes nothing."""
    from dbcustody.cli.retention import explain  # noqa: PLC0415

    sys.exit(explain(os.environ, at_time=at_time))


@dbcustody_command.group("migrate")
def migrate_group() -> None:
    """Migrations: SQL files in a folder, carried out once each, in the order of their names, and written down in the database."""


_folder = click.option(
    "--dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("migrations"),
    show_default=True,
    help="Where the migrations lie.",
)
_out_of_order = click.option(
    "--out-of-order", "allows_out_of_order", is_flag=True, help="Also older ones that came late."
)
_wait = click.option(
    "--wait",
    "lock_wait_seconds",
    type=click.IntRange(0, 86_400),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="How long a backup or another migration of the same database is waited for.",
)


@migrate_group.command("status")
@_folder
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def migrate_status_command(folder: Path, *, as_json: bool) -> None:
    """Show what is applied and pending, and every difference between files and database. Writes nothing.

    Exit codes: 0 nothing pending, 2 pending, 4 a person has to resolve something, 7 files and database differ.
    """
    from dbcustody.cli.migrating import Wish, status  # noqa: PLC0415 - see the module's docstring

    sys.exit(status(os.environ, Wish(folder=folder), as_json=as_json))


@migrate_group.command("new")
@click.argument("name")
@_folder
@click.option("--down", "has_down", is_flag=True, help="Also a file for the way back.")
@click.option("--create-only", is_flag=True, expose_value=False, help="For habit's sake: it never applies anything.")
def migrate_new_command(name: str, folder: Path, *, has_down: bool) -> None:
    """Write an empty migration NAME, later than every other. Applies nothing, and overwrites nothing."""
    from datetime import UTC, datetime  # noqa: PLC0415

    from dbcustody.cli.migrating import new  # noqa: PLC0415

    sys.exit(new(folder, name, has_down=has_down, now=datetime.now(UTC)))


def _read_fail_on(_context: click.Context, _parameter: click.Parameter, value: str) -> Any:
    from dbcustody.migration.planned import FailOn  # noqa: PLC0415

    return FailOn(value.capitalize())


_fail_on = click.option(
    "--fail-on",
    type=click.Choice(["error", "warning", "never"]),
    default="error",
    show_default=True,
    callback=_read_fail_on,
    help="From which severity on a finding that is not waived is refused.",
)


@migrate_group.command("plan")
@_folder
@_out_of_order
@_fail_on
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def migrate_plan_command(folder: Path, *, as_json: bool, **more: Any) -> None:
    """Show what is pending: its SQL, the locks it takes and for how long in kind, what is risky, and the hash of the plan. Writes nothing.

    Exit codes: 0 nothing pending, 2 pending, 3 a finding refuses it, 4 a person has to resolve something, 7 files and database differ.
    """
    from dbcustody.cli.linting import plan  # noqa: PLC0415
    from dbcustody.cli.migrating import Wish  # noqa: PLC0415

    sys.exit(plan(os.environ, Wish(folder=folder, **more), as_json=as_json))


@migrate_group.command("lint")
@_folder
@_fail_on
@click.option("--since", metavar="MIGRATION", help="Only those after it; of a folder alone.")
@click.option("--offline", "is_offline", is_flag=True, help="Ask no database, although one is named.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def migrate_lint_command(folder: Path, *, fail_on: Any, **more: Any) -> None:
    """Show what is risky about migrations, and SQL that does the same safely. Writes nothing, and needs no database.

    Where DATABASE_URL is set, what is pending there is judged by the size of its tables.
    Exit codes: 0 nothing is refused, 1 a file is wrong, 3 a finding is refused.
    """
    from dbcustody.cli.linting import lint  # noqa: PLC0415
    from dbcustody.cli.migrating import Wish  # noqa: PLC0415

    sys.exit(lint(os.environ, Wish(folder=folder, fail_on=fail_on), **more))


@migrate_group.command("deploy")
@_folder
@_out_of_order
@_fail_on
@_wait
def migrate_deploy_command(folder: Path, **more: Any) -> None:
    """Carry out what is pending in the database of DATABASE_URL.

    Each migration is in as a whole or not at all, is written down, and waits for locks in short tries, so that nobody queues behind it.
    Nothing runs while `migrate plan` finds something that is refused.
    """
    from dbcustody.cli.migrating import Wish, deploy  # noqa: PLC0415

    sys.exit(deploy(os.environ, Wish(folder=folder, **more)))


@migrate_group.command("rollback")
@click.option("--to", "target", required=True, metavar="MIGRATION", help="The last that stays; `base`: none does.")
@click.option("--yes", "is_agreed", is_flag=True, help="Do not ask.")
@_folder
@_wait
def migrate_rollback_command(target: str, folder: Path, *, is_agreed: bool, **more: Any) -> None:
    """Undo what came after MIGRATION, newest first, by the `.down.sql` files."""
    from dbcustody.cli.migrating import Wish, rollback  # noqa: PLC0415

    sys.exit(rollback(os.environ, Wish(folder=folder, **more), target=target, is_agreed=is_agreed))


@migrate_group.command("resolve")
@click.option("--applied", metavar="MIGRATION", help="It was found to be in: by hand, or by another tool.")
@click.option("--rolled-back", metavar="MIGRATION", help="Nothing of it was found to be in.")
@click.option("--reason", required=True, help="Why; it is written down for whoever asks later.")
@_folder
@_wait
def migrate_resolve_command(
    applied: str | None, rolled_back: str | None, reason: str, folder: Path, **more: Any
) -> None:
    """Declare where a migration stands. Runs nothing of it."""
    from dbcustody.cli.migrating import Wish, resolve  # noqa: PLC0415
    from dbcustody.migration.ledger import State  # noqa: PLC0415

    if (applied is None) is (rolled_back is None):
        raise click.UsageError("exactly one of --applied and --rolled-back must be given")
    state = State.RESOLVED_APPLIED if applied is not None else State.RESOLVED_ROLLED_BACK
    name = applied or rolled_back or ""
    sys.exit(resolve(os.environ, Wish(folder=folder, **more), name=name, state=state, reason=reason))


@dbcustody_command.command("uninstall", context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def uninstall_command(words: tuple[str, ...]) -> None:
    """Take our finalizer off the resources in a cluster whose operator is gone; the same as `kubectl dbcustody uninstall`."""
    from dbcustody.cli.kubectl.main import run  # noqa: PLC0415

    sys.exit(run(["uninstall", *words], program="dbcustody"))


add_developers_verbs(dbcustody_command, migrate_group)


def main() -> NoReturn:
    """Run the command line; every error is one message on standard error, and an exit code that says what kind it was."""
    from dbcustody.cli.ending import Exit, complain, exit_of, told  # noqa: PLC0415 - a Job's start is not to wait for it

    set_up_remarks()
    try:
        dbcustody_command(standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        complain("cancelled")
        sys.exit(Exit.CANCELLED)
    except click.ClickException as error:
        error.show()
        sys.exit(Exit.USAGE)
    except InvalidSpecError as error:
        complain(error.message)
        sys.exit(Exit.USAGE)
    except DbcustodyError as error:
        complain(told(error.reason, error.message))
        sys.exit(exit_of(error.reason))
    except Exception as error:  # noqa: BLE001 - the last frame of the process: nobody is to see a traceback with values in it
        complain(
            f"InternalError: {type(error).__name__} at {' < '.join(reversed(where_raised(error)[-3:]))}; please report this"
        )
        sys.exit(Exit.ERROR)
    sys.exit(Exit.DONE)
