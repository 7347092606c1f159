"""`dbcustody migrate dev` as developers type it, on real servers: what is applied, what is written, what is refused, and what is left."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ground.postgres import PostgresServer, server_folder
from tests.fakes.developer import Developer, room
from tests.fakes.typist import AGE, BEGIN

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.postgres
MODELS = ("--models", "app.models:Base.metadata")
EMAIL = "    email: Mapped[str | None] = mapped_column(sa.String(80), index=True)"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server."""
    with PostgresServer(17) as started:
        yield started


@pytest.fixture
def temporary() -> Iterator[Path]:
    """Return where throw-away servers of the test lie, and no others."""
    with room() as folder:
        yield folder


@pytest.fixture
def developer(server: PostgresServer, tmp_path: Path, temporary: Path) -> Iterator[Developer]:
    """Return who types, with a new database, and models that the two migrations make."""
    server.execute("create database shop")
    typist = Developer(server, tmp_path, DBCUSTODY_SERVERS=str(server_folder(17) / "bin"), TMPDIR=str(temporary))
    typist.simplify()
    for old in typist.files.glob("*.down.sql"):
        old.unlink()
    typist.model("")
    yield typist
    server.execute("drop database if exists shop with (force)")


def files(developer: Developer) -> list[str]:
    """Return what lies in the folder of migrations, hidden files, too."""
    return sorted(path.name for path in developer.files.iterdir())


OLD = [f"{BEGIN}.sql", f"{AGE}.sql"]


def test_what_is_pending_is_applied_and_in_sync_is_said(developer: Developer) -> None:
    """The target is named first; a second time nothing happens."""
    first = developer.run("migrate", "dev", *MODELS)
    second = developer.run("migrate", "dev", *MODELS)
    assert first.out.splitlines() == [
        f"{BEGIN}: applied",
        f"{AGE}: applied",
        "already in sync: the files make what the models say",
    ]
    assert first.err.splitlines()[0] == f"shop at {developer.server.host}:{developer.server.port}"
    assert (second.code, second.out) == (0, "already in sync: the files make what the models say\n")
    assert (developer.columns(), files(developer)) == (["id", "age"], OLD)


def test_without_models_nothing_is_written(developer: Developer) -> None:
    """What is pending is applied, and that all of it runs from nothing is checked."""
    done = developer.run("migrate", "dev")
    assert (done.code, "2 migrations run from nothing" in done.out, files(developer)) == (0, True, OLD), done.err


def test_what_the_models_are_ahead_is_written_and_applied(developer: Developer) -> None:
    """Reviewable SQL, with a way back that works; then everything is in sync, and history sound."""
    developer.model(EMAIL)
    done = developer.run("migrate", "dev", *MODELS, "--name", "Add e-mail", "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    down, up = (Path(path).name for path in told["written"])
    text = (developer.files / up).read_text()
    assert text == (
        "-- Add e-mail\n\nALTER TABLE people ADD COLUMN email VARCHAR(80);\n\n"
        "CREATE INDEX ix_people_email ON people (email);\n"
    )
    assert (up.endswith("_add_e_mail.sql"), down) == (True, up.replace(".sql", ".down.sql"))
    assert (told["applied"], told["losses"], told["stillDifferent"]) == ([BEGIN, AGE, up.removesuffix(".sql")], [], [])
    assert developer.columns() == ["id", "age", "email"]
    assert developer.run("migrate", "status").code == 0
    assert developer.run("migrate", "rollback", "--to", AGE, "--yes").code == 0
    assert developer.columns() == ["id", "age"]


def test_a_name_is_asked_at_a_terminal_and_missed_without_one(developer: Developer) -> None:
    """Without one nothing is written."""
    developer.model(EMAIL)
    missed = developer.run("migrate", "dev", *MODELS)
    before = files(developer)
    asked = developer.answer("migrate", "dev", *MODELS, answers="add mail\n")
    assert (missed.code, "--name: is missing" in missed.err, before) == (64, True, OLD)
    assert (asked.code, len(files(developer)), developer.columns()) == (0, 4, ["id", "age", "email"]), asked.err


def test_the_database_is_made_when_it_is_missing(developer: Developer) -> None:
    """Without a question: nothing is lost."""
    developer.server.execute("drop database shop")
    done = developer.run("migrate", "dev", *MODELS)
    assert (done.code, "shop: is made" in done.err, developer.columns()) == (0, True, ["id", "age"]), done.err


def test_create_only_applies_nothing_at_all(developer: Developer) -> None:
    """Neither the new one nor those that were pending; the next run applies all of them."""
    developer.model(EMAIL)
    done = developer.run("migrate", "dev", *MODELS, "--create-only", "--name", "mail")
    columns, status = developer.columns(), developer.run("migrate", "status", "--json")
    assert (done.code, len(files(developer)), columns) == (0, 4, []), done.err
    assert "nothing was applied; edit it, and say `dbcustody migrate dev`" in done.out
    assert (json.loads(status.out)["applied"], developer.ask("select to_regnamespace('dbcustody') is null")) == (
        [],
        [True],
    )
    assert (developer.run("migrate", "dev", *MODELS).code, developer.columns()) == (0, ["id", "age", "email"])


def test_create_only_makes_no_database_and_may_write_an_empty_file(developer: Developer) -> None:
    """To be filled by hand."""
    developer.server.execute("drop database shop")
    done = developer.run("migrate", "dev", "--create-only", "--name", "by hand")
    (new,) = set(files(developer)) - set(OLD)
    assert (done.code, (developer.files / new).read_text()) == (0, "-- by hand\n"), done.err
    assert developer.server.execute("select 1 from pg_database where datname = 'shop'") == []


def test_all_reasons_for_a_reset_are_told_together(developer: Developer) -> None:
    """Edited and late ones; the exit code is 130, nothing is applied, and it is said what a reset costs."""
    developer.run("migrate", "deploy")
    developer.write(BEGIN, "create table people (id int primary key, more text);\n")
    developer.write("20261101_130000_late", "select 1;\n")
    done = developer.run("migrate", "dev", *MODELS, "--json")
    told = json.loads(done.out)
    assert (done.code, len(told["reset"]), told["applied"]) == (130, 2, [])
    assert [
        word for word in (f"{BEGIN}: was ", "20261101_130000_late: is pending", "will be lost") if word not in done.err
    ] == []


def test_a_migration_that_is_gone_is_a_reason(developer: Developer) -> None:
    """It is in the database and not in the folder."""
    developer.run("migrate", "deploy")
    (developer.files / f"{AGE}.sql").unlink()
    done = developer.run("migrate", "dev", *MODELS)
    assert (done.code, f"{AGE}: is in the database" in done.err) == (130, True), done.err


def test_a_failure_that_left_nothing_is_no_reason(developer: Developer) -> None:
    """The file is corrected, and all goes on: no other tool can do that."""
    developer.write(AGE, "alter table people add column age nonsense;\n")
    failed = developer.run("migrate", "deploy")
    developer.write(AGE, "alter table people add column age int;\n")
    done = developer.run("migrate", "dev", *MODELS)
    assert (failed.code, done.code, developer.columns()) == (1, 0, ["id", "age"]), done.err


def test_drift_is_told_by_what_would_take_it_back(developer: Developer) -> None:
    """Exit code 6; nothing is taken back by itself."""
    developer.run("migrate", "deploy")
    developer.server.execute("alter table people add column by_hand text", database="shop")
    done = developer.run("migrate", "dev", *MODELS)
    assert (done.code, "ALTER TABLE people DROP COLUMN by_hand" in done.err) == (6, True), done.err
    assert developer.columns() == ["id", "age", "by_hand"]


def test_a_broken_file_is_found_before_the_database_is_touched(developer: Developer) -> None:
    """With file and line; not even the sound ones before it are applied."""
    developer.write("20261103_120000_broken", "select 1;\nselect nonsense;\n")
    done = developer.run("migrate", "dev", *MODELS)
    assert (done.code, "20261103_120000_broken.sql: line 2: " in done.err, developer.columns()) == (1, True, []), (
        done.err
    )


def test_a_loss_of_data_needs_a_yes(developer: Developer) -> None:
    """Of a person, or said beforehand; without one nothing is written. There is no way back that would only claim to be one."""
    developer.write("20261103_120000_secret", "alter table people add column secret text;\n")
    alone = developer.run("migrate", "dev", *MODELS, "--name", "drop it")
    declined = developer.answer("migrate", "dev", *MODELS, "--name", "drop it", answers="n\n")
    before, columns = files(developer), developer.columns()
    agreed = developer.answer("migrate", "dev", *MODELS, "--name", "drop it", answers="y\n")

    assert (alone.code, "loses data: ALTER TABLE people DROP COLUMN secret" in alone.err, declined.code) == (
        64,
        True,
        130,
    )
    assert (before, columns) == ([*OLD, "20261103_120000_secret.sql"], ["id", "age", "secret"])
    (new,) = set(files(developer)) - set(before)
    assert (agreed.code, "-- loses data: ALTER TABLE" in (developer.files / new).read_text()) == (0, True), agreed.err
    assert developer.columns() == ["id", "age"]


def test_an_impossible_step_is_found_by_the_rows_that_are_there(developer: Developer) -> None:
    """A required column in a table with rows stops before anything is written; in an empty one it is none."""
    developer.run("migrate", "deploy")
    developer.model("    code: Mapped[str] = mapped_column(sa.Text)")
    developer.server.execute("insert into people values (1)", database="shop")
    stopped = developer.run("migrate", "dev", *MODELS, "--name", "code")
    before = files(developer)
    developer.server.execute("delete from people", database="shop")
    done = developer.run("migrate", "dev", *MODELS, "--name", "code")
    assert (stopped.code, "cannot be done with the rows that are there" in stopped.err, before) == (1, True, OLD)
    assert (done.code, developer.columns()) == (0, ["id", "age", "code"]), done.err


def test_types_schemas_and_values_that_alembic_leaves_out_are_written(developer: Developer) -> None:
    """An enumeration of a new column, a value more of it, and a schema; each time all is in sync afterwards."""
    mood = "    mood: Mapped[str | None] = mapped_column(sa.Enum({}, name='mood'))"
    developer.model(mood.format("'ok', 'sad'"))
    first = developer.run("migrate", "dev", *MODELS, "--name", "mood")
    more = (
        "\nclass Far(Base):\n    __tablename__ = 'far'\n    __table_args__ = {'schema': 'away'}\n"
        "    id: Mapped[int] = mapped_column(primary_key=True)"
    )
    developer.model(mood.format("'good', 'ok', 'sad'") + more)
    second = developer.run("migrate", "dev", *MODELS, "--name", "more")
    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert developer.ask("select enumlabel::text from pg_enum order by enumsortorder") == ["good", "ok", "sad"]
    assert developer.ask("select to_regclass('away.far') is not null") == [True]
    assert "already in sync" in developer.run("migrate", "dev", *MODELS).out


def test_roles_that_migrations_name_are_no_obstacle(developer: Developer) -> None:
    """The throw-away server has those of the target, who cannot log in there."""
    developer.server.execute("create role reader")
    developer.write("20261103_120000_grant", "grant select on people to reader;\n")
    done = developer.run("migrate", "dev", *MODELS)
    developer.server.execute("drop owned by reader", database="shop")
    developer.server.execute("drop role reader")
    assert done.code == 0, done.err


def test_production_is_refused(developer: Developer) -> None:
    """Nothing is looked at."""
    done = developer.run("migrate", "dev", *MODELS, DBCUSTODY_ENVIRONMENT="Production")
    assert (done.code, "says Production" in done.err, developer.columns()) == (64, True, [])


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_ended_leaves_no_server_and_no_half_file(
    developer: Developer, temporary: Path, number: signal.Signals
) -> None:
    """Of one that was killed only a folder remains, which the next run removes."""
    slow = "20261103_120000_slow"
    developer.write(slow, "select pg_sleep(600);\n")
    developer.model(EMAIL)
    process = developer.start("migrate", "dev", *MODELS, "--name", "mail")
    pid = wait_for_replay(temporary)
    (folder,) = temporary.iterdir()
    process.send_signal(number)
    process.communicate(timeout=60)

    assert has_ended(pid)
    assert process.returncode == (-signal.SIGKILL if number is signal.SIGKILL else 130)
    assert folder.exists() is (number is signal.SIGKILL)
    assert (files(developer), developer.columns()) == ([*OLD, f"{slow}.sql"], [])
    (developer.files / f"{slow}.sql").unlink()
    assert developer.run("migrate", "dev", *MODELS, "--name", "mail").code == 0
    assert list(temporary.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_on_a_named_server_no_database_is_left(developer: Developer, number: signal.Signals) -> None:
    """Of a run that was killed the next one drops it."""
    slow, dev = "20261103_120000_slow", f"{developer.server.url('postgres')}?sslmode=disable"
    developer.write(slow, "select pg_sleep(600);\n")
    process = developer.start("migrate", "dev", DBCUSTODY_DEV_DATABASE_URL=dev)
    asleep = "select 1 from pg_stat_activity where datname like 'dbcustody_dev_%' and state = 'active' and query like '%pg_sleep%'"
    while not developer.server.execute(asleep):
        time.sleep(0.05)
    process.send_signal(number)
    process.communicate(timeout=60)
    left = scratches(developer)
    (developer.files / f"{slow}.sql").unlink()
    again = developer.run("migrate", "dev", DBCUSTODY_DEV_DATABASE_URL=dev)
    assert (len(left), again.code, scratches(developer)) == (int(number is signal.SIGKILL), 0, []), again.err


def scratches(developer: Developer) -> list[str]:
    """Return the throw-away databases on the server."""
    return [
        row[0]
        for row in developer.server.execute("select datname from pg_database where datname like 'dbcustody_dev_%'")
    ]


def test_what_no_file_may_say_is_told_before_anything_is_written(developer: Developer) -> None:
    """An index that is to be built CONCURRENTLY must stand alone, and is to be written by hand."""
    developer.model(f"{EMAIL}\n    __table_args__ = (sa.Index('later', 'age', postgresql_concurrently=True),)")
    done = developer.run("migrate", "dev", *MODELS, "--name", "both")
    assert (done.code, "must stand alone" in done.err, files(developer)) == (1, True, OLD), done.err


def wait_for_replay(temporary: Path) -> int:
    """Return the process of the throw-away server once a database was made in it: then files are replayed."""
    while True:
        for base in temporary.glob("dbcustody-dev-*/server/data/base"):
            if len(list(base.iterdir())) > 3:
                return int((base.parent / "postmaster.pid").read_text().split()[0])
        time.sleep(0.05)


def has_ended(pid: int) -> bool:
    """Return whether the process has ended, by now or within half a minute."""
    deadline = time.monotonic() + 30
    while (there := Path(f"/proc/{pid}").exists()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not there
