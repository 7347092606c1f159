"""`dbcustody backups list`, `verify` and `retention explain`: looking at what lies there, from outside, through the real command."""

from __future__ import annotations

import base64
import json
import os
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from ground.postgres import PostgresServer
    from ground.s3 import S3Server
    from tests.cli.conftest import Person

pytestmark = [pytest.mark.postgres, pytest.mark.s3]


def listed(person: Person, **changes: str) -> dict[str, Any]:
    """Return what `backups list --json` says."""
    done = person.run("backups", "list", "--json", **changes)
    assert done.code == 0, done.err
    found: dict[str, Any] = json.loads(done.out)
    return found


@pytest.mark.parametrize("place", ["at_folder", "at_bucket"])
def test_list_shows_what_lies_there(place: str, request: pytest.FixtureRequest, server: PostgresServer) -> None:
    """People get a table, programs get JSON of the same, oldest first; a database without backups is no error."""
    person: Person = request.getfixturevalue(place)
    empty = person.run("backups", "list")
    for name in ("one", "two"):
        assert person.run("backup", "--name", name).code == 0
    table = person.run("backups", "list")

    assert (empty.code, table.code) == (0, 0)
    assert "no backups of" in empty.out
    assert table.out.splitlines()[0].split()[:3] == ["NAME", "SNAPSHOT", "SIZE"]
    assert [line.split()[0] for line in table.out.splitlines()[1:]] == ["one", "two"]
    found = listed(person)
    assert found["custodyId"] == f"127.0.0.1-{server.port}.shop"
    assert [(one["name"], one["rows"], one["verifiedLevel"], one["good"]) for one in found["backups"]] == [
        ("one", 2500, "Read", True),
        ("two", 2500, "Read", True),
    ]
    assert (found["doubts"], found["breaks"], found["unfinishedAttempts"]) == ([], [], 0)


def test_looking_writes_nothing(at_folder: Person, at_bucket: Person, s3: S3Server) -> None:
    """A list of an untouched storage leaves it untouched."""
    assert listed(at_folder)["backups"] == []
    assert at_folder.folder is not None
    assert list(at_folder.folder.iterdir()) == []
    assert at_bucket.run("retention", "explain").code == 0
    assert s3.keys("backups", at_bucket.variables["BACKUP_S3_PREFIX"]) == []


def test_newest_backup_is_verified_without_the_database(at_folder: Person) -> None:
    """Verification needs storage and key; the database may be gone, and another name than the newest can be given."""
    for name in ("one", "two"):
        assert at_folder.run("backup", "--name", name).code == 0
    identity = listed(at_folder)["custodyId"]
    elsewhere = {"DATABASE_URL": "", "DBCUSTODY_CUSTODY_ID": identity}
    newest = at_folder.run("verify", **elsewhere)
    named = at_folder.run("verify", "one", "--level", "Checksum", **elsewhere)

    assert (newest.code, named.code) == (0, 0), newest.err + named.err
    assert newest.out.startswith("backup two: Read passed: 2 tables, 2 500 rows")
    assert named.out.startswith("backup one: Checksum passed: ")


def test_verification_that_passed_is_remembered(at_folder: Person) -> None:
    """A backup that was taken with Checksum is verified once somebody reads it."""
    assert at_folder.run("backup", BACKUP_VERIFICATION="checksum").code == 0
    before = listed(at_folder)["backups"][0]["verifiedLevel"]
    assert at_folder.run("verify").code == 0

    assert before == "Checksum"
    assert listed(at_folder)["backups"][0]["verifiedLevel"] == "Read"


@pytest.mark.parametrize("level", ["Checksum", "Read"])
def test_damage_is_exit_code_seven(at_folder: Person, level: str) -> None:
    """One bit of the stored data is enough: 7, the object is named, and the list still shows the backup with what was known of it."""
    assert at_folder.run("backup", "--name", "hurt").code == 0
    hurt = stored(at_folder, "whole.pgc")
    data = bytearray(hurt.read_bytes())
    data[len(data) // 2] ^= 1
    hurt.chmod(0o600)
    hurt.write_bytes(data)
    done = at_folder.run("verify", "hurt", "--level", level)

    assert done.code == 7
    assert "ArchiveDamaged" in done.err
    assert "whole.pgc" in done.err
    assert done.out == ""


def test_damage_in_a_bucket_is_exit_code_seven(at_bucket: Person, s3: S3Server) -> None:
    """The same where the store is an S3 server whose disk lies."""
    assert at_bucket.run("backup", "--name", "hurt").code == 0
    (key,) = [one for one in s3.keys("backups", at_bucket.variables["BACKUP_S3_PREFIX"]) if one.endswith("whole.pgc")]
    hurt = s3.file("backups", key)
    data = bytearray(hurt.read_bytes())
    data[-1] ^= 128
    hurt.write_bytes(data)

    assert at_bucket.run("verify").code == 7


def test_missing_object_is_shown_and_is_exit_code_seven(at_folder: Person) -> None:
    """A backup that lost an object is in doubt in the list, and fails its verification."""
    assert at_folder.run("backup", "--name", "half").code == 0
    stored(at_folder, "whole.pgc").unlink()
    table = at_folder.run("backups", "list")

    assert "Incomplete" in table.out
    assert "doubt: " in table.out
    assert listed(at_folder)["backups"][0]["good"] is False
    assert at_folder.run("verify", "half").code == 7


def test_forged_manifest_is_told_and_not_followed(at_folder: Person) -> None:
    """A manifest that somebody changed is in doubt, and a verification stops at it with 7."""
    assert at_folder.run("backup", "--name", "real").code == 0
    manifest = stored(at_folder, "manifest.json")
    text = manifest.read_text()
    manifest.chmod(0o600)
    manifest.write_text(text.replace('"tableCount":2', '"tableCount":1'))
    done = at_folder.run("verify")

    assert manifest.read_text() != text
    assert "ForgedManifest" in at_folder.run("backups", "list").out
    assert done.code == 7
    assert "ForgedManifest" in done.err


def test_wrong_key_is_an_error_and_no_damage(at_folder: Person) -> None:
    """Whoever has the wrong key is told so; that says nothing about the backup."""
    assert at_folder.run("backup").code == 0
    done = at_folder.run("verify", BACKUP_ENCRYPTION_KEY=base64.b64encode(b"\x00" + os.urandom(31)).decode())

    assert done.code == 1
    assert "KeyMismatch" in done.err
    assert "BACKUP_ENCRYPTION_KEY" in done.err


def test_unknown_name_lists_the_known_ones(at_folder: Person) -> None:
    """A name that was mistyped is answered with those that exist."""
    empty = at_folder.run("verify")
    assert at_folder.run("backup", "--name", "nightly").code == 0
    done = at_folder.run("verify", "nihgtly")

    assert (empty.code, done.code) == (1, 1)
    assert done.err.rstrip().endswith("there are: nightly")


def test_retention_is_explained_for_any_moment_and_deletes_nothing(at_folder: Person) -> None:
    """Every backup is shown with the decision, the reason and the time at which it may go; the storage stays as it is."""
    for name in ("one", "two"):
        assert at_folder.run("backup", "--name", name, "--no-prune").code == 0
    at = (datetime.now(UTC) + timedelta(days=365)).isoformat()
    now = at_folder.run("retention", "explain")
    later = at_folder.run("retention", "explain", "--at", at, BACKUP_RETENTION_DAYS="0")

    assert (now.code, later.code) == (0, 0), now.err + later.err
    rows = {line.split()[0]: line for line in now.out.splitlines()[2:]}
    assert " keep " in rows["one"]
    assert "WithinDays" in rows["one"]
    rows = {line.split()[0]: line for line in later.out.splitlines()[2:]}
    assert " delete " in rows["one"]
    assert "Expired" in rows["one"]
    assert " keep " in rows["two"]
    assert "LastGood" in rows["two"]
    assert [one["name"] for one in listed(at_folder)["backups"]] == ["one", "two"]


def test_frozen_retention_is_said(at_folder: Person) -> None:
    """While something in the storage cannot be believed, nothing is deleted: the explanation and the next backup say so."""
    assert at_folder.run("backup", "--name", "one", "--no-prune").code == 0
    stored(at_folder, "whole.pgc").unlink()
    done = at_folder.run("retention", "explain")
    backup = at_folder.run("backup", "--name", "two", BACKUP_RETENTION_DAYS="0")

    assert done.code == 0
    assert "RetentionFrozen" in done.out
    assert backup.code == 1
    assert "backup two: good" in backup.out
    assert "the backup is good, but retention is not done: RetentionFrozen" in backup.err
    assert [one["name"] for one in listed(at_folder)["backups"]] == ["one", "two"]


def test_operator_key_id_opens_the_same_storage(at_bucket: Person, s3: S3Server) -> None:
    """With BACKUP_ENCRYPTION_KEY_ID the key has the id that the storage knows it by, and with another it cannot be found."""
    named = {"BACKUP_ENCRYPTION_KEY_ID": "k2026"}
    assert at_bucket.run("backup", **named).code == 0

    assert at_bucket.run("verify", **named).code == 0
    missing = at_bucket.run("verify")
    assert missing.code == 1
    assert "KeyMissing" in missing.err
    with closing(s3.client()):
        keys = s3.keys("backups", at_bucket.variables["BACKUP_S3_PREFIX"])
    assert any(key.endswith("/storage-key.k2026.json") for key in keys)


def stored(person: Person, name: str) -> Path:
    """Return the one file called *name* in a person's folder."""
    assert person.folder is not None
    (path,) = person.folder.rglob(name)
    return path
