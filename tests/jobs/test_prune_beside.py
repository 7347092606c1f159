"""Retention while a restore reads the very backup that is to go: told of it, it leaves the backup alone; not told, the restore says so."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from dbcustody.api.policy import Algorithm, Compression, Retention
from dbcustody.contract import RestoreTerms, Verb
from dbcustody.errors import DbcustodyError
from dbcustody.jobs import prune
from dbcustody.jobs import restore as restore_job
from dbcustody.reason import Reason
from ground.postgres import PostgresServer
from tests.fakes.custodian import Custodian, in_volume
from tests.fakes.heldstore import Hanging

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.postgres
LIMIT_SECONDS: Final = 100
KEEP_ONE: Final = Retention(keep_last=1, keep_daily=0, keep_weekly=0, keep_monthly=0)
PLAIN: Final = Compression(algorithm=Algorithm.NONE)
_NOISE: Final = (
    "select i, sha256(i::text::bytea) || sha256((-i)::text::bytea) as noise from generate_series(1, 30000) as i"
)
_STATE: Final = "select datname, shobj_description(oid, 'pg_database') from pg_database order by 1"


@pytest.fixture
def custodian(tmp_path: Path) -> Iterator[Custodian]:
    """Return who has two backups of `shop`, of which retention would keep the later one."""
    folder = tmp_path / "storage"
    folder.mkdir()
    with PostgresServer(17) as server:
        server.execute("create database shop")
        server.execute(f"create table one as {_NOISE}", f"create table two as {_NOISE}", database="shop")
        custodian = Custodian(server=server, open_store=in_volume(folder))
        for name in ("first", "second"):
            assert custodian.take(name, parallelism=2, compression=PLAIN).reason is Reason.SUCCEEDED
        yield custodian


def prune_all_but_one(custodian: Custodian, **told: Any) -> tuple[str, ...]:
    """Return the names of the backups that retention deleted."""
    request = replace(custodian.request(), verb=Verb.PRUNE, options=None, retention=KEEP_ONE, **told)
    result = prune.run(request, custodian.tools())
    assert result.prune is not None, result.message
    return result.prune.deleted


@pytest.mark.parametrize("is_told", [True, False], ids=["told", "not-told"])
def test_a_backup_that_is_being_read(custodian: Custodian, tmp_path: Path, *, is_told: bool) -> None:
    """It stays and comes back whole; or the restore says that it is damaged, and nothing is left of that."""
    before, backup_id = custodian.server.execute(_STATE), custodian.stock().live[0].manifest.backup_id
    hanging = Hanging("data-001.pgc")
    slow = replace(custodian, open_store=hanging.opener(tmp_path / "storage"))
    hanging.before = lambda key: key.endswith("data-002.pgc") and hanging.released.wait(LIMIT_SECONDS)
    terms = RestoreTerms(database="again", mark="RestoreRequest web/again 0", backup_id=backup_id, parallelism=2)
    request = replace(custodian.request(), verb=Verb.RESTORE, options=None, restore=terms)

    def reason() -> Reason:
        try:
            return restore_job.run(request, slow.tools()).reason
        except DbcustodyError as error:
            return error.reason

    with ThreadPoolExecutor(1) as pool:
        try:
            restored = pool.submit(reason)
            assert hanging.reached.wait(LIMIT_SECONDS)
            deleted = prune_all_but_one(custodian, **({"held_names": ("first",)} if is_told else {}))
        finally:
            hanging.released.set()
        told = restored.result(LIMIT_SECONDS)

    assert (deleted, told) == (((), Reason.RESTORED) if is_told else (("first",), Reason.ARCHIVE_DAMAGED))
    assert is_told or custodian.server.execute(_STATE) == before
