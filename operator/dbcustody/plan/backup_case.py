"""A Backup at one moment: what was seen around it, and what follows from that for every rule alike."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from dbcustody.api.backup import Attempt, Backup, Origin, Progress
from dbcustody.api.condition import ConditionType, find
from dbcustody.api.database import Database
from dbcustody.api.policy import BackupPolicy
from dbcustody.api.storage import BackupStorage
from dbcustody.contract import Verb
from dbcustody.plan.job_lifecycle import has_told_all, newest_pod
from dbcustody.plan.observed import SeenJob
from dbcustody.plan.request import Missing, Parties, names_for, parties_of
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from dbcustody.api.backup import BackupStatus

FOR_A_POD: Final = "the Job's pod"
"""What a Backup waits for until its Job was heard of."""
UNTESTED: Final = "goes on without restore test: "
"""How it is said that a throw-away server did not start; what follows is why."""
WORTH_HEARING: Final = timedelta(seconds=60)
"""A run that works for this long is heard by an operator that is there: see `progress.RAREST_SECONDS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenBackup:
    """What was seen around a Backup."""

    image: str
    database: Database | None = None
    storage: BackupStorage | None = None
    policy: BackupPolicy | None = None
    jobs: tuple[SeenJob, ...] = ()
    """The Jobs that it owns, and the one of a CronJob that bears its name."""
    progress: Progress | None = None
    """The last that the running Job told; None when nothing new was heard."""
    runs: int = 1
    """How many Backups are unfinished, in the whole cluster."""
    readers: tuple[str, ...] = ()
    """RestoreRequests that are not over and read its data."""
    is_namespace_going: bool = False
    """Whether no Job can be made any more; looked at only when the Backup is being deleted."""


@dataclass(frozen=True, slots=True)
class Case:
    """A Backup at one moment, with everything that the rules look at."""

    backup: Backup
    seen: SeenBackup
    now: datetime

    @property
    def status(self) -> BackupStatus:
        """What was last said."""
        return self.backup.status

    @property
    def attempt(self) -> Attempt | None:
        """The last attempt that was written down."""
        return self.status.attempts[-1] if self.status.attempts else None

    @property
    def job(self) -> SeenJob | None:
        """The Job of the last attempt, or None when it is not there."""
        name = self.attempt.job_name if self.attempt is not None else None
        return next((job for job in self.seen.jobs if job.name == name), None)

    @property
    def parties(self) -> Parties | Missing:
        """Who takes part."""
        return parties_of(
            database=self.seen.database,
            storage=self.seen.storage,
            policy=self.seen.policy,
            names=names_for(self.backup, self.seen.policy),
        )

    def elsewhere(self, parties: Parties) -> str | None:
        """Return in words that the data does not lie where the storage of *parties* is now; None when it does, or lies nowhere."""
        artefact, here = self.status.artefact, parties.storage.status.location
        if artefact is None or here is None or artefact.lies_in(here):
            return None
        return f"it lies in {artefact.location}, and BackupStorage {parties.storage.metadata.name!r} is {here}"

    @property
    def may_be_committed(self) -> bool:
        """Whether the run may have written a manifest by now; False only when it is known that it did not get that far.

        It was seen to dump, or an earlier pod ended in silence, or nobody listened while it worked.
        """
        has_begun = find(self.status.conditions, ConditionType.CAPTURED) is not None
        return has_begun or (self.job is not None and (_has_silent_pod(self.job) or self._is_unheard(self.job)))

    def _is_unheard(self, job: SeenJob) -> bool:
        """Return whether *job* worked for long and told nothing: the operator was away."""
        last, start, finish = self.status.progress, job.start_time, job.finish_time
        if last is not None and last.waiting_for != FOR_A_POD:
            return False
        return start is not None and finish is not None and finish - start > WORTH_HEARING

    @property
    def is_settling(self) -> bool:
        """Whether the last attempt asks the storage what became of those before."""
        return self.attempt is not None and self.attempt.verb == Verb.SETTLE

    @property
    def is_untested(self) -> bool:
        """Whether an attempt was given up because its throw-away server did not start: those after it are ours, and have none."""
        return any(one.reason == Reason.TEST_SERVER_UNAVAILABLE for one in self.status.attempts)

    @property
    def why_untested(self) -> str | None:
        """Why it has no throw-away server any more, as far as the status still tells; None: it may have one."""
        if not self.is_untested:
            return None
        said = find(self.status.conditions, ConditionType.RECONCILING)
        if said is None or said.reason is not Reason.TEST_SERVER_UNAVAILABLE:
            return "the throw-away server of an earlier attempt did not start"
        return said.message.removeprefix(UNTESTED)

    @property
    def has_own_job(self) -> bool:
        """Whether the Backup starts its Job itself, and is not made of one that a CronJob started."""
        return self.backup.spec.origin is Origin.MANUAL


def _has_silent_pod(job: SeenJob) -> bool:
    """Return whether a pod before the newest one of *job* ended without a whole answer."""
    last = newest_pod(job)
    return any(not has_told_all(job, pod) for pod in job.pods if pod is not last)
