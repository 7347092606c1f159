"""One at a time per database: session advisory locks, taken by polling in the session that needs them.

Two-integer form, class 0x64626375 ("dbcu"), local to one database: object 1 *mutation* (dumps share it, migrations take it alone),
object 2 *backup* (dumps exclude each other). A swap of databases holds a lock of the custody in the maintenance database; it shows in
pg_locks from everywhere, and is looked for after one's own locks are taken. A lock dies with its session: nothing is ever left behind.
"""

from __future__ import annotations

import hashlib
import time
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final, Self

from dbcustody.adapters.postgres.failure import translated
from dbcustody.errors import DbcustodyError, InterruptedRunError, UnavailableError
from dbcustody.reason import Reason

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from dbcustody.adapters.postgres.session import Session

LOCK_CLASS: Final = 0x64626375
POLL_SECONDS: Final = 1.0

_OTHER_SWAPS: Final = """
select coalesce(a.application_name, ''), l.pid
from pg_catalog.pg_locks l
join pg_catalog.pg_database d on d.oid = l.database
left join pg_catalog.pg_stat_activity a on a.pid = l.pid
where l.locktype = 'advisory' and l.objsubid = 2 and l.granted and l.classid = %s and l.objid <> all(%s::bigint[])
  and d.datname = current_database() and l.pid <> pg_backend_pid()
limit 1
"""


class LockObject(IntEnum):
    """What is locked, within one database."""

    MUTATION = 1
    BACKUP = 2


@dataclass(frozen=True, slots=True)
class LockWish:
    """One lock that is wanted; shared ones go together."""

    number: LockObject
    shared: bool = False


BACKUP_LOCKS: Final = (LockWish(LockObject.MUTATION, shared=True), LockWish(LockObject.BACKUP))
MIGRATION_LOCKS: Final = (LockWish(LockObject.MUTATION),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds what we want; *age_seconds* None means: not allowed to know since when."""

    application: str
    pid: int
    age_seconds: int | None = None

    def __str__(self) -> str:
        """Return it for people."""
        since = "" if self.age_seconds is None else f", connected {self.age_seconds} s ago"
        return f"{self.application or 'a session without a name'} (pid {self.pid}{since})"


class DatabaseLock:
    """The advisory locks of one session in its database; a context manager that lets go of what `acquire` took."""

    def __init__(self, session: Session, *, custody_id: str, maintenance_database: str) -> None:
        self._session = session
        self._swap = swap_object(custody_id)
        self._maintenance = maintenance_database
        self._held: list[LockWish] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Let go; where that cannot be said to the server, the locks die with their session, and what the block came to counts."""
        if not self._session.closed:
            with suppress(DbcustodyError):
                self.release()

    def acquire(
        self,
        wishes: Sequence[LockWish],
        *,
        wait_seconds: float,
        stop: threading.Event,
        waiting: Callable[[Holder | None], None] = lambda _: None,
    ) -> None:
        """Take all of *wishes* or none, asking once a second for at most *wait_seconds*.

        *waiting* is told before each pause who holds them.

        Raises UnavailableError (DatabaseBusy) naming the holder when the time is over, InterruptedRunError when *stop* is set.
        """
        deadline = time.monotonic() + wait_seconds
        while not self.try_acquire(wishes):
            holder = self.holder(wishes)
            if time.monotonic() >= deadline:
                raise UnavailableError(
                    f"database lock: held by {holder or 'somebody who just let go'} after {wait_seconds:.0f} s of waiting",
                    reason=Reason.DATABASE_BUSY,
                )
            waiting(holder)
            if stop.wait(min(POLL_SECONDS, max(0.0, deadline - time.monotonic()))):
                raise InterruptedRunError("database lock: stopped while waiting for it; nothing was done")

    def try_acquire(self, wishes: Sequence[LockWish]) -> bool:
        """Take all of *wishes* now; False (and none taken) when one is held by others or a swap of databases is under way."""
        for wish in wishes:
            if not self._try(wish):
                self.release()
                return False
            self._held.append(wish)
        if self._swap_holder() is not None:
            self.release()
            return False
        return True

    def release(self) -> None:
        """Let go of everything that this object took."""
        with translated("release the database lock", otherwise=Reason.CONNECTION_LOST):
            while self._held:
                wish = self._held[-1]
                suffix = "_shared" if wish.shared else ""
                self._session.execute(
                    f"select pg_catalog.pg_advisory_unlock{suffix}(%s, %s)", (LOCK_CLASS, int(wish.number))
                )
                self._held.pop()

    def holder(self, wishes: Sequence[LockWish]) -> Holder | None:
        """Return the session that stands in the way of *wishes*, or None when there is none (any more)."""
        return self._swap_holder() or self._find_holder([int(wish.number) for wish in wishes], None)

    def _try(self, wish: LockWish) -> bool:
        suffix = "_shared" if wish.shared else ""
        with translated("take the database lock", otherwise=Reason.CONNECTION_LOST):
            row = self._session.execute(
                f"select pg_catalog.pg_try_advisory_lock{suffix}(%s, %s)", (LOCK_CLASS, int(wish.number))
            ).fetchone()
        return row == (True,)

    def _swap_holder(self) -> Holder | None:
        return self._find_holder([self._swap], self._maintenance)

    def _find_holder(self, numbers: Sequence[int], database: str | None) -> Holder | None:
        """Return who holds one of *numbers* in *database* (None: our own); a lock that excludes others comes first."""
        with translated("look for the holder of the database lock", otherwise=Reason.CONNECTION_LOST):
            row = self._session.execute(
                """
                select coalesce(a.application_name, ''), l.pid,
                       extract(epoch from clock_timestamp() - a.backend_start)::bigint
                from pg_catalog.pg_locks l
                join pg_catalog.pg_database d on d.oid = l.database
                left join pg_catalog.pg_stat_activity a on a.pid = l.pid
                where l.locktype = 'advisory' and l.objsubid = 2 and l.granted and l.classid = %s
                  and l.objid = any(%s::bigint[]) and d.datname = coalesce(%s, current_database())
                  and l.pid <> pg_backend_pid()
                order by (l.mode = 'ExclusiveLock') desc, a.backend_start nulls last
                limit 1
                """,
                (LOCK_CLASS, list(numbers), database),
            ).fetchone()
        return None if row is None else Holder(application=row[0], pid=row[1], age_seconds=row[2])


def hold_swap(
    session: Session, custody_id: str, *, wait_seconds: float = 0.0, stop: threading.Event | None = None
) -> None:
    """Hold the lock of a swap of this custody's databases until *session*, which is in the maintenance database, ends.

    Raises UnavailableError (DatabaseBusy) when another swap is under way after *wait_seconds*, InterruptedRunError when *stop* is set.
    """
    deadline, number = time.monotonic() + wait_seconds, swap_object(custody_id)
    signed = number - 2**32 if number >= 2**31 else number
    while True:
        with translated("take the lock of a swap", otherwise=Reason.CONNECTION_LOST):
            row = session.execute("select pg_catalog.pg_try_advisory_lock(%s, %s)", (LOCK_CLASS, signed)).fetchone()
        if row == (True,):
            return
        if time.monotonic() >= deadline:
            raise UnavailableError("another swap of this database is under way", reason=Reason.DATABASE_BUSY)
        if stop is not None and stop.wait(POLL_SECONDS):
            raise InterruptedRunError("lock of a swap: stopped while waiting for it; nothing was done")


def refuse_other_swaps(session: Session) -> None:
    """Raise UnavailableError (DatabaseBusy) when anybody else swaps databases on the server, under whatever custody.

    *session* is in the maintenance database, where each swap holds its lock.
    """
    own = [int(one) for one in LockObject]
    with translated("look for swaps of databases", otherwise=Reason.CONNECTION_LOST):
        row = session.execute(_OTHER_SWAPS.encode(), (LOCK_CLASS, own)).fetchone()
    if row is not None:
        holder = Holder(application=row[0], pid=row[1])
        raise UnavailableError(f"a swap of databases is under way: {holder}", reason=Reason.DATABASE_BUSY)


def swap_object(custody_id: str) -> int:
    """Return the object number under which a swap of this custody's databases is locked, as pg_locks shows it (unsigned)."""
    return int.from_bytes(hashlib.sha256(custody_id.encode()).digest()[:4], "big")
