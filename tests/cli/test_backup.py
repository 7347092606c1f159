"""`dbcustody backup` as a person, a cron line and a CI step run it: a process of its own, a real server, a real bucket, a real folder."""

from __future__ import annotations

import base64
import os
import signal
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from dbcustody.adapters.postgres.lock import LOCK_CLASS, LockObject
from ground.root import client_folder

if TYPE_CHECKING:
    from pathlib import Path

    from ground.postgres import PostgresServer
    from ground.s3 import S3Server
    from tests.cli.conftest import Person

pytestmark = [pytest.mark.postgres, pytest.mark.s3]


@pytest.mark.parametrize("place", ["at_folder", "at_bucket"])
def test_backup_ends_with_a_summary_and_zero(place: str, request: pytest.FixtureRequest) -> None:
    """One command: a good backup, and on standard output what it holds, where it lies, how far it is proven, what it lacks."""
    person: Person = request.getfixturevalue(place)
    done = person.run("backup", "--name", "nightly")

    assert done.code == 0, done.err
    assert done.out.startswith("backup nightly: good\n")
    for wanted in (
        "2 tables, 2 500 rows",
        "Read: ",
        "with key env",
        "passwords of ",
        "backups/",
        "PostgreSQL 17.",
        "1 kept",
    ):
        assert wanted in done.out
    stages = [line.split(",")[0] for line in done.err.splitlines()]
    told = [
        stage for stage in stages if stage in {"connecting", "dumping", "verifying"}
    ]  # so small a dump may end unseen
    assert (told[0], told[-1]) == ("connecting", "verifying")


def test_second_run_of_a_name_adopts(at_folder: Person) -> None:
    """A name stands for one backup: a repeated command proves what is there and dumps nothing."""
    first, second = (at_folder.run("backup", "--name", "release-7") for _ in range(2))

    assert (first.code, second.code) == (0, 0)
    assert "release-7: good; it was there already, and nothing was dumped" in second.out
    assert "dumping" not in second.err
    assert at_folder.folder is not None
    assert len(list(at_folder.folder.glob("*/backups/*"))) == 1


def test_unnamed_backups_are_thinned_out_and_that_is_said(at_folder: Person) -> None:
    """Retention follows every backup: with nothing but the newest to keep, the one before goes and is named."""
    keep_one = {"BACKUP_RETENTION_DAYS": "0"}
    first = at_folder.run("backup", "--no-prune", **keep_one)
    second = at_folder.run("backup", **keep_one)

    name = first.out.split()[1].rstrip(":")
    assert first.code == second.code == 0, second.err
    assert "retention" not in first.out
    assert "1 kept (" in second.out
    assert f"1 deleted: {name}" in second.out
    assert f"no backup {name}" in at_folder.run("verify", name).err


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"user": "nobody"}, "AuthenticationFailed: ", id="wrong-user"),
        pytest.param({"password": "c4nary-wrong"}, "AuthenticationFailed: ", id="wrong-password"),
        pytest.param({"database": "nowhere"}, "DatabaseMissing: ", id="wrong-database"),
    ],
)
def test_wrong_connections_are_one_message(
    at_folder: Person, server: PostgresServer, changes: dict[str, str], said: str
) -> None:
    """What the server refuses is told in one line with its reason, without the password, and no backup is begun."""
    url = server.url(**{"database": "shop", **changes})
    done = at_folder.run("backup", DATABASE_URL=f"{url}?sslmode=disable")

    assert done.code == 1
    assert done.out == ""
    assert done.err.splitlines()[-1].startswith(f"error: {said}")
    assert [path for path in contents(at_folder) if "/backups/" in path] == []


def test_encryption_of_the_connection_is_not_given_up_silently(at_folder: Person, server: PostgresServer) -> None:
    """A server without TLS is refused, and the message says how to allow that."""
    done = at_folder.run("backup", DATABASE_URL=server.url("shop"))

    assert done.code == 1
    assert "TLSFailed" in done.err
    assert "sslmode=disable" in done.err


def test_every_missing_variable_is_told_at_once(at_folder: Person) -> None:
    """Nobody has to run the command once for each mistake; exit code 64 says that nothing was tried."""
    done = at_folder.run(
        "backup", DATABASE_URL="", BACKUP_DIR="", BACKUP_ENCRYPTION_KEY="", BACKUP_RETENTION_DAYS="week"
    )

    assert done.code == 64
    assert done.err.splitlines()[0] == "error: 4 settings are wrong"
    for name in ("DATABASE_URL", "BACKUP_DIR, BACKUP_S3_BUCKET", "BACKUP_ENCRYPTION_KEY", "BACKUP_RETENTION_DAYS"):
        assert f"  - {name}: " in done.err


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("backup", "--name", "Not/OK"), id="name"),
        pytest.param(("backup", "--force"), id="option"),
        pytest.param(("restore-everything",), id="command"),
        pytest.param(("retention", "explain", "--at", "tomorrow"), id="time"),
        pytest.param(("retention", "explain", "--at", "2027-01-01T00:00:00"), id="time-without-zone"),
        pytest.param(("verify", "--level", "Hope"), id="level"),
    ],
)
def test_wrong_words_are_usage_errors(at_folder: Person, words: tuple[str, ...]) -> None:
    """What cannot be meant ends with 64 before anything is touched."""
    done = at_folder.run(*words)

    assert done.code == 64
    assert done.err
    assert contents(at_folder) == []


def test_wrong_key_is_refused_before_anything_is_dumped(at_folder: Person) -> None:
    """A storage that another key began takes nothing under a second one, by whatever mistake."""
    assert at_folder.run("backup").code == 0
    before = contents(at_folder)
    done = at_folder.run("backup", BACKUP_ENCRYPTION_KEY=base64.b64encode(os.urandom(31) + b"\x00").decode())

    assert done.code == 1
    assert "KeyMismatch" in done.err
    assert contents(at_folder) == before


def test_busy_database_is_exit_code_five(at_folder: Person, server: PostgresServer) -> None:
    """While somebody else works on the database, the command waits as long as it was told, names who it is, and ends with 5."""
    with server.connect("shop", application_name="nightly migration") as other:
        other.execute("select pg_advisory_lock(%s, %s)", (LOCK_CLASS, int(LockObject.MUTATION)))
        done = at_folder.run("backup", BACKUP_WAIT_SECONDS="1")

    assert done.code == 5
    assert "waiting for nightly migration" in done.err
    assert "BACKUP_WAIT_SECONDS" in done.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize("place", ["at_folder", "at_bucket"])
def test_stopped_in_the_middle_leaves_nothing(
    place: str, number: signal.Signals, request: pytest.FixtureRequest, server: PostgresServer
) -> None:
    """Ctrl-C and SIGTERM end a dump with 130: no session, no object and no upload stays, and the next run works."""
    person: Person = request.getfixturevalue(place)
    slow = f"{server.url('slow')}?sslmode=disable"
    process = person.start("backup", "--name", "slow", DATABASE_URL=slow)
    said = ""
    for line in process.stderr or ():
        said += line
        if line.startswith("dumping"):
            break
    process.send_signal(number)
    done = person.wait(process, said=said)

    assert done.code == 130, done.err
    assert done.err.splitlines()[-1].startswith("error: Interrupted: ")
    sessions = (
        "select count(*) from pg_stat_activity where application_name like 'dbcustody%' or application_name = 'pg_dump'"
    )
    assert server.execute(sessions) == [(0,)]
    assert left_behind(person, request) == []
    again = person.run("backup", "--name", "slow", DATABASE_URL=slow)
    assert again.code == 0, again.err


def test_without_encryption_it_is_said_each_time(at_folder: Person) -> None:
    """Backups that anybody can read are taken only when that was said, and the summary says it again."""
    done = at_folder.run("backup", BACKUP_ENCRYPTION_KEY="", BACKUP_ENCRYPTION_ENABLED="false")

    assert done.code == 0, done.err
    assert "encrypted     no: anybody" in done.out


def test_what_a_prisma_url_says_is_understood(at_folder: Person) -> None:
    """A URL as Prisma has it works as it stands, and the command says what it makes of it."""
    url = f"{at_folder.variables['DATABASE_URL']}&schema=public&connection_limit=5&pool_timeout=10"
    done = at_folder.run("backup", DATABASE_URL=url)

    assert done.code == 0, done.err
    assert "schema=public is where Prisma works; a backup takes every schema" in done.err
    assert "connection_limit, pool_timeout" in done.err


def test_old_client_takes_gzip_and_says_so(at_folder: Person, tmp_path: Path, old_server: PostgresServer) -> None:
    """With no client of 16 and newer at hand (here: one that knows no Zstd and calls itself 15) the backup is good all the same."""
    for program in ("pg_dump", "pg_restore"):
        real = client_folder(17) / program
        script = tmp_path / program
        script.write_text(
            '#!/bin/sh\ncase "$*" in *zstd*|*lz4*) echo "unrecognised compression" >&2; exit 1;; --version) '
            f'echo "{program} (PostgreSQL) 15.9"; exit 0;; esac\nexec {real} "$@"\n'
        )
        script.chmod(0o755)
    url = f"{old_server.url()}?sslmode=disable"
    done = at_folder.run("backup", DBCUSTODY_CLIENTS=str(tmp_path), DATABASE_URL=url)

    assert done.code == 0, done.err
    assert "note: the newest client at hand is pg_dump 15, which knows no Zstd: Gzip is taken" in done.err
    assert '"compression": "gzip:1"' in at_folder.run("backups", "list", "--json", DATABASE_URL=url).out


def test_server_newer_than_every_client_is_refused(at_folder: Person) -> None:
    """A dump by an older client would be no backup."""
    folder = at_folder.folder
    assert folder is not None
    old = folder.parent / "clients"
    old.mkdir()
    (old / "pg_dump").write_text('#!/bin/sh\necho "pg_dump (PostgreSQL) 16.1"\n')
    (old / "pg_dump").chmod(0o755)
    done = at_folder.run("backup", DBCUSTODY_CLIENTS=str(old))

    assert done.code == 1
    assert "VersionUnsupported" in done.err
    assert "16" in done.err


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"BACKUP_S3_BUCKET": "nowhere"}, "BucketNotFound", id="wrong-bucket"),
        pytest.param({"BACKUP_S3_SECRET_ACCESS_KEY": "c4nary-wrong"}, "StorageDenied", id="wrong-secret"),
        pytest.param({"BACKUP_S3_ENDPOINT": "http://127.0.0.1:1"}, "StorageUnreachable", id="wrong-endpoint"),
    ],
)
def test_wrong_storages_are_one_message(at_bucket: Person, changes: dict[str, str], said: str) -> None:
    """A storage that refuses is told in one line with its reason and without the secret."""
    done = at_bucket.run("backup", **changes)

    assert done.code == 1
    assert f"error: {said}: " in done.err


def contents(person: Person) -> list[str]:
    """Return every file of a person's folder."""
    assert person.folder is not None
    return sorted(str(path.relative_to(person.folder)) for path in person.folder.rglob("*") if path.is_file())


def left_behind(person: Person, request: pytest.FixtureRequest) -> list[str]:
    """Return what lies in a person's storage below any backup: objects, hidden files and unfinished uploads."""
    if person.folder is not None:
        return [path for path in contents(person) if "/backups/" in path]
    s3: S3Server = request.getfixturevalue("s3")
    prefix = person.variables["BACKUP_S3_PREFIX"]
    with closing(s3.client()) as client:
        uploads = client.list_multipart_uploads(Bucket="backups", Prefix=prefix).get("Uploads", [])
    keys = [*s3.keys("backups", prefix), *(upload["Key"] for upload in uploads)]
    return [key for key in keys if "/backups/" in key.removeprefix(prefix)]
