"""A restore whose server runs out of room: told as such, and the server is as it was."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from dbcustody.contract import RestoreTerms, Verb
from dbcustody.errors import DbcustodyError
from dbcustody.jobs import restore as restore_job
from dbcustody.reason import Reason
from ground.postgres import PostgresServer
from tests.fakes.custodian import Custodian, in_volume

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dbcustody.contract import JobRequest

pytestmark = pytest.mark.postgres
_NOBODY = 65534
_NOISE = " || ".join(f"sha256((i * 64 + {part})::text::bytea)" for part in range(64))
_BULK = f"create table bulk as select i, {_NOISE} as noise from generate_series(1, 16000) as i"  # noqa: S608 - our own words
DATABASES = "select datname from pg_database order by 1"


@contextmanager
def small_disk(folder: Path, mebibytes: int) -> Iterator[Path]:
    """Yield a file system that holds so much, and belongs to the server's user."""
    folder.mkdir()
    for one in (folder, *folder.parents):
        if one.is_relative_to("/tmp") and str(one) != "/tmp":
            one.chmod(0o755)
    subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder)], check=True)
    try:
        os.chown(folder, _NOBODY, _NOBODY)
        yield folder
    finally:
        subprocess.run(["/bin/umount", "--lazy", str(folder)], check=True)


def wanted(custodian: Custodian, verb: Verb) -> JobRequest:
    """Return the request of a Job that restores what *custodian* took."""
    terms = RestoreTerms(database="again", mark="RestoreRequest web/again 0", parallelism=2)
    return replace(custodian.request(), verb=verb, options=None, restore=terms)


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    """The disk is full while rows are loaded: nothing half-restored stays, and once there is room it works."""
    storage = tmp_path / "storage"
    storage.mkdir()
    with PostgresServer(17) as server, small_disk(tmp_path / "small", 40) as disk:
        server.execute("create database shop")
        server.execute(_BULK, database="shop")
        custodian = Custodian(server=server, open_store=in_volume(storage))
        assert custodian.take().reason is Reason.SUCCEEDED
        server.execute(f"create tablespace small location '{disk}'", "alter database template0 set tablespace small")
        before = server.execute(DATABASES)

        with pytest.raises(DbcustodyError) as caught:
            restore_job.run(wanted(custodian, Verb.RESTORE), custodian.tools())

        assert caught.value.reason is Reason.SERVER_FULL
        assert "No space left on device" in caught.value.message
        assert server.execute(DATABASES) == before
        server.execute("alter database template0 set tablespace pg_default")
        assert restore_job.run(wanted(custodian, Verb.RESTORE), custodian.tools()).reason is Reason.RESTORED
