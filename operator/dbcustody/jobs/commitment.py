"""The commit of a backup: the name that is claimed first, and the manifest that is written last, once, and read back.

Whoever comes second reads what the first one wrote: a name stands for one backup for ever, and a backup has one manifest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import dbcustody
from dbcustody.adapters.envelope import DataKey
from dbcustody.api.backup import Origin, Tool
from dbcustody.errors import ConflictError, DamagedError
from dbcustody.jobs.custody import OpenStorage, open_custody, read_custody
from dbcustody.jobs.stock import close_data_key
from dbcustody.jobs.tools import custody_id_of
from dbcustody.repository.binding import MANIFEST_LABEL, Place
from dbcustody.repository.canonical import canonical
from dbcustody.repository.fact import NameClaim, parse_claim
from dbcustody.repository.layout import make_backup_id, manifest_key, name_key
from dbcustody.repository.manifest import (
    ENCRYPTION_ALGORITHM,
    Manifest,
    authenticated_text,
    manifest_digest,
    write_manifest,
)

if TYPE_CHECKING:
    from dbcustody.adapters.objectstore import ObjectStore
    from dbcustody.adapters.postgres import Client
    from dbcustody.contract import JobRequest
    from dbcustody.jobs.capture import Captured
    from dbcustody.jobs.tools import Tools
    from dbcustody.repository.inventory import Link


@dataclass(frozen=True, slots=True, kw_only=True)
class Undertaking:
    """A backup that is being taken: what it is called, where it goes, when it began, with which key it is closed."""

    storage: OpenStorage
    place: Place
    name: str
    started: datetime
    data_key: DataKey | None


def claim_name(storage: OpenStorage, custody_id: str, name: str, now: datetime) -> str:
    """Return the backup id that *name* stands for, claimed now when it stood for none."""
    found = read_claim(storage.store, custody_id, name)
    if found is not None:
        return found
    claim = NameClaim(name=name, backup_id=make_backup_id(name, now), claimed=now)
    try:
        storage.store.put_once(name_key(custody_id, name), canonical(claim))
    except ConflictError as error:
        taken = read_claim(storage.store, custody_id, name)
        if taken is None:
            raise DamagedError(f"{name_key(custody_id, name)}: vanished right after it was written") from error
        return taken
    return claim.backup_id


def claimed_backup(storage: OpenStorage, request: JobRequest, now: datetime) -> str | None:
    """Return the backup id that the request's name stands for in its custody, or None; a custody of another owner is refused.

    Nothing is minted on the way: under a custody that was never begun no name stands for anything.
    """
    custody_id = custody_id_of(request)
    if read_custody(storage.store, custody_id) is None:
        return None
    open_custody(storage, request, now=now)
    return read_claim(storage.store, custody_id, request.name)


def read_claim(store: ObjectStore, custody_id: str, name: str) -> str | None:
    """Return the backup id that *name* stands for, or None; raises DamagedError when another name stands in its claim."""
    key = name_key(custody_id, name)
    data = store.read(key)
    if data is None:
        return None
    claim = parse_claim(data, f"{store.location}/{key}")
    if claim.name != name:
        raise DamagedError(f"{store.location}/{key}: is of another name; somebody moved it")
    return claim.backup_id


def undertake(storage: OpenStorage, place: Place, *, name: str, started: datetime) -> Undertaking:
    """Return the attempt at *place* with a fresh data key, whose wrapped copy already lies in the storage."""
    if storage.keyring is None:
        return Undertaking(storage=storage, place=place, name=name, started=started, data_key=None)
    key = DataKey.fresh()
    close_data_key(storage.store, place, key, storage.keyring)
    return Undertaking(storage=storage, place=place, name=name, started=started, data_key=key)


def make_manifest(
    undertaking: Undertaking, captured: Captured, *, request: JobRequest, client: Client, tools: Tools, link: Link
) -> Manifest:
    """Return the manifest of what was *captured*, signed when it is encrypted, as the next link of the custody's chain."""
    place, key = undertaking.place, undertaking.data_key
    manifest = Manifest(
        storage_id=place.storage_id,
        custody_id=place.custody_id,
        backup_id=place.backup_id,
        attempt=place.attempt,
        name=undertaking.name,
        policy=request.policy_name,
        origin=Origin.MANUAL if request.name else Origin.SCHEDULED,
        scope=captured.scope,
        server=captured.server,
        tool=Tool(name="dbcustody", version=dbcustody.__version__),
        client=Tool(name="pg_dump", version=client.version),
        started=undertaking.started,
        snapshot=captured.snapshot_time,
        finished=tools.now(),
        compression=captured.compression,
        objects=captured.objects,
        encryption=ENCRYPTION_ALGORITHM if key is not None else None,
        table_count=len(captured.catalogue.tables),
        row_count=captured.row_count,
        generation=link.generation,
        previous_manifest_sha256=link.previous_manifest_sha256,
    )
    if key is None:
        return manifest
    return replace(manifest, mac=key.mac(MANIFEST_LABEL, place.context, authenticated_text(manifest)).hex())


def commit(storage: OpenStorage, manifest: Manifest) -> str:
    """Write *manifest* and return its digest once it was read back; raises ConflictError when another attempt was committed first."""
    data, key = write_manifest(manifest), manifest_key(manifest.custody_id, manifest.backup_id)
    storage.store.put_once(key, data)
    if data not in (storage.store.read(key) for _ in range(2)):  # a bit that turned on its way is no other manifest
        raise DamagedError(f"{storage.store.location}/{key}: is not what was written a moment ago")
    return manifest_digest(data)
