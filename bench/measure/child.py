"""One backup in a process of its own, the same code as in a Job's pod; prints what it took as one line of JSON.

Its memory and its seconds are those of this process alone: pg_dump and pg_restore are counted as its children. `backup_seconds` begin with
the work, `waited_seconds` when the process was asked for, so that the start of Python and of every library is in them.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dbcustody.adapters.keyring import make_keyring
from dbcustody.adapters.objectstore import S3Settings, S3Store, VolumeStore
from dbcustody.api.database import Connection, DatabaseSpec
from dbcustody.api.meta import ObjectRef
from dbcustody.api.policy import CaptureOptions, Level, RowCounts, Verification
from dbcustody.api.storage import S3, BackupStorageSpec, Encryption, Volume
from dbcustody.contract import JobRequest, Verb
from dbcustody.jobs import backup
from dbcustody.jobs.garbage import collect_rarely
from dbcustody.jobs.tools import Tools, find_target

if TYPE_CHECKING:
    from dbcustody.adapters.objectstore import ObjectStore
    from dbcustody.api.backup import Progress


def main() -> None:
    """Do what the JSON on standard input asks for."""
    wanted: dict[str, Any] = json.load(sys.stdin)
    collect_rarely()
    seen: dict[str, float] = {}
    started = time.monotonic()

    def report(progress: Progress) -> None:
        seen.setdefault(progress.stage.value, time.monotonic() - started)

    result = backup.run(make_request(wanted), make_tools(wanted, report))
    ended = time.monotonic() - started
    facts = result.backup
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    told = {
        "reason": result.reason.value,
        "message": result.message,
        "backup_seconds": seen.get("Verifying", ended),
        "waited_seconds": started + seen.get("Verifying", ended) - wanted["asked"],
        "start_up_seconds": facts.start_up_seconds if facts else None,
        "verification_seconds": ended - seen.get("Verifying", ended),
        "stored_bytes": facts.artefact.stored_bytes if facts and facts.artefact else None,
        "peak_rss_bytes": own.ru_maxrss * 1024,
        "cpu_seconds": {"ours": own.ru_utime + own.ru_stime, "clients": children.ru_utime + children.ru_stime},
    }
    print(json.dumps(told))


def make_request(wanted: dict[str, Any]) -> JobRequest:
    """Return the request for one backup."""
    options = CaptureOptions(
        parallelism=wanted.get("parallelism", 1),
        row_counts=RowCounts(wanted["row_counts"]),
        verification=Verification(level=Level(wanted["level"])),
    )
    return JobRequest(
        verb=Verb.BACKUP,
        namespace="bench",
        name=f"b-{uuid.uuid4().hex[:12]}",
        owner_uid="bench",
        custody_id="bench.shop",
        database_name="shop",
        database=DatabaseSpec(connection=Connection(secret_ref=ObjectRef(name="shop"))),
        storage_name="bench",
        storage=_storage(wanted),
        options=options,
    )


def _storage(wanted: dict[str, Any]) -> BackupStorageSpec:
    encryption = Encryption(keyring_secret_ref=ObjectRef(name="keys"), active_key_id="k1")
    if "volume" in wanted:
        return BackupStorageSpec(volume=Volume(claim_name="bench"), encryption=encryption)
    return BackupStorageSpec(s3=S3(bucket=wanted["bucket"]), encryption=encryption)


def _open_store(wanted: dict[str, Any]) -> ObjectStore:
    if "volume" in wanted:
        return VolumeStore(Path(wanted["volume"]))
    settings = S3Settings(
        bucket=wanted["bucket"],
        endpoint=wanted["endpoint"],
        addressing_style="path",
        access_key_id=os.environ["BENCH_ACCESS_KEY"],
        secret_access_key=os.environ["BENCH_SECRET_KEY"],
    )
    return S3Store(settings)


def make_tools(wanted: dict[str, Any], report: Any) -> Tools:
    """Return the tools of one attempt."""
    keyring = make_keyring({"k1": bytes.fromhex(wanted["key"])}, "k1")
    files = {"DATABASE_URL": os.environ["BENCH_DATABASE_URL"]}
    connection = Connection(secret_ref=ObjectRef(name="shop"))
    return Tools(
        now=lambda: datetime.now(UTC),
        report=report,
        stop=threading.Event(),
        attempt=str(uuid.uuid4()),
        job_name="bench",
        target=lambda verb: find_target(files, connection, application=f"dbcustody {verb.value}"),
        store=lambda: _open_store(wanted),
        keyring=lambda: keyring,
        clients=tuple(Path(folder) for folder in wanted["clients"]),
    )


if __name__ == "__main__":
    main()
