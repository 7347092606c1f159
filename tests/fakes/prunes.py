"""Driving a prune, and looking at what it left: for the tests of retention's deletions and of a person's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from dbcustody.adapters.objectstore import ObjectStore, S3Settings, S3Store
from dbcustody.api.policy import Retention
from dbcustody.contract import Verb
from dbcustody.jobs import prune
from dbcustody.jobs.stock import add_fact
from dbcustody.repository.fact import Hold, Release, Tombstone
from dbcustody.repository.layout import (
    backup_prefix,
)
from dbcustody.repository.manifest import manifest_digest, write_manifest
from tests.fakes.vault import CUSTODY, Vault, tools_for

if TYPE_CHECKING:
    from dbcustody.contract import JobResult
    from dbcustody.facts import PruneFacts
    from dbcustody.repository.manifest import Manifest
    from ground.s3 import S3Server

TODAY = datetime.now(UTC).replace(microsecond=0)
KEEP_TWO = Retention(keep_last=2, keep_daily=0, keep_weekly=0, keep_monthly=0)
DEAD = "22222222-2222-4222-8222-222222222222"


def open_bucket(server: S3Server, bucket: str, endpoint: str | None = None) -> S3Store:
    """Return the store in a bucket of *server*."""
    return S3Store(
        S3Settings(
            bucket=bucket,
            prefix="backups",
            endpoint=endpoint or server.url,
            addressing_style="path",
            access_key_id=server.access_key,
            secret_access_key=server.secret_key,
            part_bytes=5 * 1024 * 1024,
            max_attempts=2,
        )
    )


def pruned(
    vault: Vault, *, store: ObjectStore | None = None, later: timedelta = timedelta(0), **changes: Any
) -> JobResult:
    """Return the result of a prune, by default one that keeps two, at a later time if wanted."""
    request = vault.request(Verb.PRUNE, **({"retention": KEEP_TWO, "policy_name": "nightly"} | changes))
    return prune.run(request, tools_for(store or vault.store, vault.keyring, now=TODAY + later))


def facts_of(result: JobResult) -> PruneFacts:
    """Return the facts of *result*."""
    assert result.prune is not None
    return result.prune


def nights(vault: Vault, number: int, **changes: Any) -> list[Manifest]:
    """Commit so many nightly backups, the last one today, and return them, oldest first."""
    return [
        vault.commit(f"night-{night}", TODAY - timedelta(days=number - night, minutes=9), **changes)
        for night in range(1, number + 1)
    ]


def left_of(vault: Vault, manifest: Manifest) -> set[str]:
    """Return the names of what lies below a backup."""
    prefix = backup_prefix(CUSTODY, manifest.backup_id)
    return {entry.key.removeprefix(prefix) for entry in vault.store.entries(prefix)}


def everything(vault: Vault) -> list[str]:
    """Return every key in the store."""
    return [entry.key for entry in vault.store.entries("")]


def say(vault: Vault, kind: type[Hold | Release], manifest: Manifest, *, because: str = "audit") -> None:
    """Write a hold or its release."""
    digest = manifest_digest(write_manifest(manifest))
    fact = kind(backup_id=manifest.backup_id, manifest_sha256=digest, number=1, because=because, time=TODAY)
    add_fact(vault.storage, CUSTODY, fact)


def bury(vault: Vault, manifest: Manifest) -> None:
    """Write a backup's tombstone, as a prune does before anything else."""
    digest = manifest_digest(write_manifest(manifest))
    tombstone = Tombstone(
        backup_id=manifest.backup_id,
        manifest_sha256=digest,
        previous_manifest_sha256=manifest.previous_manifest_sha256,
        generation=manifest.generation,
        because="retention",
        time=TODAY,
    )
    add_fact(vault.storage, CUSTODY, tombstone)
