"""How long the keys of a thousand backups take to be closed for another key: the Job's own work, on a bucket of a real S3 server."""

from __future__ import annotations

import os
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from dbcustody.adapters.envelope import DataKey
from dbcustody.adapters.keyring import Keyring
from dbcustody.adapters.objectstore import S3Settings, S3Store
from dbcustody.api.meta import ObjectRef
from dbcustody.api.storage import S3, BackupStorageSpec, Encryption
from dbcustody.contract import JobRequest, Verb
from dbcustody.jobs import rewrap
from dbcustody.jobs.custody import open_storage
from dbcustody.jobs.stock import close_data_key
from dbcustody.jobs.tools import Tools
from dbcustody.repository.binding import Place
from dbcustody.repository.layout import make_backup_id, manifest_key
from ground.s3 import S3Server
from measure.figure import Figure

if TYPE_CHECKING:
    from dbcustody.adapters.objectstore import ObjectStore
    from dbcustody.adapters.postgres import PostgresTarget

BACKUPS: Final = 1000
MOST_SECONDS: Final = 60.0
_WRITERS: Final = 8
_START: Final = datetime(2026, 1, 1, tzinfo=UTC)
_REQUEST: Final = JobRequest(
    verb=Verb.RE_WRAP,
    namespace="team",
    name="main",
    owner_uid="u",
    storage_name="main",
    storage=BackupStorageSpec(
        s3=S3(bucket="b"), encryption=Encryption(keyring_secret_ref=ObjectRef(name="k"), active_key_id="k1")
    ),
)


def measure(*, rounds: int) -> list[Figure]:
    """Return the seconds of *rounds* runs, each for one more key over the same backups."""
    keys = {f"k{number}": os.urandom(32) for number in range(1, rounds + 2)}
    with S3Server() as server:
        store = _open(server, server.make_bucket("rewrap"))
        _fill(store, Keyring("k1", {"k1": keys["k1"]}))
        seconds = tuple(_one(store, Keyring(f"k{number}", keys)) for number in range(2, rounds + 2))
        store.close()
    return [Figure(f"re-wrap of {BACKUPS} backups", "s", seconds, MOST_SECONDS, "most")]


def _open(server: S3Server, bucket: str) -> S3Store:
    settings = S3Settings(
        bucket=bucket,
        endpoint=server.url,
        addressing_style="path",
        access_key_id=server.access_key,
        secret_access_key=server.secret_key,
    )
    return S3Store(settings)


def _fill(store: ObjectStore, keyring: Keyring) -> None:
    """Write the key and the manifest of each backup; what is in a manifest is nothing to a re-wrap."""
    storage = open_storage(_tools(store, keyring), replace(_REQUEST, verb=Verb.BACKUP))

    def write(number: int) -> None:
        backup_id = make_backup_id(f"b{number}", _START + timedelta(hours=number))
        place = Place(storage_id=storage.storage_id, custody_id="shop", backup_id=backup_id, attempt=str(uuid.uuid4()))
        close_data_key(store, place, DataKey.fresh(), keyring)
        store.put_once(manifest_key("shop", backup_id), b"{}")

    with ThreadPoolExecutor(_WRITERS) as pool:
        list(pool.map(write, range(BACKUPS)))


def _one(store: ObjectStore, keyring: Keyring) -> float:
    """Return how long one run took; raises when it did not close every key."""
    begun = time.perf_counter()
    result = rewrap.run(_REQUEST, _tools(store, keyring))
    taken = time.perf_counter() - begun
    if result.re_wrap is None or result.re_wrap.wrapped != BACKUPS:
        raise RuntimeError(f"re-wrap: {result.message}")
    return taken


def _tools(store: ObjectStore, keyring: Keyring) -> Tools:
    def no_target(_: Verb) -> PostgresTarget:
        raise RuntimeError("a re-wrap needs no database")

    return Tools(
        now=lambda: datetime.now(UTC),
        report=lambda _: None,
        stop=threading.Event(),
        attempt=str(uuid.uuid4()),
        job_name="re-wrap",
        target=no_target,
        store=lambda: store,
        keyring=lambda: keyring,
        clients=(),
    )
