"""What the role may not read refuses the backup with the statement that helps; only large objects of others are left out, and named.

Beside it: nothing secret is told anywhere, and a standby is dumped like any server.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from dbcustody.api.policy import Tables
from dbcustody.codec import encode
from dbcustody.reason import Reason
from ground.postgres import PostgresServer
from ground.process import wait_until
from tests.fakes.custodian import KEY, Custodian, in_volume
from tests.fakes.gate import Gate
from tests.fakes.homecoming import likeness, restore_by_guide

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.postgres

PASSWORD, VALUE, ROLE = "c4nary-p4ssword", "c4nary-v4lue", "c4nary_role"


@pytest.fixture(scope="module")
def running() -> Iterator[PostgresServer]:
    """Return a server with an ordinary role."""
    with PostgresServer(17) as server:
        server.execute(f"create role {ROLE} login password '{PASSWORD}'")
        yield server


@pytest.fixture
def server(running: PostgresServer) -> Iterator[PostgresServer]:
    """Return the server with a shop that the role may read."""
    running.execute("create database shop")
    running.execute(
        "create table a (v text)",
        f"insert into a values ('{VALUE}')",  # noqa: S608 - a canary
        f"grant select on a to {ROLE}",
        database="shop",
    )
    yield running
    running.execute("drop database shop with (force)", "drop database if exists back with (force)")
    running.execute(f"alter role {ROLE} nobypassrls")


@pytest.fixture
def custodian(server: PostgresServer, tmp_path: Path) -> Custodian:
    """Return who backs the shop up as the ordinary role."""
    return Custodian(server=server, open_store=in_volume(tmp_path), user=ROLE, password=PASSWORD)


@pytest.mark.parametrize(
    ("statements", "grant"),
    [
        pytest.param(("create table b (n int)",), f"GRANT SELECT ON TABLE public.b TO {ROLE};", id="table"),
        pytest.param(
            ("create schema s", "create table s.b (n int)", f"grant select on s.b to {ROLE}"),
            f"GRANT USAGE ON SCHEMA s TO {ROLE};",
            id="schema",
        ),
        pytest.param(("create sequence b",), f"GRANT SELECT ON SEQUENCE public.b TO {ROLE};", id="sequence"),
        pytest.param(("alter table a enable row level security",), f"ALTER ROLE {ROLE} BYPASSRLS;", id="row-security"),
    ],
)
def test_missing_right_refuses_the_backup(
    custodian: Custodian, server: PostgresServer, statements: tuple[str, ...], grant: str
) -> None:
    """Nothing is dumped with something left out: the statement that helps is told, and run as it stands it does."""
    server.execute(*statements, database="shop")
    reason, message = custodian.outcome()
    assert (reason, grant in message) == (Reason.PRIVILEGES_MISSING, True), message
    assert custodian.stock().backups == ()
    server.execute(grant, database="shop")
    assert custodian.outcome()[0] is Reason.SUCCEEDED


def test_what_is_left_out_need_not_be_readable(custodian: Custodian, server: PostgresServer) -> None:
    """A table that the role may not read can be excluded; one that is asked for and may not be read is refused."""
    server.execute("create table b (n int)", database="shop")
    assert custodian.outcome("without", tables=Tables(exclude=("b",)))[0] is Reason.SUCCEEDED
    assert custodian.outcome("with", tables=Tables(include=("b",)))[0] is Reason.PRIVILEGES_MISSING


@pytest.mark.parametrize("parallelism", [1, 2])
def test_large_objects_of_others_are_left_out(
    custodian: Custodian, server: PostgresServer, tmp_path: Path, parallelism: int
) -> None:
    """Where one large object cannot be read, all are left out and it is said; the rest is good and comes back."""
    server.execute(
        "select lo_create(4711), lo_from_bytea(4712, 'x')",
        f"grant select on large object 4712 to {ROLE}",
        database="shop",
    )
    result = custodian.take(parallelism=parallelism)
    assert result.reason is Reason.SUCCEEDED, result.message
    assert result.backup is not None
    assert result.backup.artefact is not None
    assert "2 large objects, because 1 of them cannot be read by this role" in result.backup.not_captured
    folder = tmp_path / "web.shop" / "backups" / result.backup.artefact.backup_id
    restore_by_guide(folder, server, "back", folder=tmp_path / "work", key=KEY)
    back = likeness(server, "back")
    assert (back.rows, back.large_objects) == (likeness(server, "shop").rows, [])


def test_large_object_that_is_made_during_the_dump(custodian: Custodian, server: PostgresServer) -> None:
    """Large objects that come after the snapshot are in nobody's count."""
    server.execute("select lo_from_bytea(4712, 'x')", f"alter large object 4712 owner to {ROLE}", database="shop")
    superuser = Custodian(server=server, open_store=custodian.open_store)
    with Gate(server) as gate, superuser.running() as run:
        gate.wait_reached()
        server.execute("select lo_create(4713)", database="shop")
        gate.open()
        assert run.outcome()[0] is Reason.SUCCEEDED, run.outcome()


class Watch:
    """Looks at the arguments of every process of ours while its block runs."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.005):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):
                    self.seen.add(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))


def test_nothing_secret_is_told(
    *, custodian: Custodian, server: PostgresServer, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    """Password, row values and names of roles are in no result, progress, log, clear object or argument of a process."""
    with Watch() as watch, Gate(server) as gate:
        server.execute(f"grant select on gated to {ROLE}", database="shop")
        with custodian.running(parallelism=2) as run:
            gate.wait_reached()
            gate.open()
            assert run.outcome()[0] is Reason.SUCCEEDED, run.outcome()
    adopted = custodian.take()
    server.execute("drop table a", "create table a (v text)", database="shop")
    refused = custodian.outcome("refused", tables=Tables(include=("a",)))
    dumps = [line for line in watch.seen if "pg_dump" in line]
    assert dumps
    told = [str(encode(one)) for one in custodian.told] + [
        str(encode(adopted)),
        *dumps,
        caplog.text,
        *capfd.readouterr(),
    ]
    stored = [path.read_bytes().decode(errors="replace") + str(path) for path in tmp_path.rglob("*") if path.is_file()]
    for canary in (PASSWORD, VALUE, ROLE):
        assert [text for text in (*told, *stored) if canary in text] == []
    assert PASSWORD not in refused[1]
    assert VALUE not in refused[1]


@pytest.fixture
def standby() -> Iterator[PostgresServer]:
    """Return a hot standby with a table, an unlogged one, and a sequence of its own."""
    with PostgresServer(17) as server:
        server.execute("create database shop")
        server.execute(
            "create table a (id serial, n int); insert into a (n) select generate_series(1, 100)",
            "create unlogged table u (id serial, n int); insert into u (n) select generate_series(1, 5)",
            database="shop",
        )
        with Gate(server):
            pass
        server.stop()
        (server.data / "standby.signal").touch()
        server.start()
        yield server


def test_standby_is_dumped(standby: PostgresServer, tmp_path: Path) -> None:
    """A standby gives a good backup; it says so, and names the rows of unlogged tables, which it does not have."""
    custodian = Custodian(server=standby, open_store=in_volume(tmp_path))
    result = custodian.take(parallelism=2)
    assert result.reason is Reason.SUCCEEDED, result.message
    assert result.backup is not None
    assert result.backup.server is not None
    assert result.backup.server.in_recovery
    assert "rows of 1 unlogged tables, which a standby does not have" in result.backup.not_captured
    assert result.backup.tables is not None
    assert (result.backup.tables.count, result.backup.tables.rows) == (2, 101)


def test_standby_that_is_promoted_meanwhile(standby: PostgresServer, tmp_path: Path) -> None:
    """A promotion in the middle of the dump does not disturb it."""
    custodian = Custodian(server=standby, open_store=in_volume(tmp_path))
    standby.execute("select 1")
    keeper = standby.connect("shop")
    keeper.execute("select pg_advisory_lock(4711)")
    with keeper, custodian.running(parallelism=2) as run:
        assert wait_until(
            lambda: any("hold()" in query and "COPY" in query for _, _, query, _ in custodian.backends()), 60
        )
        assert standby.execute("select pg_promote()") == [(True,)]
        keeper.close()
        assert run.outcome()[0] is Reason.SUCCEEDED, run.outcome()
    assert [one.is_good for one in custodian.stock().live] == [True]
