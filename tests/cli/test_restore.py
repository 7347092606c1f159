"""`dbcustody restore` as a person types it: the new database holds what was backed up, and every refusal says what helps."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
from dataclasses import replace
from subprocess import PIPE
from typing import TYPE_CHECKING

import pytest

from dbcustody.adapters.keyring import Keyring
from dbcustody.api.policy import Tables
from ground.process import wait_until
from tests.cli.conftest import COMMAND, KEY
from tests.fakes.custodian import CUSTODY, Custodian, in_volume

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ground.postgres import PostgresServer
    from tests.cli.conftest import Person

pytestmark = [pytest.mark.postgres, pytest.mark.s3]
COUNT = "select (select count(*) from customer), (select count(*) from purchase)"


@pytest.fixture
def person(at_folder: Person, server: PostgresServer) -> Iterator[Person]:
    """Return a person who has a backup; what was restored is dropped again."""
    done = at_folder.run("backup", "--name", "first")
    assert done.code == 0, done.err
    yield at_folder
    server.execute("drop database if exists back with (force)")


def test_backup_comes_back_beside_the_database(person: Person, server: PostgresServer) -> None:
    """One line says what was compared; new rows can be added, behind the numbers that were handed out."""
    done = person.run("restore", "first", "--database", "back")

    assert (done.code, done.out) == (0, "restored first into back: 2 tables, 2 500 rows, compared and equal\n"), (
        done.err
    )
    assert server.execute(COUNT, database="back") == [(2000, 500)]
    assert server.execute("insert into customer (name) values ('new') returning id", database="back") == [(2001,)]
    assert server.execute(COUNT, database="shop") == [(2000, 500)]
    stages = [line.partition(",")[0] for line in done.err.splitlines()]
    assert stages[:6] == ["planning", "defining", "loading", "finishing", "checking", "handing over"]


def test_another_server_is_named_by_its_url(person: Person, server: PostgresServer, at_bucket: Person) -> None:
    """Where to can be a URL, also from a bucket; the server of the backup need not be there any more."""
    assert at_bucket.run("backup", "--name", "second").code == 0
    where = {"DATABASE_URL": "", "DBCUSTODY_CUSTODY_ID": f"127.0.0.1-{server.port}.shop"}
    url = f"{server.url('back')}?sslmode=disable"
    done = at_bucket.run("restore", "second", **where, RESTORE_URL=url)

    assert done.code == 0, done.err
    assert server.execute(COUNT, database="back") == [(2000, 500)]
    assert person.run("restore", "first", "--database", "back").code == 1


def test_list_shows_what_can_be_restored(person: Person) -> None:
    """It is the list of backups, with names that can be given."""
    assert person.run("restore", "--list").out == person.run("backups", "list").out
    listed = json.loads(person.run("restore", "--list", "--json").out)
    assert [one["name"] for one in listed["backups"]] == ["first"]


def test_a_partial_backup_is_shown_as_such_and_takes_no_place(at_folder: Person, server: PostgresServer) -> None:
    """One that a policy took of some tables: listed, not offered before an older whole one, and never put where the database is."""
    assert at_folder.folder is not None
    keys = Keyring("env", {"env": KEY})
    custodian = Custodian(server=server, open_store=in_volume(at_folder.folder), keys=keys)
    custodian.take("whole")
    custodian.take("part", tables=Tables(exclude=("purchase",)))
    (confirm,) = server.execute("select 'shop@' || system_identifier from pg_control_system()")[0]
    who = {"DBCUSTODY_CUSTODY_ID": CUSTODY}

    table = at_folder.run("restore", "--list", **who)
    offered = at_folder.run("restore", "--database", "back", **who)
    refused = at_folder.run("restore", "part", "--replace", "--confirm", confirm, "--no-safety-backup", **who)
    beside = at_folder.run("restore", "part", "--database", "back", **who)

    assert [line.split()[-1] for line in table.out.splitlines()] == ["STATE", "Good", "Good,Partial"]
    assert offered.code == 64
    assert "NAME: is missing; the newest good one, of the whole database if there is one, is whole" in offered.err
    assert (refused.code, "BackupPartial: backup part: holds only a part" in refused.err) == (1, True), refused.err
    assert server.execute(COUNT, database="shop") == [(2000, 500)]
    assert beside.code == 0, beside.err
    assert server.execute("select count(*) from customer", database="back") == [(2000,)]
    server.execute("drop database back with (force)")


def test_person_at_a_terminal_is_asked_which(person: Person, server: PostgresServer) -> None:
    """Without a name the backups are shown with numbers, the newest offered; the answer is taken."""
    assert person.run("backup", "--name", "second", "--no-prune").code == 0
    terminal, theirs = pty.openpty()
    process = subprocess.Popen(
        [COMMAND, "restore", "--database", "back"],
        env=person.variables,
        stdin=theirs,
        stdout=PIPE,
        stderr=PIPE,
        text=True,
    )
    os.close(theirs)
    os.write(terminal, b"1\n")
    out, err = process.communicate(timeout=60)
    os.close(terminal)

    assert process.returncode == 0, err
    assert out.startswith("restored first into back: ")
    assert re.search(r"^1 +first +\S+ +Good$", err, re.MULTILINE)
    assert re.search(r"^2 +second +\S+ +Good\nwhich one", err, re.MULTILINE)
    assert server.execute(COUNT, database="back") == [(2000, 500)]


HELD = (
    (
        "create function hold(n int) returns int language plpgsql immutable as $$ begin"
        " if current_database() = 'back' then perform pg_sleep(0.05); end if; return n; end $$"
    ),
    "create table held as select n from generate_series(1, 400) n; create index on held (hold(n))",
)


@pytest.fixture
def slow(at_folder: Person, server: PostgresServer) -> Iterator[Person]:
    """Return a person whose newest backup takes 20 s to restore, most of it for an index."""
    server.execute("create database held")
    server.execute(*HELD, database="held")
    person = replace(
        at_folder, variables={**at_folder.variables, "DATABASE_URL": f"{server.url('held')}?sslmode=disable"}
    )
    done = person.run("backup", "--name", "slow")
    assert done.code == 0, done.err
    yield person
    server.execute("drop database if exists back with (force)", "drop database held with (force)")


def at_the_index(person: Person, server: PostgresServer) -> subprocess.Popen[str]:
    """Begin to restore, and return the process when the index is being built."""
    process = person.start("restore", "slow", "--database", "back")
    building = "select 1 from pg_stat_activity where datname = 'back' and query ilike 'create index%'"
    assert wait_until(lambda: bool(server.execute(building)), 30)
    return process


def sessions(server: PostgresServer) -> list[tuple[str, str]]:
    """Return database and query of our sessions."""
    return server.execute(
        "select datname, query from pg_stat_activity where application_name like 'dbcustody restore%'"
    )


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_stopped_restore_leaves_nothing(slow: Person, server: PostgresServer, how: signal.Signals) -> None:
    """Ctrl-C and SIGTERM end it within seconds, and take the database away."""
    process = at_the_index(slow, server)
    process.send_signal(how)
    done = slow.wait(process)
    assert (done.code, done.out) == (130, ""), done.err
    assert server.execute("select 1 from pg_database where datname = 'back'") == []
    assert wait_until(lambda: sessions(server) == [], 10), sessions(server)


def test_killed_restore_goes_on_nowhere(slow: Person, server: PostgresServer) -> None:
    """After SIGKILL no session works on; the database stays shut, says what it is, and is never written into again."""
    process = at_the_index(slow, server)
    process.kill()
    assert slow.wait(process).code == -signal.SIGKILL
    assert wait_until(lambda: sessions(server) == [], 15), sessions(server)
    said = "select shobj_description(oid, 'pg_database'), datacl::text from pg_database where datname = 'back'"
    ((comment, acl),) = server.execute(said)
    assert comment.startswith("dbcustody is restoring ")
    assert acl == "{postgres=CTc/postgres}"
    again = slow.run("restore", "slow", "--database", "back")
    assert (again.code, "TargetExists" in again.err) == (1, True)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        pytest.param(("first",), 64, "--to, --database: exactly one must be given", id="nowhere"),
        pytest.param(("first", "--database", "a", "--to", "postgresql://u@h/b"), 64, "exactly one", id="twice"),
        pytest.param(("first", "--to", "mysql://u@h/b"), 64, "--to: ", id="no PostgreSQL"),
        pytest.param(("--database", "back"), 64, "NAME: is missing; the newest is first", id="which"),
        pytest.param(("other", "--database", "back"), 1, "BackupNotFound: ", id="unknown"),
        pytest.param(("first", "--database", "shop"), 1, "TargetExists: the database shop exists already", id="taken"),
        pytest.param(("first", "--database", "x" * 64), 64, "InvalidSpec: a database's name has 1 to 63 bytes", id="long"),
        pytest.param(("first", "--database", "back", "--jobs", "0"), 64, "--jobs", id="no jobs"),
    ],
)  # fmt: skip
def test_refusals(person: Person, words: tuple[str, ...], code: int, says: str) -> None:
    """Each mistake has its message and its exit code, and nothing is made."""
    done = person.run("restore", *words)
    assert (done.code, says in done.err) == (code, True), done.err
    assert done.out == ""


def test_wrong_key(person: Person) -> None:
    """Without the key nothing is restored."""
    done = person.run("restore", "first", "--database", "back", BACKUP_ENCRYPTION_KEY="c8" * 32)
    assert (done.code, "KeyMismatch" in done.err) == (1, True)


def test_damage_is_exit_code_seven(person: Person, server: PostgresServer) -> None:
    """A flipped bit is told before anybody could use what came of it."""
    assert person.folder is not None
    (hurt,) = person.folder.rglob("whole.pgc")
    data = bytearray(hurt.read_bytes())
    data[-1] ^= 1
    hurt.chmod(0o600)
    hurt.write_bytes(data)
    done = person.run("restore", "first", "--database", "back")
    assert (done.code, "ArchiveDamaged" in done.err) == (7, True)
    assert server.execute("select count(*) from pg_database where datname = 'back'") == [(0,)]


def test_backup_that_was_never_verified(person: Person) -> None:
    """It is restored, for all that is read is checked on the way, and it is said."""
    assert person.run("backup", "--name", "second", "--no-prune").code == 0
    assert person.folder is not None
    for path in person.folder.rglob("verified.*.json"):
        path.unlink()
    done = person.run("restore", "second", "--database", "back")
    assert (done.code, "note: backup second: was never verified" in done.err) == (0, True)


def test_some_tables_come_alone(person: Person, server: PostgresServer) -> None:
    """What was left out is told by name; a pattern that fits nothing stands in the way before anything is made."""
    none = person.run("restore", "first", "--database", "back", "--table", "no.such")
    assert (none.code, "the backup has nothing that fits 'no.such'" in none.err) == (64, True), none.err
    done = person.run("restore", "first", "--database", "back", "--table", "purchase", "--schema", "public")

    assert (done.code, done.out) == (0, "restored first into back: 1 tables, 500 rows, compared and equal\n"), done.err
    assert server.execute("select to_regclass('customer'), to_regclass('purchase')::text", database="back") == [
        (None, "purchase")
    ]
    assert "only what was chosen comes: 1 of 2 tables with rows" in done.err


def test_role_takes_the_place_of_another(person: Person, server: PostgresServer) -> None:
    """A mapping that is none, or of a role that nobody knows, is refused with what helps."""
    wrong = person.run("restore", "first", "--database", "back", "--owner-map", "postgres")
    assert (wrong.code, "must be FROM=TO" in wrong.err) == (64, True), wrong.err
    server.execute('create role "new = owner"')
    try:
        done = person.run("restore", "first", "--database", "back", "--owner-map", 'postgres="new = owner"')
        assert done.code == 0, done.err
        owner = "select pg_get_userbyid(relowner) from pg_class where relname = 'customer'"
        assert server.execute(owner, database="back") == [("new = owner",)]
    finally:
        server.execute("drop database if exists back with (force)", 'drop role "new = owner"')
