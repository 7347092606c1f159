"""One swap of databases that a person does without a cluster: planned, confirmed, carried out, and put right when it comes to nothing.

What the operator does with a RestoreRequest in mode Replace, or with the undo of one, by the same Jobs; what it would find out after a lost
Job is found out here before the command ends. The mark is of this invocation alone: nothing is adopted from another one.
"""

from __future__ import annotations

import shlex
import sys
import threading
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

import click

from dbcustody.adapters.postgres import connect
from dbcustody.adapters.postgres.inspection import read_server
from dbcustody.api.restore import MissingRoles, SideEffect
from dbcustody.cli.ending import asking, complain, told, unhurried
from dbcustody.cli.figures import time_text
from dbcustody.cli.progress import Display
from dbcustody.cli.standalone import Bench, known_database
from dbcustody.contract import ReplaceTerms, RestoreTerms, Verb
from dbcustody.errors import DbcustodyError, InvalidSpecError, RefusedError
from dbcustody.jobs import restore as restore_job
from dbcustody.jobs import swap as swap_job
from dbcustody.jobs.replacement import find_live
from dbcustody.jobs.tools import database_of
from dbcustody.plan.invocation import mark_of_invocation
from dbcustody.plan.replacement import confirmation, confirmation_after, incoming_name
from dbcustody.reason import ExitCode, Reason

if TYPE_CHECKING:
    from dbcustody.api.restore import StatedPlan
    from dbcustody.contract import JobRequest, JobResult

LEFT: Final = "`dbcustody restore --recover` opens the database if it was left shut, and says what else is left"
"""What helps after a run that was cut off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """What a person agreed to on the command line; *confirm* None: is asked at the terminal."""

    confirm: str | None = None
    keep_old_seconds: int = 86_400
    acknowledged: tuple[SideEffect, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Swapping:
    """A swap by which the database of DATABASE_URL is replaced by a backup, or by the old one that is put back."""

    bench: Bench
    display: Display
    consent: Consent
    backup_id: str | None = None
    jobs: int = 1
    missing_roles: MissingRoles = MissingRoles.FAIL
    undoes: str | None = None
    kept_time: datetime | None = None

    @property
    def database(self) -> str:
        """The live database's name, which is what stand-alone use calls it by."""
        return known_database(self.bench.settings.database).database

    @property
    def mark(self) -> str:
        """What the databases remember of this invocation."""
        return mark_of_invocation(self.bench.started, self.bench.tools.attempt)

    def request(self, verb: Verb, *, confirm: str = "", plan_hash: str | None = None) -> JobRequest:
        """Return the request that the operator would write for the same work."""
        terms = ReplaceTerms(
            custody_id=self.bench.custody_id,
            confirm=confirm,
            keep_old_seconds=self.consent.keep_old_seconds,
            undoes=self.undoes,
            kept_time=self.kept_time,
        )
        asked = RestoreTerms(
            database=incoming_name(self.mark),
            mark=self.mark,
            backup_id=self.backup_id,
            missing_roles=self.missing_roles,
            acknowledge=self.consent.acknowledged,
            parallelism=self.jobs,
            plan_hash=plan_hash,
            replace=terms,
        )
        return replace(self.bench.request(verb, name=self.mark), database_name=self.database, restore=asked)

    def confirmation(self) -> str | None:
        """Return the text that confirms this swap, and no other one; None: the role may not know which server it is.

        Raises InvalidSpecError where it was not given and nobody can be asked.
        """
        request, tools = self.request(Verb.PLAN_RESTORE), self.bench.tools
        target = tools.target(request.verb)
        with connect(target.at(database_of(request).connection.maintenance_database)) as session:
            identifier, live = read_server(session).system_identifier, find_live(session, target)
        wanted = confirmation(self.database, identifier, live.oid)
        if wanted and self.consent.confirm is None and not sys.stdin.isatty():
            raise InvalidSpecError(
                f"--confirm: is missing, and nobody can be asked; this replaces {self.database} at {target.endpoint}: --confirm {wanted}"
            )
        return wanted

    def plan(self, wanted: str | None) -> StatedPlan:
        """Return the plan, with nothing that stands in its way but what *wanted* is still to be asked.

        Raises RefusedError after each obstacle was told.
        """
        with self.display:
            asked = self.request(Verb.PLAN_RESTORE, confirm=self.consent.confirm or wanted or "")
            result = restore_job.run(asked, self.bench.tools)
        plan = result.restore.plan if result.restore is not None else None
        if result.exit_code is not ExitCode.DONE or plan is None:
            for one in plan.obstacles[1:] if plan is not None else ():
                complain(told(Reason(one.reason), one.message))
            first = plan.obstacles[0].message if plan is not None and plan.obstacles else result.message
            raise RefusedError(first, reason=result.reason)
        return plan

    def show(self, head: str, plan: StatedPlan) -> None:
        """Show on standard error what is about to happen."""
        hours = self.consent.keep_old_seconds / 3600
        lines = [
            f"{head} (plan {plan.hash})",
            f"  sessions in {self.database} are ended; what runs now is put aside, shut, to be kept for {hours:g} h",
            *(f"  {one.kind.value}, accepted: {', '.join(one.names)}" for one in plan.side_effects),
            *(f"  {remark}" for remark in plan.remarks),
            f"  remembered as: {self.mark}",
        ]
        click.echo("\n".join(lines), err=True)

    def agree(self, wanted: str | None) -> str:
        """Return the confirmation, asked of the person unless it was given; raises RefusedError (NotConfirmed) for another text."""
        if self.consent.confirm is not None or wanted is None:
            return self.consent.confirm or ""
        with asking():
            said: str = click.prompt(f"type {wanted} to go on", err=True)
        if said.strip() != wanted:
            raise RefusedError("that is not the text; nothing was done", reason=Reason.NOT_CONFIRMED)
        return wanted

    def swap(self, confirm: str) -> JobResult:
        """Return what came of the swap that *confirm* confirms.

        What it raises, it raises once the live database is open again and what was made for it is dropped, or after saying what helps.
        """
        with unhurried(self.bench.tools.stop), self.display:
            try:
                return swap_job.run(self.request(Verb.SWAP, confirm=confirm), self.bench.tools)
            except BaseException:
                settled = self._settle()
                if settled is not None and settled.reason is Reason.SWAPPED:
                    return settled
                raise

    def _settle(self) -> JobResult | None:
        """Return what became of it; None, and it is said, when the server does not tell."""
        tools = replace(self.bench.tools, stop=threading.Event())
        try:
            return restore_job.run(self.request(Verb.SETTLE_RESTORE), tools)
        except DbcustodyError as error:
            complain(f"what became of the swap could not be found out: {told(error.reason, error.message)}; {LEFT}")
            return None

    def drop(self) -> None:
        """Drop what was put away."""
        swap_job.run(self.request(Verb.DROP_REPLACED), self.bench.tools)

    def tell_old(self, swapped: JobResult, confirm: str) -> None:
        """Print what the old database is called, until when it is kept, and what to type to take everything back or to drop it."""
        old = swapped.restore.old_database if swapped.restore is not None else None
        oid = swapped.restore.oid if swapped.restore is not None else None
        if old is None or oid is None:
            return
        if not self.consent.keep_old_seconds:
            self.drop()
            _row("old database", f"{old.name} is dropped, as --keep-old 0 says")
            return
        _row("old database", f"{old.name}, shut; to be kept until {time_text(old.drop_after)}; nobody but you drops it")
        undo = ["dbcustody", "restore", "--undo", old.name, "--confirm", confirmation_after(confirm, oid)]
        _row("to take back", shlex.join(undo))
        _row("to drop it", shlex.join(["dbcustody", "restore", "--drop-old", old.name, "--yes"]))


def _row(name: str, text: str) -> None:
    click.echo(f"  {name:<14}{text}")
