"""Advisory locks on a real server: dumps exclude each other, migrations exclude dumps, a swap of databases excludes both."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from dbcustody.adapters.postgres import (
    BACKUP_LOCKS,
    MIGRATION_LOCKS,
    DatabaseLock,
    Holder,
    LockWish,
    PostgresTarget,
    connect,
)
from dbcustody.adapters.postgres.lock import LOCK_CLASS, LockObject, swap_object
from dbcustody.errors import InterruptedRunError, UnavailableError
from dbcustody.reason import Reason
from ground.postgres import PostgresServer
from ground.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dbcustody.adapters.postgres.session import Session

pytestmark = pytest.mark.postgres

SHARED_MUTATION = (LockWish(LockObject.MUTATION, shared=True),)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server with an ordinary role, two databases, and nothing else."""
    with PostgresServer(16) as server:
        server.execute(
            "create role app login password 'pw'", "create database shop owner app", "create database other owner app"
        )
        yield server


def open_session(server: PostgresServer, name: str, database: str = "shop") -> Session:
    """Return a session that calls itself *name*."""
    return connect(
        PostgresTarget(
            host=server.host,
            port=str(server.port),
            database=database,
            user="app",
            password="pw",
            sslmode="disable",
            application=name,
        )
    )


def lock_of(session: Session, custody_id: str = "shop") -> DatabaseLock:
    """Return the lock of *session*."""
    return DatabaseLock(session, custody_id=custody_id, maintenance_database="postgres")


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        pytest.param(BACKUP_LOCKS, BACKUP_LOCKS, False, id="two-dumps"),
        pytest.param(MIGRATION_LOCKS, BACKUP_LOCKS, False, id="migration-then-dump"),
        pytest.param(BACKUP_LOCKS, MIGRATION_LOCKS, False, id="dump-then-migration"),
        pytest.param(MIGRATION_LOCKS, MIGRATION_LOCKS, False, id="two-migrations"),
        pytest.param(BACKUP_LOCKS, SHARED_MUTATION, True, id="dump-and-reader"),
    ],
)
def test_who_may_work_together(
    server: PostgresServer, first: Sequence[LockWish], second: Sequence[LockWish], *, together: bool
) -> None:
    """Each pair of workers excludes the other or does not, and whoever loses holds nothing."""
    with (
        open_session(server, "first") as one,
        open_session(server, "second") as two,
        lock_of(one) as held,
        lock_of(two) as wanted,
    ):
        assert held.try_acquire(first)
        assert wanted.try_acquire(second) is together
        if not together:
            assert (
                two.execute("select from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()").fetchall()
                == []
            )
            held.release()
            assert wanted.try_acquire(second)


def test_databases_do_not_disturb_each_other(server: PostgresServer) -> None:
    """The locks are local to one database."""
    with (
        open_session(server, "one") as one,
        open_session(server, "two", "other") as two,
        lock_of(one) as here,
        lock_of(two) as there,
    ):
        assert here.try_acquire(BACKUP_LOCKS)
        assert there.try_acquire(BACKUP_LOCKS)


def test_holder_is_named(server: PostgresServer) -> None:
    """Who waits learns who holds the lock and since when that session is connected."""
    with open_session(server, "dbcustody backup shop") as one, open_session(server, "b") as two, lock_of(one) as held:
        assert held.try_acquire(BACKUP_LOCKS)
        holder = lock_of(two).holder(BACKUP_LOCKS)

        assert holder is not None
        assert (holder.application, holder.pid) == ("dbcustody backup shop", one.info.backend_pid)
        assert str(holder).startswith("dbcustody backup shop (pid ")
        assert lock_of(one).holder(BACKUP_LOCKS) is None


def test_holder_of_another_role_has_no_age(server: PostgresServer) -> None:
    """Of a stranger's session the name is known, and the age is left out instead of made up."""
    with server.connect("shop", application_name="stranger") as one, open_session(server, "b") as two:
        one.execute("select pg_advisory_lock(%s, 2)", (LOCK_CLASS,))
        holder = lock_of(two).holder(BACKUP_LOCKS)

    assert holder is not None
    assert holder.age_seconds is None
    assert str(holder) == f"stranger (pid {holder.pid})"


def test_waiting_ends_with_the_holders_name(server: PostgresServer) -> None:
    """Who waited long enough gets an error that names the holder, and was told of it before each pause."""
    told: list[Holder | None] = []
    with open_session(server, "holder") as one, open_session(server, "b") as two, lock_of(one) as held:
        assert held.try_acquire(BACKUP_LOCKS)
        with pytest.raises(UnavailableError, match="held by holder") as caught:
            lock_of(two).acquire(BACKUP_LOCKS, wait_seconds=0.05, stop=threading.Event(), waiting=told.append)

    assert caught.value.reason is Reason.DATABASE_BUSY
    assert [holder.application for holder in told if holder] == ["holder"]


def test_waiting_ends_when_told_to_stop(server: PostgresServer) -> None:
    """A run that is told to end does not wait for its turn."""
    stop = threading.Event()
    stop.set()
    with open_session(server, "holder") as one, open_session(server, "b") as two, lock_of(one) as held:
        assert held.try_acquire(BACKUP_LOCKS)
        with pytest.raises(InterruptedRunError):
            lock_of(two).acquire(BACKUP_LOCKS, wait_seconds=60, stop=stop)


def test_turn_comes_when_the_holder_lets_go(server: PostgresServer) -> None:
    """Whoever waits gets the lock as soon as the holder's session is gone, however it went."""
    with open_session(server, "b") as two, lock_of(two) as wanted:
        one = open_session(server, "holder")
        assert lock_of(one).try_acquire(BACKUP_LOCKS)
        wanted.acquire(BACKUP_LOCKS, wait_seconds=30, stop=threading.Event(), waiting=lambda _: one.close())

        assert two.execute(
            "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"
        ).fetchone() == (2,)


@pytest.mark.parametrize(
    ("custody_id", "free"),
    [pytest.param("shop", False, id="our-custody"), pytest.param("another", True, id="another-custody")],
)
def test_swap_in_the_maintenance_database_excludes_us(server: PostgresServer, custody_id: str, *, free: bool) -> None:
    """A swap of this custody's databases, locked in the maintenance database, stands in everybody's way; another custody's does not."""
    signed = int.from_bytes(swap_object(custody_id).to_bytes(4, "big"), "big", signed=True)
    with (
        server.connect("postgres", application_name="swap") as swap,
        open_session(server, "b") as two,
        lock_of(two) as wanted,
    ):
        swap.execute("select pg_advisory_lock(%s, %s)", (LOCK_CLASS, signed))

        assert wanted.try_acquire(BACKUP_LOCKS) is free
        holder = wanted.holder(BACKUP_LOCKS)
        assert (holder is None) is free


def test_killed_session_leaves_no_lock(server: PostgresServer) -> None:
    """A lock dies with its session: nothing has to be cleaned up, and letting go of it is no error."""
    with open_session(server, "b") as two, lock_of(two) as wanted:
        one = open_session(server, "victim")
        with lock_of(one) as held:
            assert held.try_acquire(BACKUP_LOCKS)
            server.execute(f"select pg_terminate_backend({one.info.backend_pid})")
            assert wait_until(lambda: wanted.try_acquire(BACKUP_LOCKS), 10)
            one.close()
