"""What a Job tells of the statement that the server refused, on a real server: code, place and names, and no value of any row."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import pytest

from dbcustody.api.migration import FailOn, MigrationLint, MigrationPolicy, OnDrift
from dbcustody.api.migration_error import StatedError
from dbcustody.codec import encode
from dbcustody.contract import Verb
from dbcustody.reason import Reason
from ground.postgres import PostgresServer
from tests.fakes.deployer import Deployer, deploying

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dbcustody.contract import JobResult

pytestmark = pytest.mark.postgres
BEGIN, NEXT = "20261101_120000_begin", "20261102_120000_next"
VALUE: Final = "jane.canary@example.org"
RAISED: Final = "code in the database raised an exception, whose words may hold values of rows; run the statement by hand to read them"
TABLE: Final = f"""
create schema crm;
create table crm.people (id int primary key, email text);
insert into crm.people values (1, '{VALUE}'), (2, '{VALUE}'), (3, null);
create procedure crm.fill() language plpgsql as $$
begin
    insert into crm.people values (4, '{VALUE}');
    commit;
    insert into crm.people values (4, '{VALUE}');
end $$;
"""  # noqa: S608 - a canary


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server."""
    with PostgresServer(17) as started:
        yield started


@pytest.fixture
def deployer(server: PostgresServer, tmp_path: Path) -> Iterator[Deployer]:
    """Return who runs the Jobs of a resource whose first migration is in, with rows that are a secret."""
    with deploying(server, tmp_path, sources={"first": {f"{BEGIN}.sql": TABLE}}) as found:
        assert found.migrates().reason is Reason.APPLIED
        yield found


def error_of(result: JobResult) -> StatedError | None:
    """Return what *result* tells of the last error."""
    assert result.migration is not None
    return result.migration.last_error


def refused(
    deployer: Deployer, text: str, *, ends: Reason = Reason.MIGRATION_FAILED, ending: str = "sql"
) -> StatedError:
    """Return what is told of the error that a run of *text* ends with; no value of a row is in it, nor in anything else that is told."""
    deployer.sources["second"] = {f"{NEXT}.{ending}": text}
    lint = MigrationLint(fail_on=FailOn.NEVER)
    limits = {"lock_timeout_milliseconds": 200, "lock_attempts": 1}
    policy = MigrationPolicy(allow_python=True, lint=lint, drift=OnDrift.IGNORE, **limits)
    result = deployer.migrates(policy=policy)
    assert result.reason is ends, result.message
    assert VALUE not in str(encode(result)) + deployer.said
    assert "canary" not in str(encode(result)) + deployer.said
    error = error_of(result)
    assert error is not None
    assert (error.revision, error.file) == (NEXT, f"{NEXT}.{ending}")
    assert error.time is not None
    return error


@pytest.mark.parametrize(
    ("statement", "sqlstate", "named"),
    [
        ("alter table crm.people add constraint one_each unique (email)", "23505", ("people", None, "one_each")),
        ("alter table crm.people add constraint small check (id < 2)", "23514", ("people", None, "small")),
        ("alter table crm.people alter column email set not null", "23502", ("people", "email", None)),
        (f"insert into crm.people values (1, '{VALUE}')", "23505", ("people", None, "people_pkey")),  # noqa: S608 - a canary
    ],
)
def test_what_rows_do_not_allow_is_told_by_its_names(
    deployer: Deployer, statement: str, sqlstate: str, named: tuple[str | None, ...]
) -> None:
    """With the line and the number of the statement; the server's DETAIL quotes the row, and is told nowhere."""
    error = refused(deployer, f"select 1;\n\n{statement};\n")
    assert (error.sqlstate, error.statement_number, error.line) == (sqlstate, 2, 3)
    assert (error.schema, error.table, error.column, error.constraint) == ("crm", *named)
    assert error.message is not None
    assert str(named[2] or named[1]) in error.message


def test_a_value_that_the_server_quotes_is_left_out(deployer: Deployer) -> None:
    """Its own words stay."""
    error = refused(deployer, "alter table crm.people alter column email type int using email::int;")
    assert (error.sqlstate, error.message) == ("22P02", 'invalid input syntax for type integer: "…"')
    assert (error.schema, error.table, error.column, error.constraint) == (None, None, None, None)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("raise exception 'nobody can say ''why'' yet';", "nobody can say '…' yet"),
        ("raise exception '% is no address', (select min(email) from crm.people);", RAISED),
        ("raise exception using message = 'no', table = (select min(email) from crm.people);", "no"),
        ("assert false, (select min(email) from crm.people);", RAISED),
        ("raise unique_violation using message = (select min(email) from crm.people), constraint = 'c';", RAISED),
    ],
)
def test_what_code_raises_is_told_only_as_it_stands_in_the_file(deployer: Deployer, code: str, told: str) -> None:
    """It quotes nothing, and may put a row into its words, or name one as a table."""
    error = refused(deployer, f"do $$ begin {code} end $$;")
    assert error.message == told
    assert (error.schema, error.table, error.column, error.constraint) == (None, None, None, None)


@pytest.mark.parametrize(
    ("text", "ending"),
    [
        ("select crm.refuse();", "sql"),
        ("-- dbcustody: idempotent because it looks first\ncall crm.refuse_by_itself();", "sql"),
        ("from alembic import op\n\n\ndef upgrade():\n    op.execute('select crm.refuse()')\n", "py"),
    ],
)
def test_what_code_in_the_database_raises_is_not_told(
    server: PostgresServer, deployer: Deployer, text: str, ending: str
) -> None:
    """Nobody can tell its words from a row; whoever may read rows reads them by hand."""
    body = "begin raise exception '% is no address', (select min(email) from crm.people); end"
    server.execute(
        f"create function crm.refuse() returns int language plpgsql as $$ {body} $$",
        f"create procedure crm.refuse_by_itself() language plpgsql as $$ {body} $$",
        database="shop",
    )
    assert refused(deployer, text, ending=ending).message == RAISED


@pytest.mark.parametrize("way", ["postgres_fdw", "dblink"])
def test_what_code_on_another_server_raises_is_not_told(server: PostgresServer, deployer: Deployer, way: str) -> None:
    """It comes through as the words of an extension, and is somebody's code all the same."""
    body = "begin raise exception '% is no address', (select min(email) from crm.people); end"
    address = f"host {server.host!r}, port '{server.port}', dbname 'shop'"
    place = f"host={server.host} port={server.port} dbname=shop user=postgres password={server.password}"
    server.execute(
        f"create function crm.refuse() returns int language plpgsql as $$ {body} $$",
        "create view crm.refused as select crm.refuse() as number",
        f"create extension {way} schema crm",
        *(
            (
                f"create server itself foreign data wrapper postgres_fdw options ({address})",
                f"create user mapping for current_user server itself options (user 'postgres', password '{server.password}')",
                "create foreign table crm.far (number int) server itself options (schema_name 'crm', table_name 'refused')",
            )
            if way == "postgres_fdw"
            else (
                f"create view crm.far as select * from crm.dblink('{place}', 'select crm.refuse()') as t (number int)",  # noqa: S608 - words of our own
            )
        ),
        database="shop",
    )
    assert refused(deployer, "select * from crm.far;").message == RAISED


def test_python_that_puts_a_row_into_its_own_statement_tells_nothing(deployer: Deployer) -> None:
    """The words that are raised stand in what it runs, and not in the file."""
    text = (
        "import sqlalchemy as sa\nfrom alembic import op\n\n\ndef upgrade():\n"
        "    email = op.get_bind().scalar(sa.text('select min(email) from crm.people'))\n"
        "    op.execute(sa.text(f\"do $$ begin raise exception '{email}'; end $$\"))\n"
    )
    assert refused(deployer, text, ending="py").message == RAISED


def test_what_is_refused_at_the_end_has_no_line(deployer: Deployer) -> None:
    """A constraint that is looked at by the commit."""
    error = refused(
        deployer,
        "create table crm.pets (owner int references crm.people deferrable initially deferred);\n"
        "insert into crm.pets values (99);\n",
    )
    assert (error.sqlstate, error.statement_number, error.line) == ("23503", None, None)
    assert (error.table, error.constraint) == ("pets", "pets_owner_fkey")


def test_python_is_told_by_its_own_line(deployer: Deployer) -> None:
    """And by the number of what it ran."""
    code = f"""from alembic import op


def upgrade():
    op.execute("select 1")
    op.execute("insert into crm.people values (1, '{VALUE}')")
"""  # noqa: S608 - a canary
    error = refused(deployer, code, ending="py")
    assert (error.sqlstate, error.statement_number, error.line) == ("23505", 2, 6)
    assert (error.table, error.constraint) == ("people", "people_pkey")


def test_a_statement_by_itself_is_told_likewise(deployer: Deployer) -> None:
    """Also when it has committed something before it failed, and may run again."""
    error = refused(deployer, "-- dbcustody: idempotent because it looks first\n\ncall crm.fill();\n")
    assert (error.sqlstate, error.statement_number, error.line) == ("23505", 1, 3)
    assert (error.schema, error.table, error.constraint) == ("crm", "people", "people_pkey")


def test_what_is_in_in_part_says_so_and_the_ways_out(deployer: Deployer) -> None:
    """The server refused nothing there; what it said of an earlier try is not told any more."""
    refused(deployer, "alter table crm.people add constraint small check (id < 2);")
    text = (
        "-- dbcustody: idempotent because it looks first\n-- dbcustody: invariant SELECT false\n\nvacuum crm.people;\n"
    )
    deployer.sources["second"] = {f"{NEXT}.sql": text}
    for result in (deployer.migrates(), deployer.does(Verb.PLAN_MIGRATION)):
        assert result.migration is not None
        assert result.migration.last_error is None
        assert [(one.name, one.state) for one in result.migration.history[-1:]] == [(NEXT, "Partial")]
        obstacle, statement = result.migration.plan.obstacles
        assert statement.message == f"{NEXT}: statement 1 of 1 (line 4) ran to its end"
        assert obstacle.reason == "NeedsResolution"
        assert f"`dbcustody migrate resolve --applied {NEXT}` or `--rolled-back {NEXT}`" in obstacle.message


def test_who_only_looks_tells_what_the_ledger_keeps(deployer: Deployer) -> None:
    """As after a run that could not answer any more, or in a cluster that is new: of the same failure, at the same time."""
    error = refused(deployer, "alter table crm.people add constraint small check (id < 2);")
    for verb in (Verb.PLAN_MIGRATION, Verb.SETTLE_MIGRATION):
        kept = error_of(deployer.does(verb))
        assert kept == StatedError(sqlstate="23514", revision=NEXT, time=error.time)


def test_a_later_run_that_succeeds_leaves_it_behind(deployer: Deployer) -> None:
    """One that fails again tells its own."""
    first = refused(deployer, "alter table crm.people add constraint small check (id < 2);")
    second = refused(deployer, "alter table crm.nobody add column age int;")
    assert (first.sqlstate, second.sqlstate) == ("23514", "42P01")
    assert first.time is not None
    assert second.time is not None
    assert timedelta() <= second.time - first.time < timedelta(minutes=5)
    deployer.sources["second"] = {f"{NEXT}.sql": "alter table crm.people add column age int;"}
    assert error_of(deployer.migrates()) is None
    assert error_of(deployer.does(Verb.PLAN_MIGRATION)) is None


def test_a_lock_that_was_not_to_be_had_is_told_too(server: PostgresServer, deployer: Deployer) -> None:
    """It is tried again by itself."""
    with server.connect("shop", application_name="report") as reader:
        reader.execute("begin")
        reader.execute("select from crm.people")
        error = refused(deployer, "alter table crm.people add column age int;", ends=Reason.LOCK_NOT_OBTAINED)
    assert (error.sqlstate, error.statement_number, error.line) == ("55P03", 1, 1)
    assert error.message == "canceling statement due to lock timeout"
