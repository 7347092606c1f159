"""Revisions in Python beside SQL, on a real server: in one transaction with their row, written down as they ran, and undone."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from dbcustody.errors import DbcustodyError, UnavailableError
from dbcustody.jobs.migration import look
from dbcustody.jobs.reversal import roll_back
from dbcustody.migration.history import Kind
from dbcustody.migration.ledger import State
from dbcustody.reason import Reason
from ground.postgres import PostgresServer
from ground.process import wait_until
from tests.fakes.migrator import Migrator, states

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.postgres
BEGIN, AGE, AFTER = "20261101_120000_begin", "20261102_120000_age", "20261103_120000_after"
HEAD = "from alembic import context, op\nimport sqlalchemy as sa\n\n"
PYTHON = f"""{HEAD}
def upgrade():
    op.add_column('people', sa.Column('age', sa.Integer()))
    rows = op.get_bind().execute(sa.text('select id from people')).all()
    people = sa.table('people', sa.column('id'), sa.column('age'))
    for (one,) in rows:
        op.get_bind().execute(people.update().where(people.c.id == one).values(age=4711 + one))

def downgrade():
    op.drop_column('people', 'age')
"""  # noqa: S608 - a text of the test
FILES = {
    f"{BEGIN}.sql": "create table people (id int primary key, email text);\ninsert into people values (1, 'a'), (2, 'b');\n",
    f"{AGE}.py": PYTHON,
    f"{AFTER}.sql": "alter table people alter column age set not null;\n",
    f"{AFTER}.down.sql": "alter table people alter column age drop not null;\n",
}


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


def ran(server: PostgresServer, name: str) -> str:
    """Return what the ledger says that the attempts of *name* ran."""
    words = "select a.name, o.ran from dbcustody.outcome o join dbcustody.attempt a on a.id = o.attempt order by o.id"
    return "---".join(str(text) for one, text in server.execute(words, database="shop") if one == name)


def columns(server: PostgresServer) -> list[str]:
    """Return the columns of the table, but for those that were dropped."""
    words = "select attname from pg_attribute where attrelid = 'people'::regclass and attnum > 0 and not attisdropped order by attnum"
    return [row[0] for row in server.execute(words, database="shop")]


def only(migrator: Migrator, body: str, *, more: str = "") -> None:
    """Let the Python file of *migrator* have *body* in its upgrade, and *more* before it; what follows it is taken out."""
    migrator.files = {
        f"{BEGIN}.sql": FILES[f"{BEGIN}.sql"],
        f"{AGE}.py": f"{HEAD}{more}\ndef upgrade():\n" + "".join(f"    {line}\n" for line in body.splitlines()),
    }


def refused(migrator: Migrator, **changes: object) -> DbcustodyError:
    """Return why it does not migrate."""
    with pytest.raises(DbcustodyError) as error:
        migrator.migrate(**changes)
    return error.value


def test_python_and_sql_are_one_chain(server: PostgresServer, migrator: Migrator) -> None:
    """SQL, Python, SQL, in the order of their names; the SQL that the Python ran is written down, and no value of a row."""
    after = migrator.migrate()

    assert (after.applied, after.pending, after.differences) == ((BEGIN, AGE, AFTER), (), ())
    assert server.execute("select id, age from people order by id", database="shop") == [(1, 4712), (2, 4713)]
    text = ran(server, AGE)
    assert "ALTER TABLE people ADD COLUMN age INTEGER" in text
    assert ("-- 2 times" in text, "4712" in text, ran(server, BEGIN)) == (True, False, "None")
    assert migrator.migrate() == after


def test_the_way_back_is_its_downgrade(server: PostgresServer, migrator: Migrator) -> None:
    """Undone to the beginning and done again, as SQL is."""
    migrator.migrate()
    back = roll_back(migrator.order(), BEGIN)

    assert (back.applied, columns(server)) == ((BEGIN,), ["id", "email"])
    assert states(migrator)[-2:] == [(AFTER, State.ROLLED_BACK), (AGE, State.ROLLED_BACK)]
    assert "DROP COLUMN age" in ran(server, AGE)
    assert migrator.migrate().pending == ()


def test_without_a_real_downgrade_there_is_no_way_back(server: PostgresServer, migrator: Migrator) -> None:
    """An empty function would claim to undo it: nothing is undone, of the others neither."""
    migrator.files[f"{AGE}.py"] = FILES[f"{AGE}.py"].replace("op.drop_column('people', 'age')", "pass")
    migrator.migrate()
    with pytest.raises(DbcustodyError) as error:
        roll_back(migrator.order(), BEGIN)

    assert (error.value.reason, AGE in error.value.message) == (Reason.IRREVERSIBLE, True)
    assert columns(server) == ["id", "email", "age"]


def test_what_the_server_refuses_is_told_by_line(server: PostgresServer, migrator: Migrator) -> None:
    """Nothing of it is in, no value is told, and corrected it goes on."""
    only(
        migrator,
        "op.add_column('people', sa.Column('age', sa.Integer()))\nop.execute(\"insert into people values (1, 'secret')\")",
    )
    error = refused(migrator)

    assert (error.reason, f"{AGE}.py: line 7: " in error.message, "secret" in error.message) == (
        Reason.MIGRATION_FAILED,
        True,
        False,
    )
    assert (states(migrator)[-1], columns(server)) == ((AGE, State.FAILED), ["id", "email"])
    migrator.files = dict(FILES)
    assert migrator.migrate().pending == ()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("raise KeyError('secret')", "line 7: KeyError was raised"),
        ("raise SystemExit(0)", "line 7: SystemExit was raised"),
        ("import nowhere.secret_of_nobody", "line 7: there is no module nowhere; it must be installed"),
        ("context.configure(url='x')", "calls of alembic.context what is for an env.py"),
        ("op.get_bind().commit()", "ends its transaction"),
        ("op.get_bind().rollback()", "ends its transaction"),
        ("op.get_bind().connection.dbapi_connection.rollback()", "ends its transaction"),
        ("op.execute('commit')", "COMMIT is not a migration's to say"),
        ("op.execute('/* x */ select 1; commit; begin')", "COMMIT is not a migration's to say"),
        ("op.execute(\"set lock_timeout = '1h'\")", "lock_timeout is set by the runner"),
        ("op.execute('delete from dbcustody.outcome')", "touches the schema dbcustody"),
        (
            "with sa.orm.Session(op.get_bind().engine) as own:\n    own.execute(sa.text('select 1'))\n    own.commit()",
            "ends its transaction",
        ),
        (
            "try:\n    op.get_bind().commit()\nexcept Exception:\n    pass",
            "ends its transaction",
        ),
    ],
)  # fmt: skip
def test_what_code_must_not_do_leaves_nothing(
    server: PostgresServer, migrator: Migrator, body: str, words: str
) -> None:
    """Whatever it is, what it did before is not in, the message tells no value, and the session is fit for the next one."""
    only(migrator, "op.add_column('people', sa.Column('age', sa.Integer()))\n" + body, more="import sqlalchemy.orm")
    error = refused(migrator)

    assert (words in error.message, "secret'" in error.message) == (True, False), error.message
    assert (states(migrator)[-1], columns(server)) == ((AGE, State.FAILED), ["id", "email"])
    migrator.files = dict(FILES)
    assert migrator.migrate().pending == ()


def test_a_commit_that_nobody_could_stop_is_told(server: PostgresServer, migrator: Migrator) -> None:
    """It went past Alembic, SQLAlchemy and us: the server says that it is in, and a person has to look."""
    only(
        migrator,
        "op.add_column('people', sa.Column('age', sa.Integer()))\nop.get_bind().connection.dbapi_connection.commit()",
    )
    error = refused(migrator)

    assert "ends its transaction" in error.message
    assert (states(migrator)[-1], columns(server)) == ((AGE, State.PARTIAL), ["id", "email", "age"])


def test_a_session_of_its_own_is_joined(server: PostgresServer, migrator: Migrator) -> None:
    """What revisions that ship with packages do: an ORM session on the connection, with commits that commit nothing yet."""
    body = (
        "with sa.orm.Session(op.get_bind()) as own:\n    own.execute(sa.text(\"insert into people values (3, 'c')\"))\n"
        "    own.commit()\nraise KeyError"
    )
    only(migrator, body, more="import sqlalchemy.orm")
    refused(migrator)
    assert server.execute("select count(*) from people", database="shop") == [(2,)]
    only(migrator, body.replace("\nraise KeyError", ""), more="import sqlalchemy.orm")
    migrator.migrate()
    assert server.execute("select count(*) from people", database="shop") == [(3,)]


def test_it_gives_way_to_who_was_there_before(server: PostgresServer, migrator: Migrator) -> None:
    """The whole function is called again, also where it swallows that it did not get its lock."""
    python = FILES[f"{AGE}.py"]
    swallowing = python.replace(
        "    op.add_column('people', sa.Column('age', sa.Integer()))\n",
        "    try:\n        with op.get_bind().begin_nested():\n            op.add_column('people', sa.Column('age', sa.Integer()))\n"
        "    except sa.exc.DBAPIError:\n        return\n",
    )
    only(migrator, "pass")
    migrator.files.pop(f"{AGE}.py")
    migrator.migrate()
    migrator.files[f"{AGE}.py"] = swallowing
    with server.connect("shop", application_name="report") as reader:
        reader.execute("begin")
        reader.execute("select * from people")
        done = threading.Thread(target=migrator.migrate)
        done.start()
        assert wait_until(lambda: any("gives way to report" in one for one in migrator.said), 60)
        reader.execute("commit")
        done.join()

    assert (look(migrator.order()).pending, columns(server)) == ((), ["id", "email", "age"])


def test_who_stays_in_the_way_is_named(server: PostgresServer, migrator: Migrator) -> None:
    """After all tries, with nothing done."""
    migrator.files = {f"{BEGIN}.sql": FILES[f"{BEGIN}.sql"]}
    migrator.migrate()
    migrator.files[f"{AGE}.py"] = FILES[f"{AGE}.py"]
    with server.connect("shop", application_name="report") as reader:
        reader.execute("begin")
        reader.execute("select * from people")
        limits = migrator.order().limits
        error = refused(migrator, limits=type(limits)(lock_timeout_milliseconds=1000, lock_attempts=2))

    assert isinstance(error, UnavailableError)
    assert (error.reason, "after 2 tries; in the way: report (pid" in error.message) == (Reason.LOCK_NOT_OBTAINED, True)
    assert (states(migrator)[-1], f"{AGE}.py: line 6" in error.message) == ((AGE, State.FAILED), True)


def test_a_run_that_is_killed_within_it_leaves_nothing(
    server: PostgresServer, migrator: Migrator, tmp_path: Path
) -> None:
    """Nothing of the function is in, its attempt is settled, and the next run does all of it once."""
    flag = tmp_path / "dies"
    flag.touch()
    only(
        migrator,
        f"op.add_column('people', sa.Column('age', sa.Integer()))\nif os.path.exists({str(flag)!r}):\n    os.kill(os.getpid(), 9)",
        more="import os",
    )
    with migrator.start(tmp_path / "files", run=uuid4()) as process:
        process.communicate()
    flag.unlink()
    before = look(migrator.order())
    after = migrator.migrate()

    assert (process.returncode, [one.kind for one in before.differences]) == (-9, [Kind.UNSETTLED])
    assert (after.pending, after.differences, columns(server)) == ((), (), ["id", "email", "age"])
    assert states(migrator) == [(BEGIN, State.APPLIED), (AGE, State.FAILED), (AGE, State.APPLIED)]


def test_a_connection_that_is_lost_within_it_is_told(server: PostgresServer, migrator: Migrator) -> None:
    """Only the next run can know what is in: nothing is, and it does it."""
    only(migrator, "op.add_column('people', sa.Column('age', sa.Integer()))")
    text = migrator.files[f"{AGE}.py"]
    migrator.files[f"{AGE}.py"] += "    op.execute('select pg_terminate_backend(pg_backend_pid())')\n"
    error = refused(migrator)
    migrator.files[f"{AGE}.py"] = text

    assert isinstance(error, UnavailableError)
    assert error.reason is Reason.CONNECTION_LOST
    assert (migrator.migrate().pending, columns(server)) == ((), ["id", "email", "age"])
    assert states(migrator) == [(BEGIN, State.APPLIED), (AGE, State.FAILED), (AGE, State.APPLIED)]


def test_what_it_prints_is_no_answer(migrator: Migrator, capfd: pytest.CaptureFixture[str]) -> None:
    """Standard output belongs to whoever reads it by a program."""
    only(migrator, "print('working')")
    migrator.migrate()
    assert capfd.readouterr() == ("", "working\n")


def test_an_invariant_holds_for_python_too(server: PostgresServer, migrator: Migrator) -> None:
    """Said in a comment at its head; where it does not hold, nothing of it is in."""
    only(
        migrator,
        "op.add_column('people', sa.Column('age', sa.Integer()))",
        more="# dbcustody: invariant select count(*) = 3 from people",
    )
    error = refused(migrator)
    assert ("invariant 1 does not hold" in error.message, columns(server)) == (True, ["id", "email"])
