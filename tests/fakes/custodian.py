"""Backups as a Job takes them, on real parts: a server, a storage, keys, and what was told on the way."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dbcustody.adapters.keyring import Keyring
from dbcustody.adapters.objectstore import ObjectStore, S3Settings, S3Store, VolumeStore
from dbcustody.api.backup import Progress, Stage
from dbcustody.api.database import Connection, DatabaseSpec
from dbcustody.api.meta import ObjectRef
from dbcustody.api.policy import CaptureOptions
from dbcustody.api.storage import BackupStorageSpec, Encryption, Volume
from dbcustody.contract import JobRequest, Verb
from dbcustody.errors import DbcustodyError
from dbcustody.jobs import backup
from dbcustody.jobs.custody import open_storage
from dbcustody.jobs.stock import take_stock
from dbcustody.jobs.tools import Tools, application_name, find_target
from ground.postgres import PostgresServer
from ground.root import client_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbcustody.adapters.postgres import PostgresTarget
    from dbcustody.contract import JobResult
    from dbcustody.reason import Reason
    from dbcustody.repository.inventory import Inventory
    from ground.s3 import S3Server

CONNECTION: Final = Connection(secret_ref=ObjectRef(name="shop-app"))
KEY: Final = bytes([200, *range(31)])
KEYS: Final = Keyring("k1", {"k1": KEY})
ENCRYPTION: Final = Encryption(keyring_secret_ref=ObjectRef(name="keys"), active_key_id="k1")
CUSTODY: Final = "web.shop"


@dataclass(frozen=True, kw_only=True)
class Custodian:
    """Takes backups of one database into one storage; *told* is everything that was reported, *stop* ends what runs."""

    server: PostgresServer
    open_store: Callable[[], ObjectStore]
    database: str = "shop"
    user: str = "postgres"
    password: str | None = None
    port: int | None = None
    """Of a proxy in front of the server."""
    keys: Keyring | None = KEYS
    clients: tuple[Path, ...] = ()
    told: list[Progress] = field(default_factory=list)
    on_stage: Callable[[Stage], object] = lambda _: None
    """Called with each progress, in the thread that tells it."""
    stop: threading.Event = field(default_factory=threading.Event)

    def tools(self) -> Tools:
        """Return the tools of a new attempt."""
        files = {
            "host": self.server.host,
            "port": str(self.port or self.server.port),
            "user": self.user,
            "password": self.password or self.server.password,
            "database": self.database,
            "sslmode": "disable",
        }

        def target(verb: Verb) -> PostgresTarget:
            return find_target(files, CONNECTION, application=application_name(verb, CUSTODY))

        def report(progress: Progress) -> None:
            self.told.append(progress)
            self.on_stage(progress.stage)

        return Tools(
            now=lambda: datetime.now(UTC), report=report, stop=self.stop, attempt=str(uuid.uuid4()), job_name="shop-nightly-29472000",
            target=target, store=self.open_store, keyring=lambda: self.keys,
            clients=self.clients or (client_folder(17), client_folder(18)),
        )  # fmt: skip

    def request(self, name: str = "nightly", **options: Any) -> JobRequest:
        """Return the request for the backup *name*; *options* are of CaptureOptions."""
        encryption = ENCRYPTION if self.keys is not None else None
        return JobRequest(
            verb=Verb.BACKUP, namespace="web", name=name, owner_uid="u", custody_id=CUSTODY, database_name="shop",
            database=DatabaseSpec(connection=CONNECTION), storage_name="main",
            storage=BackupStorageSpec(volume=Volume(claim_name="c"), encryption=encryption), options=CaptureOptions(**options),
        )  # fmt: skip

    def take(self, name: str = "nightly", **options: Any) -> JobResult:
        """Take the backup *name*; raises what the run raises."""
        return backup.run(self.request(name, **options), self.tools())

    def outcome(self, name: str = "nightly", **options: Any) -> tuple[Reason, str]:
        """Return reason and message of a run, whether it was a result or an error of ours."""
        try:
            result = self.take(name, **options)
        except DbcustodyError as error:
            return error.reason, error.message
        return result.reason, result.message

    def stock(self) -> Inventory:
        """Return the inventory of the storage."""
        calm = replace(self, stop=threading.Event())
        tools = calm.tools()
        return take_stock(open_storage(tools, self.request()), CUSTODY, tools)

    @property
    def stages(self) -> list[str]:
        """The stages that were told, each once, in order."""
        return list(dict.fromkeys(progress.stage.value for progress in self.told))

    @contextmanager
    def running(self, name: str = "nightly", **options: Any) -> Iterator[Run]:
        """Take the backup in a thread while the block runs; at its end the thread is waited for."""
        run = Run(self, name, options)
        try:
            yield run
        finally:
            run.thread.join(120)
            assert not run.thread.is_alive(), "the run does not end"

    def backends(self) -> list[tuple[Any, ...]]:
        """Return pid, state and query of every session of ours at the server."""
        return self.server.execute(
            "select pid, state, left(query, 80), wait_event from pg_stat_activity where application_name like 'dbcustody backup%'"
        )


class Run:
    """One run in a thread of its own."""

    def __init__(self, custodian: Custodian, name: str, options: dict[str, Any]) -> None:
        self.found: tuple[Reason, str] | BaseException | None = None
        self.thread = threading.Thread(target=self._work, args=(custodian, name, options))
        self.thread.start()

    def _work(self, custodian: Custodian, name: str, options: dict[str, Any]) -> None:
        try:
            self.found = custodian.outcome(name, **options)
        except BaseException as error:  # noqa: BLE001 - handed to the test, which raises it
            self.found = error

    @property
    def is_over(self) -> bool:
        """Whether it ended."""
        return not self.thread.is_alive()

    def outcome(self, timeout_seconds: float = 120) -> tuple[Reason, str]:
        """Wait for the end, and return reason and message; raises what was no error of ours."""
        self.thread.join(timeout_seconds)
        assert not self.thread.is_alive(), "the run does not end"
        if isinstance(self.found, BaseException):
            raise self.found
        assert self.found is not None
        return self.found


def in_volume(folder: Path) -> Callable[[], ObjectStore]:
    """Return what opens a storage on *folder*."""
    return lambda: VolumeStore(folder)


@contextmanager
def in_bucket(server: S3Server, bucket: str, /, **changes: Any) -> Iterator[Callable[[], ObjectStore]]:
    """Return what opens a storage in *bucket*, with little patience; *changes* are to its settings. What was opened is closed."""
    settings = S3Settings(
        bucket=bucket, endpoint=server.url, addressing_style="path", access_key_id=server.access_key,
        secret_access_key=server.secret_key, connect_timeout_seconds=2, read_timeout_seconds=10, max_attempts=2, patience_seconds=3,
    )  # fmt: skip
    opened: list[S3Store] = []

    def open_store() -> ObjectStore:
        opened.append(S3Store(replace(settings, **changes)))
        return opened[-1]

    try:
        yield open_store
    finally:
        for store in opened:
            store.close()
