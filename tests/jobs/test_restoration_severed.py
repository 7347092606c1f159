"""A restore whose way to the server or to the storage breaks: told as such, nothing half-done, and the same order works afterwards."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from dbcustody.api.policy import Algorithm, Compression
from dbcustody.api.restore import RestoreStage
from dbcustody.contract import RestoreTerms, Verb
from dbcustody.errors import DbcustodyError
from dbcustody.jobs import restore as restore_job
from dbcustody.reason import Reason
from ground import fault
from ground.fault import FOR_EVER
from ground.postgres import PostgresServer
from ground.process import wait_until
from tests.fakes.custodian import Custodian, in_bucket, in_volume
from tests.fakes.heldstore import Hanging
from tests.fakes.severing import AFTER, BEFORE, Severing, severed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dbcustody.contract import JobRequest, JobResult
    from ground.fault import Fault
    from ground.proxy import Proxy
    from ground.s3 import S3Server

pytestmark = pytest.mark.postgres
NEW: Final = "again"
LIMIT_SECONDS: Final = 100
LEAST_STATEMENTS: Final = 5
PLAIN: Final = Compression(algorithm=Algorithm.NONE)
_NOISE: Final = (
    "select i, sha256(i::text::bytea) || sha256((-i)::text::bytea) as noise from generate_series(1, 30000) as i"
)
_STATE: Final = "select datname, shobj_description(oid, 'pg_database') from pg_database order by 1"
_LOADING: Final = (
    "select pid from pg_stat_activity where datname = 'again' and query ilike 'copy %' and state = 'active'"
)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server whose database `shop` has two tables of about two megabytes each, and rights of others."""
    with PostgresServer(17) as started:
        started.execute("create role reader", "create database shop connection limit 40")
        started.execute("grant connect on database shop to reader", "alter database shop set work_mem to '5MB'")
        started.execute(f"create table one as {_NOISE}", f"create table two as {_NOISE}", database="shop")
        yield started


@dataclass
class Restorer:
    """Restores the backup of *custodian* into a new database."""

    custodian: Custodian

    @property
    def request(self) -> JobRequest:
        """The request of the Job."""
        terms = RestoreTerms(database=NEW, mark="RestoreRequest web/again 0123456789ab", parallelism=2)
        return replace(self.custodian.request(), verb=Verb.RESTORE, options=None, restore=terms)

    def run(self) -> JobResult:
        """Return the Job's result; raises what it raises."""
        return restore_job.run(self.request, self.custodian.tools())

    def reason(self) -> Reason:
        """Return what is told of the run, whether it came to its end or not."""
        try:
            return self.run().reason
        except DbcustodyError as error:
            return error.reason

    def standing(self) -> list[tuple[Any, ...]]:
        """Return the databases of the server and what they say of themselves."""
        return self.custodian.server.execute(_STATE)

    def drop(self) -> None:
        """Drop the new database."""
        self.custodian.server.execute(f"drop database {NEW} with (force)")


@pytest.fixture
def restorer(server: PostgresServer, tmp_path: Path) -> Iterator[Restorer]:
    """Return who has a backup in several archives."""
    folder = tmp_path / "storage"
    folder.mkdir()
    custodian = Custodian(server=server, open_store=in_volume(folder))
    assert custodian.take(parallelism=2, compression=PLAIN).reason is Reason.SUCCEEDED
    yield Restorer(custodian)
    server.execute(f"drop database if exists {NEW} with (force)")


def hung(restorer: Restorer, folder: Path, hanging: Hanging) -> Restorer:
    """Return *restorer* at a storage that hangs."""
    return Restorer(replace(restorer.custodian, open_store=hanging.opener(folder)))


@pytest.mark.parametrize("whose", [f"datname = '{NEW}'", "application_name like 'dbcustody%'"], ids=["loaders", "all"])
def test_severed_while_rows_come(restorer: Restorer, tmp_path: Path, whose: str) -> None:
    """The server ends the sessions that load, or everything of ours, in the middle of a table."""
    server, before = restorer.custodian.server, restorer.standing()
    hanging = Hanging("data-001.pgc")
    with ThreadPoolExecutor(1) as pool:
        try:
            run = pool.submit(hung(restorer, tmp_path / "storage", hanging).reason)
            assert wait_until(lambda: bool(server.execute(_LOADING)), LIMIT_SECONDS)
            server.execute(f"select pg_terminate_backend(pid) from pg_stat_activity where {whose}")  # noqa: S608 - our own words
            assert wait_until(lambda: not server.execute(_LOADING), LIMIT_SECONDS)
        finally:
            hanging.released.set()
        assert run.result(LIMIT_SECONDS) in {Reason.CONNECTION_LOST, Reason.RESTORE_FAILED}

    assert restorer.standing() == before
    assert restorer.run().reason is Reason.RESTORED


@pytest.mark.parametrize("when", [BEFORE, AFTER])
def test_severed_while_it_is_handed_over(restorer: Restorer, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    """Nobody was let in, and it is gone; or all were, and then it counts as restored, also when the answer to that was lost."""
    server, before = restorer.custodian.server, restorer.standing()
    severing = Severing(server, when=when, is_counting=False)

    def begin(stage: object) -> None:
        severing.is_counting = severing.is_counting or stage is RestoreStage.HANDING_OVER

    handing = Restorer(replace(restorer.custodian, on_stage=begin))
    with severed(monkeypatch, severing):
        assert handing.reason() is Reason.RESTORED
        statements, whole = severing.counted, restorer.standing()
        ends = []
        for at in range(1, statements + 1):
            restorer.drop() if restorer.standing() != before else None
            severing.begin(at)
            severing.is_counting = False
            ends.append(handing.reason())
            assert restorer.standing() == (whole if ends[-1] is Reason.RESTORED else before), at

    assert statements >= LEAST_STATEMENTS
    assert set(ends[:-1]) == {Reason.CONNECTION_LOST}
    assert ends[-1] is (Reason.RESTORED if when == AFTER else Reason.CONNECTION_LOST)


@pytest.mark.parametrize("when", [BEFORE, AFTER])
@pytest.mark.parametrize("step", [pytest.param(7, id="some"), pytest.param(1, id="all", marks=pytest.mark.slow)])
@pytest.mark.timeout(900)
def test_severed_at_any_statement(restorer: Restorer, monkeypatch: pytest.MonkeyPatch, when: str, step: int) -> None:
    """From the first look at the server to the last check: nothing is left of what was begun, also when it bore no comment yet."""
    before, severing = restorer.standing(), Severing(restorer.custodian.server, when=when)
    with severed(monkeypatch, severing):
        assert restorer.reason() is Reason.RESTORED
        statements, whole = severing.counted, restorer.standing()
        restorer.drop()
        creation = severing.numbers("create database")
        for at in sorted({*creation, *(one + 1 for one in creation), *range(statements, 0, -step)}):
            severing.begin(at)
            told = restorer.reason()
            assert told in {Reason.CONNECTION_LOST, Reason.RESTORE_FAILED, Reason.RESTORED}, at
            assert restorer.standing() == (whole if told is Reason.RESTORED else before), at
            severing.begin(0)
            restorer.drop() if told is Reason.RESTORED else None


def test_an_archive_that_fails_ends_one_that_waits_for_the_storage(restorer: Restorer, tmp_path: Path) -> None:
    """One archive is damaged while the storage hangs over another: it is told at once, and what was made is taken away."""
    folder, before = tmp_path / "storage", restorer.standing()
    hanging = Hanging("data-001.pgc")
    hanging.before = lambda key: key.endswith("data-002.pgc") and hanging.reached.wait(LIMIT_SECONDS)
    (hurt,) = folder.rglob("data-002.pgc")
    data = bytearray(hurt.read_bytes())
    data[-1] ^= 1
    hurt.chmod(0o600)
    hurt.write_bytes(data)
    with ThreadPoolExecutor(1) as pool:
        try:
            assert pool.submit(hung(restorer, folder, hanging).reason).result(LIMIT_SECONDS) is Reason.ARCHIVE_DAMAGED
            assert not hanging.released.is_set()
        finally:
            hanging.released.set()

    assert restorer.standing() == before


@pytest.fixture
def through(server: PostgresServer, s3: S3Server, bucket: str, proxy: Proxy) -> Iterator[Restorer]:
    """Return who has a backup in a bucket, and reaches it by way of the proxy, with little patience."""
    with in_bucket(s3, bucket) as direct, in_bucket(s3, bucket, endpoint=proxy.url) as open_store:
        taken = Custodian(server=server, open_store=direct).take(parallelism=2, compression=PLAIN)
        assert taken.reason is Reason.SUCCEEDED
        yield Restorer(Custodian(server=server, open_store=open_store))
    server.execute(f"drop database if exists {NEW} with (force)")


ROWS: Final = r"GET \S+/data-001\.pgc"


@pytest.mark.s3
@pytest.mark.parametrize(
    "harm",
    [
        # for ever means without a byte: of what brings some each time the rest is asked for, and it comes to its end
        pytest.param(lambda times: fault.truncated_read(500_000 if times == 1 else 0, ROWS, times=times), id="cut"),
        pytest.param(lambda times: fault.server_error(ROWS, times=times), id="500"),
        pytest.param(lambda times: fault.slow_down(ROWS, times=times), id="503"),
    ],
)
def test_the_storage_breaks_in_the_middle(through: Restorer, proxy: Proxy, harm: Any) -> None:
    """What passes is taken up where it broke; what does not is told, with nothing left, and a storage that is well again is enough."""
    before = through.standing()
    assert through.reason() is Reason.RESTORED
    through.drop()
    once: Fault = proxy.add(harm(1))
    assert (through.reason(), once.struck.is_set()) == (Reason.RESTORED, True)
    through.drop()

    proxy.add(harm(FOR_EVER))
    assert through.reason() is Reason.STORAGE_UNREACHABLE
    assert through.standing() == before
    proxy.heal()
    assert through.reason() is Reason.RESTORED
