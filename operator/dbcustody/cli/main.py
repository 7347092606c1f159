"""The command tree. Each command imports what it needs when it runs: a Job never loads Kopf, the operator never loads boto3."""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn

import click

import dbcustody
from dbcustody.cli.bounds import LARGEST_PARALLELISM, LONGEST_KEEP_SECONDS
from dbcustody.cli.developer import add_developers_verbs
from dbcustody.cli.migrate_group import migrate_group
from dbcustody.cli.side_effects import SIDE_EFFECTS
from dbcustody.errors import DbcustodyError, InvalidSpecError
from dbcustody.logs import set_up_remarks


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(dbcustody.__version__, prog_name="dbcustody")
@click.pass_context
def dbcustody_command(context: click.Context) -> None:
    """Take custody of PostgreSQL databases: backups that are encrypted, read back and counted.

    Stand-alone commands read DATABASE_URL, BACKUP_DIR or BACKUP_S3_BUCKET, and BACKUP_ENCRYPTION_KEY from the environment.
    """
    if context.invoked_subcommand != "migrate":  # which logs nothing, and is not to wait for what could
        set_up_remarks()


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


dbcustody_command.add_command(migrate_group)


@dbcustody_command.command("uninstall", context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def uninstall_command(words: tuple[str, ...]) -> None:
    """Take our finalizer off the resources in a cluster whose operator is gone; the same as `kubectl dbcustody uninstall`."""
    from dbcustody.cli.kubectl.main import run  # noqa: PLC0415

    sys.exit(run(["uninstall", *words], program="dbcustody"))


add_developers_verbs(dbcustody_command, migrate_group)


def main() -> NoReturn:
    """Run the command line; every error is one message on standard error, and an exit code that says what kind it was."""
    from dbcustody.cli.ending import (  # noqa: PLC0415 - a Job's start is not to wait for it
        INTERNAL_ERROR,
        Exit,
        complain,
        exit_of,
        told,
        unforeseen,
    )

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
        complain(f"{INTERNAL_ERROR}: {unforeseen(error)}")
        sys.exit(Exit.ERROR)
    sys.exit(Exit.DONE)
