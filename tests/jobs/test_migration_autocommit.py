"""Revisions that leave their transaction, and what else Alembic's habits have led to: each experiment once, on a real server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dbcustody.errors import DbcustodyError
from dbcustody.jobs.foresight import foresee
from dbcustody.jobs.migration import look
from dbcustody.migration.finding import Severity
from dbcustody.migration.forecast import Risk
from dbcustody.migration.ledger import State
from dbcustody.reason import Reason
from ground.postgres import PostgresServer
from tests.fakes.migrator import Migrator, states

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbcustody.migration.planned import MigrationPlan

pytestmark = pytest.mark.postgres
BEGIN, NEXT = "20261101_120000_begin", "20261102_120000_next"
HEAD = "from alembic import op\nimport sqlalchemy as sa\n\n"
BLOCK = "with op.get_context().autocommit_block():\n        "
INDEX = f"{BLOCK}op.create_index('by_email', 'people', ['email'], postgresql_concurrently=True)"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server."""
    with PostgresServer(17) as started:
        yield started


@pytest.fixture
def migrator(server: PostgresServer) -> Iterator[Migrator]:
    """Return who migrates a new database that has a table and an enum."""
    server.execute("create database shop")
    begin = "create table people (id int primary key, email text);\ncreate type mood as enum ('sad');\n"
    yield Migrator.of(server, {f"{BEGIN}.sql": begin})
    server.execute("drop database shop with (force)")


def write(migrator: Migrator, up: str, *, more: str = "", name: str = NEXT) -> None:
    """Write a revision whose upgrade is *up*."""
    migrator.files[f"{name}.py"] = f"{HEAD}{more}\ndef upgrade():\n    {up}\n"


def refused(migrator: Migrator) -> DbcustodyError:
    """Return why it does not migrate."""
    with pytest.raises(DbcustodyError) as error:
        migrator.migrate()
    return error.value


def planned(migrator: Migrator) -> MigrationPlan:
    """Return the plan."""
    return foresee(migrator.order()).plan


def rules(migrator: Migrator) -> dict[str, Severity]:
    """Return what the plan finds in the last file, by the names of our rules."""
    return {
        one.rule: one.severity for one in planned(migrator).judged[-1].findings if not one.rule.startswith("squawk-")
    }


def test_x3_a_block_alone_is_a_statement_by_itself(server: PostgresServer, migrator: Migrator) -> None:
    """With its intent, its probe and its SQL in the ledger, as SQL has it."""
    write(migrator, INDEX)
    plan = planned(migrator)
    migrator.migrate()

    assert [one.text for one in plan.judged[-1].script.up.statements] == [
        "CREATE INDEX CONCURRENTLY by_email ON people (email)"
    ]
    assert states(migrator) == [(BEGIN, State.APPLIED), (NEXT, State.APPLIED)]
    assert server.execute("select statement, nature from dbcustody.step", database="shop") == [
        ("CREATE INDEX CONCURRENTLY by_email ON people (email)", "NonTransactional")
    ]
    assert server.execute(
        "select indisvalid from pg_index where indexrelid = 'by_email'::regclass", database="shop"
    ) == [(True,)]


def test_x3_what_a_dead_run_left_of_a_block_is_settled_by_the_catalogue(
    server: PostgresServer, migrator: Migrator
) -> None:
    """Its statement is in the ledger, so that nobody runs the code to find out what it was; the broken index is made anew."""
    later = INDEX
    migrator.migrate()
    write(migrator, later)
    server.execute("insert into people values (1, 'a'), (2, 'a')", database="shop")
    write(migrator, later.replace("['email'],", "['email'], unique=True,"))
    error = refused(migrator)
    cleared = server.execute("select to_regclass('by_email')::text", database="shop")
    server.execute(
        "insert into dbcustody.attempt (run, revision, name, direction, sha256, body, tool, actor) "
        f"select gen_random_uuid(), '20261102_120000', '{NEXT}', 'Up', repeat('0', 64), 'no sql at all (', 'test', 'test'",
        "insert into dbcustody.step (attempt, ordinal, sha256, nature, found_before, statement) "
        "select max(id), 1, repeat('0', 64), 'NonTransactional', 'Absent', 'create index concurrently by_email on people (email)' "
        "from dbcustody.attempt",
        "create index by_email on people (email)",
        "update pg_index set indisvalid = false where indexrelid = 'by_email'::regclass",
        database="shop",
    )
    write(migrator, later)
    migrator.migrate()

    assert (error.reason, cleared) == (Reason.MIGRATION_FAILED, [(None,)])
    assert states(migrator) == [
        (BEGIN, State.APPLIED), (NEXT, State.FAILED), (NEXT, State.FAILED), (NEXT, State.APPLIED)
    ]  # fmt: skip
    assert server.execute(
        "select indisvalid from pg_index where indexrelid = 'by_email'::regclass", database="shop"
    ) == [(True,)]


def test_x3_a_value_of_an_enum_needs_no_block(server: PostgresServer, migrator: Migrator) -> None:
    """What the block was written for on old servers runs in a transaction, with its row."""
    write(migrator, f"{BLOCK}op.execute(\"alter type mood add value 'calm'\")")
    migrator.migrate()
    assert states(migrator)[-1] == (NEXT, State.APPLIED)
    assert server.execute("select count(*) from dbcustody.step", database="shop") == [(0,)]
    assert server.execute("select o.ran from dbcustody.outcome o order by id desc limit 1", database="shop") == [
        ("alter type mood add value 'calm';\n",)
    ]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ((f"op.create_table('a')\n    {INDEX}", ""), "commits in the middle by autocommit_block(); cut it into revisions"),
        ((f"{INDEX}\n    op.create_table('a')", ""), "commits in the middle by autocommit_block(); cut it into revisions"),
        (("leave()", f"def leave():\n    {INDEX}\n"), "commits in the middle by autocommit_block(); cut it into revisions"),
        ((f"{BLOCK}op.execute('vacuum; vacuum')", ""), "must be one statement that can be told beforehand, and it renders 2 statements"),
        ((f"{BLOCK}print('nothing')", ""), "must be one statement that can be told beforehand, and it renders 0 statements"),
        ((f"{BLOCK}op.execute(sa.inspect(1))", ""), "must be one statement that can be told beforehand, and it line 7: NoInspection"),
    ],
)  # fmt: skip
def test_x3_company_of_a_block_is_refused_before_anything_runs(
    server: PostgresServer, migrator: Migrator, code: tuple[str, str], words: str
) -> None:
    """With the way to cut it: nothing of it is in, and of what comes before it neither."""
    write(migrator, code[0], more=code[1])
    error = refused(migrator)
    assert (words in error.message, states(migrator)) == (True, []), error.message
    assert server.execute("select to_regclass('people')::text", database="shop") == [(None,)]


def test_x3_a_block_that_nobody_could_see_is_refused_as_it_begins(server: PostgresServer, migrator: Migrator) -> None:
    """Entered by way of another name: nothing is committed then, and nothing is in."""
    write(
        migrator,
        "op.create_table('a', sa.Column('id', sa.Integer()))\n    with getattr(op.get_context(), 'auto' + 'commit_block')():\n        pass",
    )
    error = refused(migrator)
    assert ("leaves its transaction by autocommit_block()" in error.message, states(migrator)[-1]) == (
        True,
        (NEXT, State.FAILED),
    )
    assert server.execute("select to_regclass('a')::text", database="shop") == [(None,)]


def test_x3_the_plan_refuses_company_of_a_block(migrator: Migrator) -> None:
    """As an Error, with the way to cut it."""
    write(migrator, f"op.create_table('a')\n    {INDEX}")
    assert rules(migrator)["python-commits"] is Severity.ERROR
    assert [one.rule for one in planned(migrator).refusals] == ["python-commits"]


def test_x4_each_revision_is_a_transaction_of_its_own(server: PostgresServer, migrator: Migrator) -> None:
    """A failure in the second leaves the first in, and both written down."""
    write(migrator, "op.create_table('a', sa.Column('id', sa.Integer()))")
    write(
        migrator,
        "op.create_table('b', sa.Column('id', sa.Integer()))\n    op.execute('select 1/0')",
        name="20261103_120000_last",
    )
    refused(migrator)
    assert states(migrator)[1:] == [(NEXT, State.APPLIED), ("20261103_120000_last", State.FAILED)]
    assert server.execute("select to_regclass('a')::text, to_regclass('b')::text", database="shop") == [("a", None)]


def test_x6_what_is_rendered_is_judged_and_never_taken_for_all(migrator: Migrator) -> None:
    """The rules look at its statements; without any finding of theirs it is Caution, since code decides as it runs."""
    write(migrator, "op.create_table('a', sa.Column('id', sa.Integer()))")
    harmless = planned(migrator).judged[-1]
    write(migrator, "op.drop_column('people', 'email')")
    found, plan = rules(migrator), planned(migrator)

    assert (harmless.risk, [one.rule for one in harmless.findings if one.rule.startswith("python")]) == (
        Risk.CAUTION,
        ["python-revision"],
    )
    assert (found["drop-column"], found["python-revision"]) == (Severity.NOTE, Severity.NOTE)
    assert (plan.risk, plan.judged[-1].script.up.sql.strip()) == (
        Risk.DESTRUCTIVE,
        "ALTER TABLE people DROP COLUMN email;",
    )
    assert {one.line for one in plan.judged[-1].findings} == {None}


def test_x6_what_cannot_be_rendered_is_a_finding(migrator: Migrator) -> None:
    """What came before it is shown; the plan is made, and running it is another matter."""
    write(
        migrator,
        "op.create_table('a', sa.Column('id', sa.Integer()))\n    op.get_bind().execute(sa.text('select 1')).scalar()",
    )
    judged = planned(migrator).judged[-1]
    (unseen,) = [one for one in judged.findings if one.rule == "python-unseen"]

    assert (unseen.severity, "line 7: AttributeError was raised" in unseen.what, judged.risk) == (
        Severity.WARNING,
        True,
        Risk.CAUTION,
    )
    assert [one.terms[:3] for one in judged.script.up.statements] == [("create", "table", "a"), ("select", "1")]
    assert migrator.migrate().pending == ()


def test_x6_a_plan_runs_nothing(server: PostgresServer, migrator: Migrator) -> None:
    """Code that would write outside of `op` finds no database."""
    write(migrator, "op.get_bind().execute(sa.text('create table a (id int)'))")
    planned(migrator)
    look(migrator.order())
    assert server.execute("select to_regclass('a')::text", database="shop") == [(None,)]


def test_x9_colons_and_percent_signs_of_a_text_arrive(server: PostgresServer, migrator: Migrator) -> None:
    """In SQL as they stand there, and in Python by whichever way the text is handed over."""
    text = "insert into people values (0, '100 % :name' || $$ % :name $$)"
    first, second, third = (text.replace("0", one, 1) for one in "123")
    migrator.files["20261101_120001_text.sql"] = f"{first};\n"
    escaped = third.replace(":name", "\\:name")
    plain = "execution_options={'no_parameters': True}"
    up = f"op.get_bind().exec_driver_sql({second!r}, {plain})\n    op.execute(sa.text({escaped!r}))"
    write(migrator, up)
    migrator.migrate()
    assert server.execute("select distinct email from people", database="shop") == [("100 % :name % :name ",)]


def test_parameters_find_their_types_as_with_psycopg2(server: PostgresServer, migrator: Migrator) -> None:
    """A text for a number, as Airflow ships it, an enum and a list; and many rows at once."""
    up = (
        'op.execute("create table t (n int, m mood, a text[], d date)")\n'
        "    t = sa.table('t', *map(sa.column, ('n', 'm', 'd')), sa.column('a', sa.ARRAY(sa.Text)))\n"
        "    op.bulk_insert(t, [{'n': '7', 'm': 'sad', 'a': ['x', 'y'], 'd': '2026-01-31'}, dict.fromkeys('nmad')])\n"
        "    op.execute(t.update().where(t.c.n == sa.literal('7')).values(n=sa.literal('8')))"
    )
    write(migrator, up)
    migrator.migrate()
    assert server.execute("select n, m::text, a, d::text from t order by n", database="shop") == [
        (8, "sad", ["x", "y"], "2026-01-31"),
        (None, None, None, None),
    ]
