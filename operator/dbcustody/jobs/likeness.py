"""Whether a database is still what its ledger says: looked at before anything runs, and written down after each thing that ran.

Whoever writes holds the lock of migrations. What somebody else does to the schema while a migration is at work cannot be told from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbcustody.adapters.postgres.catalogue import read_catalogue
from dbcustody.adapters.postgres.failure import translated
from dbcustody.adapters.postgres.fingerprint import add_print, read_kept, read_last
from dbcustody.api.migration import OnDrift
from dbcustody.errors import RefusedError, UnavailableError
from dbcustody.migration.drift import Drift, Likeness, Moment, Taken, is_of, judge_drift, take
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dbcustody.adapters.postgres.session import Session
    from dbcustody.jobs.desk import Desk


def take_fingerprint(session: Session, exclude: Sequence[str]) -> Taken:
    """Return what the schema is now, without what matches *exclude*, and its fingerprint. Raises as `read_catalogue` does."""
    return take(read_catalogue(session, exclude), exclude=exclude, server_major=session.info.server_version // 10_000)


def drift_of(session: Session, exclude: Sequence[str]) -> Drift:
    """Return how the database of *session* stands to the last fingerprint in its ledger; nothing is written.

    Where nothing comparable is known its likeness is Unknown, which is never the same as none. Raises as `read_catalogue` does.
    """
    return drift_from(session, take_fingerprint(session, exclude))


def drift_from(session: Session, now: Taken) -> Drift:
    """Return how *now*, which was just taken, stands to the last fingerprint in the ledger; of what is the same nothing more is read."""
    last = read_last(session)
    kept = None if last is None or is_of(last, now) else read_kept(session, last)
    return judge_drift(last, kept, now)


def require_alike(
    desk: Desk, wanted: OnDrift, *, runs: bool, now: Taken | None = None, accepted: str | None = None
) -> None:
    """Look at the database right before the first statement (if anything *runs*), and write down what was found and is not known yet.

    Raises RefusedError (Drifted), naming objects and no literal, when it is not what its ledger says, something is to run, and *wanted* is
    Fail. What has drifted while nothing runs is told, and not written down: it is nobody's word that this is how it is meant. *now* is what
    was taken just before, if it was; *accepted* the fingerprint that a person says is meant.
    """
    now = now or take_fingerprint(desk.session, desk.exclude)
    drift = drift_from(desk.session, now)
    if drift.likeness is Likeness.DRIFTED and now.fingerprint == accepted:
        write_print(desk, now, Moment.ACCEPTED, reason="named as meant by who asked for the run")
        return
    if drift.likeness is Likeness.DRIFTED:
        if runs and wanted is OnDrift.FAIL:
            raise RefusedError(f"{drift.told}; nothing was run", reason=Reason.DRIFTED)
        if wanted is not OnDrift.IGNORE:
            desk.say(f"drift: {drift.told}")
        if not runs:
            return
    last = read_last(desk.session)
    if last is None or not is_of(last, now):
        write_print(desk, now, Moment.FOUND)


def write_print(desk: Desk, taken: Taken | None, moment: Moment, reason: str | None = None) -> None:
    """Write *taken* down, in a transaction of its own or in that which is open."""
    with translated("write the fingerprint down", otherwise=Reason.MIGRATION_FAILED), desk.session.transaction():
        add_print(desk.session, taken, moment=moment, actor=desk.actor, reason=reason)


def take_patiently(desk: Desk) -> Taken | None:
    """Return what the schema is after something that nothing takes back; None: somebody kept it from being read, which is told."""
    tried = 0
    while True:
        tried += 1
        try:
            return take_fingerprint(desk.session, desk.exclude)
        except UnavailableError as error:
            if error.reason not in {Reason.LOCK_NOT_OBTAINED, Reason.SCHEMA_CHANGED}:
                raise
            if tried >= desk.limits.lock_attempts or desk.stop.is_set():
                desk.say(f"no fingerprint was taken ({error.message}); until the next one no drift is known")
                return None
