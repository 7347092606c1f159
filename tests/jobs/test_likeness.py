"""Drift on a real server: what a migration leaves is written down, and what somebody else did since is seen before the next one runs."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from dbcustody.adapters.postgres import connect
from dbcustody.adapters.postgres.bookkeeping import upgrade
from dbcustody.adapters.postgres.fingerprint import read_prints
from dbcustody.adapters.postgres.ledger import Direction, Step, add_attempt, add_step
from dbcustody.api.migration import OnDrift
from dbcustody.errors import DbcustodyError, RefusedError
from dbcustody.jobs.checkup import check_up
from dbcustody.jobs.likeness import take_fingerprint, take_patiently, write_print
from dbcustody.jobs.migration import at_work, intent_of, look, settled
from dbcustody.jobs.reversal import roll_back
from dbcustody.migration.drift import Likeness, Moment
from dbcustody.migration.patience import Limits
from dbcustody.migration.trace import Finding
from dbcustody.reason import Reason
from ground.postgres import PostgresServer
from ground.process import wait_until
from tests.fakes.migrator import OLD_ATTEMPT, Migrator, drift, moments

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.postgres
BEGIN, AGE, INDEX = "20261101_120000_begin", "20261102_120000_age", "20261103_120000_by_age"
FILES = {
    f"{BEGIN}.sql": "create table people (id int primary key, email text);\n",
    f"{BEGIN}.down.sql": "drop table people;\n",
    f"{AGE}.sql": "alter table people add column age int;\n",
    f"{AGE}.down.sql": "alter table people drop column age;\n",
}
CONCURRENTLY = "create index concurrently people_by_age on people (age);\n"
BY_HAND = "alter table people alter age set default 4711"
PATIENT = Limits(lock_timeout_milliseconds=200, lock_attempts=1)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server."""
    with PostgresServer(17) as started:
        yield started


@pytest.fixture
def migrator(server: PostgresServer) -> Iterator[Migrator]:
    """Return who migrates a new database."""
    server.execute("create database shop")
    yield Migrator.of(server, FILES)
    server.execute("drop database shop with (force)")


def test_what_is_left_is_written_down_with_the_last(server: PostgresServer, migrator: Migrator) -> None:
    """First what was found, then what the run left; of a database that was never looked at nothing is known."""
    server.execute("create table older (a int)", database="shop")
    before = drift(migrator)
    migrator.migrate()

    assert (before.likeness, "no fingerprint was ever taken" in before.why) == (Likeness.UNKNOWN, True)
    assert moments(migrator) == [(Moment.FOUND, None), (Moment.AFTER, 2)]
    assert drift(migrator).likeness is Likeness.SAME


def test_what_somebody_changed_is_seen_and_nothing_runs(server: PostgresServer, migrator: Migrator) -> None:
    """It is named without its value; taken back, it goes on."""
    migrator.migrate()
    migrator.files["20261104_120000_more.sql"] = "create table more (id int);\n"
    server.execute(BY_HAND, "create table tmp (a int)", database="shop")
    with pytest.raises(RefusedError) as error:
        migrator.migrate()

    assert error.value.reason is Reason.DRIFTED
    assert error.value.message == ("Changed column public.people.age: default; Added table public.tmp; nothing was run")
    assert [str(one) for one in drift(migrator).changes] == [
        "Changed column public.people.age: default: nothing -> 4711",
        "Added table public.tmp",
    ]
    assert [one.name for one in look(migrator.order()).pending] == ["20261104_120000_more"]
    server.execute("alter table people alter age drop default", "drop table tmp", database="shop")
    assert migrator.migrate().pending == ()


@pytest.mark.parametrize(("wanted", "is_told"), [(OnDrift.WARN, True), (OnDrift.IGNORE, False)])
def test_what_is_let_pass_is_what_is_compared_with_from_then_on(
    server: PostgresServer,
    migrator: Migrator,
    wanted: OnDrift,
    is_told: bool,  # noqa: FBT001
) -> None:
    """Told or not; that it was found so is written down."""
    migrator.migrate()
    migrator.files["20261104_120000_more.sql"] = "create table more (id int);\n"
    server.execute(BY_HAND, database="shop")
    migrator.migrate(drift=wanted)

    assert ("drift: Changed column public.people.age: default" in migrator.said) is is_told
    assert moments(migrator)[-2:] == [(Moment.FOUND, 2), (Moment.AFTER, 3)]
    assert drift(migrator).likeness is Likeness.SAME


def test_while_nothing_runs_drift_is_told_and_stays(server: PostgresServer, migrator: Migrator) -> None:
    """Nobody said that it is meant so."""
    migrator.migrate()
    server.execute(BY_HAND, database="shop")
    migrator.migrate()

    assert "drift: Changed column public.people.age: default" in migrator.said
    assert drift(migrator).likeness is Likeness.DRIFTED


def test_what_fails_changes_nothing_in_it(migrator: Migrator) -> None:
    """Neither in a transaction nor beside one."""
    migrator.migrate()
    before = moments(migrator)
    for text in (
        "create table more (id int); select 1/0;\n",
        "create unique index concurrently u on people (nobody);\n",
    ):
        migrator.files["20261104_120000_more.sql"] = text
        with pytest.raises(RefusedError):
            migrator.migrate()
        assert drift(migrator).likeness is Likeness.SAME
    assert before == moments(migrator)[: len(before)]


def test_what_is_left_out_may_come_and_go(server: PostgresServer, migrator: Migrator) -> None:
    """Also when the next one looks at it."""
    migrator.migrate(exclude=("public.tmp_*",))
    server.execute("create table tmp_1 (a int)", database="shop")
    migrator.files["20261104_120000_more.sql"] = "create table more (id int);\n"
    migrator.migrate()
    assert drift(migrator).likeness is drift(migrator, "public.tmp_*").likeness is Likeness.SAME


def test_a_ledger_from_before_knows_nothing_until_the_next_run(server: PostgresServer, migrator: Migrator) -> None:
    """Even when that has nothing to do; what is in stays in."""
    with connect(migrator.target) as session:
        upgrade(session, to="0001")
        session.execute("set search_path = public")
        for script in migrator.scripts():
            session.execute(script.up.text.encode())
            session.execute(OLD_ATTEMPT, (script.revision, script.name, script.up.checksum, script.up.text))
    before = drift(migrator)
    after = migrator.migrate()

    assert (before.likeness, after.applied) == (Likeness.UNKNOWN, (BEGIN, AGE))
    assert (moments(migrator), drift(migrator).likeness) == ([(Moment.FOUND, 2)], Likeness.SAME)
    server.execute(BY_HAND, database="shop")
    assert drift(migrator).likeness is Likeness.DRIFTED


def test_what_runs_by_itself_is_written_down_with_its_outcome(migrator: Migrator) -> None:
    """An index that is built beside running work."""
    migrator.files[f"{INDEX}.sql"] = CONCURRENTLY
    migrator.migrate()
    assert (moments(migrator)[-1], drift(migrator).likeness) == ((Moment.AFTER, 3), Likeness.SAME)


@pytest.mark.parametrize("found", [Finding.ABSENT, None])
def test_what_a_dead_run_left_is_no_drift(server: PostgresServer, migrator: Migrator, found: Finding | None) -> None:
    """What is settled as done is part of the history; what never began is not."""
    migrator.migrate()
    migrator.files[f"{INDEX}.sql"] = CONCURRENTLY
    with connect(migrator.target) as session:
        script = migrator.scripts()[-1]
        number = add_attempt(session, intent_of(migrator.order(), script, Direction.UP))
        if found is not None:
            add_step(session, number, Step(sha256="0" * 64, nature="NonTransactional", before=found))
            server.execute(CONCURRENTLY, database="shop")
    history = settled(migrator.order())

    assert (len(history.pending), drift(migrator).likeness) == (1 if found is None else 0, Likeness.SAME)
    assert migrator.migrate().pending == ()


def test_it_gives_way_to_who_has_a_table_for_himself(server: PostgresServer, migrator: Migrator) -> None:
    """The server must read what a view is made of; nothing of the migration is in meanwhile."""
    migrator.files["20261104_120000_view.sql"] = "create view young as select id from people;\n"
    migrator.migrate()
    migrator.files["20261105_120000_more.sql"] = "create table more (id int);\n"
    with server.connect("shop", application_name="nightly") as other:
        other.execute("begin")
        other.execute("lock table people in access exclusive mode")
        with pytest.raises(DbcustodyError) as error:
            migrator.migrate(limits=PATIENT)
        other.execute("commit")
    migrator.migrate()

    assert error.value.reason is Reason.LOCK_NOT_OBTAINED
    assert (look(migrator.order()).pending, drift(migrator).likeness) == ((), Likeness.SAME)


def test_who_comes_into_the_way_later_is_waited_for(server: PostgresServer, migrator: Migrator) -> None:
    """The whole transaction is tried again."""
    migrator.files["20261104_120000_view.sql"] = "create view young as select id from people;\n"
    migrator.migrate()
    migrator.files["20261105_120000_more.sql"] = "select pg_advisory_xact_lock(42);\ncreate table more (id int);\n"
    limits = Limits(lock_timeout_milliseconds=500, lock_attempts=60)
    waiting = "select 1 from pg_locks where locktype = 'advisory' and objid = 42 and not granted"
    with server.connect("shop", application_name="nightly") as other:
        other.execute("begin")
        other.execute("select pg_advisory_xact_lock(42)")
        thread = threading.Thread(target=lambda: migrator.migrate(limits=limits))
        thread.start()
        assert wait_until(lambda: bool(server.execute(waiting, database="shop")), 60)
        with server.connect("shop", application_name="locker") as locker:
            locker.execute("begin")
            locker.execute("lock table people in access exclusive mode")
            other.execute("commit")
            assert wait_until(lambda: any("gives way to locker" in one for one in migrator.said), 60)
            locker.execute("commit")
        thread.join()
    assert (look(migrator.order()).pending, drift(migrator).likeness) == ((), Likeness.SAME)


def test_names_are_found_at_the_commit_as_before(server: PostgresServer, migrator: Migrator) -> None:
    """A trigger that is deferred to the end of the transaction runs after the fingerprint was taken."""
    migrator.files["20261104_120000_later.sql"] = (
        "create table noted (id int);\n"
        "create function note() returns trigger language plpgsql as $$ begin insert into noted values (1); return null; end $$;\n"
        "create constraint trigger later after insert on people deferrable initially deferred for each row execute function note();\n"
        "insert into people values (1, 'x');\n"
    )
    migrator.migrate()
    assert server.execute("select id from noted", database="shop") == [(1,)]


def test_what_cannot_be_looked_at_is_unknown_and_not_the_same(server: PostgresServer, migrator: Migrator) -> None:
    """After something that nothing takes back."""
    migrator.files["20261104_120000_view.sql"] = "create view young as select id from people;\n"
    migrator.migrate()
    with (
        at_work(migrator.order(limits=PATIENT)) as desk,
        server.connect("shop") as other,
        other.transaction(),
    ):
        other.execute("lock table people in access exclusive mode")
        taken = take_patiently(desk)
        write_print(desk, taken, Moment.AFTER)
    assert (taken, drift(migrator).likeness) == (None, Likeness.UNKNOWN)
    assert any("no fingerprint was taken (read the catalogue: " in one for one in migrator.said)
    migrator.migrate()
    assert drift(migrator).likeness is Likeness.SAME


def test_told_to_stop_it_does_not_go_on_waiting(server: PostgresServer, migrator: Migrator) -> None:
    """However many tries it has; that nothing is known is written down instead."""
    migrator.files["20261104_120000_view.sql"] = "create view young as select id from people;\n"
    migrator.migrate()
    limits = Limits(lock_timeout_milliseconds=200, lock_attempts=1000)
    with (
        at_work(migrator.order(limits=limits)) as desk,
        server.connect("shop") as other,
        other.transaction(),
    ):
        other.execute("lock table people in access exclusive mode")
        migrator.stop.set()
        assert take_patiently(desk) is None


def test_a_schema_that_is_locked_is_told_by_whoever_looks(server: PostgresServer, migrator: Migrator) -> None:
    """Not a failure, and not a word that nothing has changed; who ignores drift does not look."""
    migrator.files["20261104_120000_view.sql"] = "create view young as select id from people;\n"
    migrator.migrate()
    with server.connect("shop") as other, other.transaction():
        other.execute("lock table people in access exclusive mode")
        _, checkup = check_up(migrator.order())
        _, ignored = check_up(migrator.order(drift=OnDrift.IGNORE))
    assert (checkup.drift, "lock timeout" in checkup.why_not) == (None, True)
    assert (ignored.drift, ignored.why_not) == (None, "")


def test_a_lost_connection_is_no_word_about_the_schema(migrator: Migrator) -> None:
    """It is raised."""
    with connect(migrator.target) as session:
        session.close()
        with pytest.raises(DbcustodyError) as error:
            take_fingerprint(session, ())
    assert error.value.reason is Reason.CONNECTION_LOST


def test_the_way_back_is_written_down_and_needs_a_schema_that_is_known(
    server: PostgresServer, migrator: Migrator
) -> None:
    """What is undone leaves the fingerprint that was there before."""
    later = migrator.files.pop(f"{AGE}.sql")
    migrator.files.pop(f"{AGE}.down.sql")
    migrator.migrate()
    migrator.files |= {f"{AGE}.sql": later, f"{AGE}.down.sql": FILES[f"{AGE}.down.sql"]}
    migrator.migrate()
    server.execute(BY_HAND, database="shop")
    with pytest.raises(RefusedError) as error:
        roll_back(migrator.order(), BEGIN)
    assert error.value.reason is Reason.DRIFTED
    server.execute("alter table people alter age drop default", database="shop")
    roll_back(migrator.order(), BEGIN)

    with connect(migrator.target) as session:
        prints = read_prints(session)
    assert [one.moment for one in prints] == [Moment.FOUND, *[Moment.AFTER] * 3]
    assert (prints[1].fingerprint == prints[3].fingerprint, prints[1].fingerprint == prints[2].fingerprint) == (
        True,
        False,
    )


def test_x19_an_index_that_became_invalid_is_no_longer_the_same_schema(
    server: PostgresServer, migrator: Migrator
) -> None:
    """Columns, constraints and indexes with whether they are valid: that is what a fingerprint is of."""
    migrator.files[f"{INDEX}.sql"] = CONCURRENTLY
    migrator.migrate()
    assert drift(migrator).likeness is Likeness.SAME
    server.execute(
        "update pg_index set indisvalid = false where indexrelid = 'people_by_age'::regclass", database="shop"
    )
    found = drift(migrator)
    assert (found.likeness, found.told) == (
        Likeness.DRIFTED,
        "Changed index public.people.people_by_age: valid: nothing -> no",
    )
