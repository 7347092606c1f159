"""The session that holds the locks: sizes a batch at a look, and out of the way of whoever counts with it."""

from __future__ import annotations

import threading
import time
from typing import Any, Self

import pytest

from dbcustody.adapters.postgres.snapshot import DumpTable
from dbcustody.jobs.lockholder import BATCH, LockHolder


class Session:
    """A session in which a table has ten times as many bytes as its OID says, and one is gone."""

    def __init__(self) -> None:
        """Begin with nothing asked."""
        self.measured: list[list[int]] = []
        self.asked: list[str] = []

    def execute(self, query: Any, parameters: tuple[list[int], ...] = ()) -> Self:
        """Take a query, and the OIDs that are to be measured."""
        self.asked.append(str(query))
        self.measured += parameters
        return self

    def fetchall(self) -> list[tuple[int, int]]:
        """Return the sizes."""
        return [(oid, oid * 10) for oid in self.measured[-1] if oid != 3]


class Counting(Session):
    """A session that looks after itself while it counts."""

    holder: LockHolder

    def execute(self, query: Any, parameters: tuple[list[int], ...] = ()) -> Self:
        """Let somebody else look while rows are counted."""
        if "count(*)" in str(query):
            before = len(self.asked)
            other = threading.Thread(target=lambda: (self.holder.check(), self.holder.portions()))
            other.start()
            other.join(10)
            assert (other.is_alive(), len(self.asked)) == (False, before)
        return super().execute(query, parameters)

    def results(self) -> list[Self]:
        """Return what there is to read: one answer."""
        return [self]

    def fetchone(self) -> tuple[int]:
        """Return the rows of a table."""
        return (7,)


def tables(count: int) -> list[DumpTable]:
    """Return that many tables with rows, and a partitioned parent before them."""
    filled = [DumpTable(oid=oid, schema="public", name=f"t{oid}", has_rows=True) for oid in range(1, count + 1)]
    return [DumpTable(oid=0, schema="public", name="parent", has_rows=False), *filled]


@pytest.fixture
def session() -> Any:
    """Return a session."""
    return Session()


def test_tables_are_measured_batch_by_batch(session: Any) -> None:
    """As long as one is left there is nothing to compare with; then all are there in pg_dump's order, and nothing is asked again."""
    holder = LockHolder(session, tables(2 * BATCH + 1))
    found = [holder.portions() for _ in range(4)]

    assert [len(batch) for batch in session.measured] == [BATCH, BATCH, 1]
    assert found[:2] == [(), ()]
    assert [one.key for one in found[2]] == list(range(1, 2 * BATCH + 2))
    assert found[3] == found[2]


def test_all_are_measured_before_they_are_dealt(session: Any) -> None:
    """A parent has no rows to measure; a table that the server does not know has none that could pass."""
    assert LockHolder(session, tables(4)).measure() == {1: 10, 2: 20, 3: 0, 4: 40}
    assert len(LockHolder(session, tables(BATCH + 1)).measure()) == BATCH + 1


def test_database_without_tables(session: Any) -> None:
    """Nothing is asked."""
    holder = LockHolder(session, ())
    assert (holder.portions(), holder.measure(), session.asked) == ((), {}, [])


def test_nobody_waits_for_a_count() -> None:
    """While rows are counted, a look at the locks and at the sizes asks nothing and comes back; the sizes are there already."""
    session: Any = Counting()
    session.holder = holder = LockHolder(session, tables(1))

    assert holder.count(threading.Event(), threading.Event()) == {1: 7}
    assert [(one.key, one.size_bytes) for one in holder.portions()] == [(1, 10)]
    holder.check()
    assert session.asked[-1] == "select"


class Busy(Counting):
    """A session with tables of 40 MiB, in which counting takes a while."""

    seconds = 0.25

    def execute(self, query: Any, parameters: tuple[list[int], ...] = ()) -> Self:
        """Take as long as it takes."""
        if "count(*)" in str(query):
            time.sleep(self.seconds)
        return super().execute(query, parameters)

    def fetchall(self) -> list[tuple[int, int]]:
        """Return the sizes."""
        return [(oid, 40 * 1024 * 1024) for oid in self.measured[-1]]

    def results(self) -> list[Self]:
        """Return one answer for each table of the message."""
        return [self] * self.asked[-1].count("count(*)")


class Rests(threading.Event):
    """Whoever waits for it does not wait, but is remembered with how long he would."""

    def __init__(self) -> None:
        """Begin with no rest."""
        super().__init__()
        self.seconds: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        """Remember *timeout*."""
        self.seconds.append(timeout or 0.0)
        return False


@pytest.mark.parametrize(("seconds", "rests"), [(0.25, 3), (0.0, 0)], ids=["long", "short"])
def test_counting_rests_after_long_work(seconds: float, rests: int) -> None:
    """Large tables are counted one by one, with a rest of twice the time after each; short work goes on."""
    session: Any = Busy()
    session.seconds = seconds
    session.holder = holder = LockHolder(session, tables(3))
    hurry = Rests()

    assert holder.count(threading.Event(), hurry) == {1: 7, 2: 7, 3: 7}
    assert len(hurry.seconds) == rests
    assert all(0.5 <= rest < 2 for rest in hurry.seconds)


def test_nothing_rests_when_nothing_else_is_left_to_do() -> None:
    """Once the streams are over, the rest of the counting is what the dump waits for."""
    session: Any = Busy()
    session.holder = holder = LockHolder(session, tables(3))
    hurry = threading.Event()
    hurry.set()
    begun = time.monotonic()
    holder.count(threading.Event(), hurry)
    assert time.monotonic() - begun < 1.5
