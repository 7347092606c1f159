"""A custody in a real store: backups of a few bytes, closed, signed and chained with real keys, as honest hands leave them."""

from __future__ import annotations

import hashlib
import os
import threading
import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from dbcustody.adapters.envelope import DataKey, Encryptor, wrap_key
from dbcustody.adapters.keyring import Keyring
from dbcustody.adapters.objectstore import ObjectStore
from dbcustody.api.backup import Origin, Tool
from dbcustody.api.meta import ObjectRef
from dbcustody.api.storage import BackupStorageSpec, Encryption, Volume
from dbcustody.contract import JobRequest, Verb
from dbcustody.jobs.custody import OpenStorage, open_custody, open_storage
from dbcustody.jobs.stock import add_fact, take_stock
from dbcustody.jobs.tools import Tools
from dbcustody.repository.binding import MANIFEST_LABEL, OBJECT_LABEL
from dbcustody.repository.canonical import canonical
from dbcustody.repository.catalogue import Catalogue, DatabaseFacts, write_catalogue
from dbcustody.repository.fact import NameClaim, Verified, WrappedKey
from dbcustody.repository.layout import attempt_prefix, data_key_object, make_backup_id, manifest_key, name_key
from dbcustody.repository.manifest import (
    ENCRYPTION_ALGORITHM,
    Manifest,
    Scope,
    ServerFacts,
    StoredObject,
    authenticated_text,
    manifest_digest,
    write_manifest,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from dbcustody.adapters.postgres import PostgresTarget
    from dbcustody.api.backup import Progress
    from dbcustody.repository.binding import Place
    from dbcustody.repository.inventory import Inventory

NOW: Final = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
CUSTODY: Final = "shop"
KEY: Final = bytes(range(200, 232))
CATALOGUE: Final = Catalogue(
    database=DatabaseFacts(name="shop", owner="app", encoding="UTF8", collation="C", ctype="C", locale_provider="libc"),
    not_captured=("passwords of roles",),
)
CONTENTS: Final = {
    "schema.pgc": b"PGDMP schema",
    "data-000.pgc": b"PGDMP rest",
    "catalogue.json": write_catalogue(CATALOGUE),
}


def ring(active: str = "k1", **keys: bytes) -> Keyring:
    """Return a keyring, by default with the one key of every vault."""
    return Keyring(active, keys or {"k1": KEY})


def request_for(verb: Verb, *, encrypted: bool = True, **changes: Any) -> JobRequest:
    """Return a request about the custody of the vault."""
    encryption = Encryption(keyring_secret_ref=ObjectRef(name="keys"), active_key_id="k1") if encrypted else None
    request = JobRequest(
        verb=verb,
        namespace="team",
        name="shop",
        owner_uid="u",
        custody_id=CUSTODY,
        database_name="shop",
        storage_name="main",
        storage=BackupStorageSpec(volume=Volume(claim_name="c"), encryption=encryption),
        time_zone="Etc/UTC",
    )
    return replace(request, **changes)


def tools_for(
    store: ObjectStore,
    keyring: Keyring | None,
    *,
    now: datetime = NOW,
    report: Callable[[Progress], None] = lambda _: None,
    attempt: str = "11111111-1111-4111-8111-111111111111",
) -> Tools:
    """Return tools that work on *store* at *now*; asking for the database is an error."""

    def no_target(_: Verb) -> PostgresTarget:
        raise AssertionError("this work needs no database")

    return Tools(
        now=lambda: now, report=report, stop=threading.Event(), attempt=attempt, job_name="job", target=no_target,
        store=lambda: store, keyring=lambda: keyring, clients=(),
    )  # fmt: skip


@dataclass
class Vault:
    """The custody `shop` in *store*; `keyring` None means: without encryption."""

    store: ObjectStore
    keyring: Keyring | None = field(default_factory=ring)
    chain: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tools = tools_for(self.store, self.keyring)
        self.storage: OpenStorage = open_storage(self.tools, self.request(Verb.BACKUP))
        open_custody(self.storage, self.request(Verb.BACKUP), now=NOW)

    def request(self, verb: Verb, **changes: Any) -> JobRequest:
        """Return a request about this custody."""
        return request_for(verb, encrypted=self.keyring is not None, **changes)

    def stock(self, **changes: Any) -> Inventory:
        """Return what lies in the vault; *changes* are to the open storage."""
        return take_stock(replace(self.storage, **changes), CUSTODY, self.tools)

    def commit(
        self,
        name: str,
        snapshot: datetime,
        *,
        verified: str | None = "Read",
        contents: dict[str, bytes] | None = None,
        is_claimed: bool = True,
        **changes: Any,
    ) -> Manifest:
        """Write a whole backup of the data at *snapshot*, claim and proof included; *changes* are to the manifest."""
        basis = self._basis(name, snapshot)
        key = None if self.keyring is None else self.write_key(basis.place)
        objects = self.write_objects(basis.place, contents or CONTENTS, key)
        manifest = replace(basis, objects=objects, **changes)
        if key is not None:
            manifest = replace(manifest, encryption=ENCRYPTION_ALGORITHM)
            mac = key.mac(MANIFEST_LABEL, manifest.place.context, authenticated_text(manifest))
            manifest = replace(manifest, mac=mac.hex())
        if is_claimed:
            self.claim(manifest.name, manifest.backup_id)
        data = write_manifest(manifest)
        self.store.put_once(manifest_key(CUSTODY, manifest.backup_id), data)
        self.chain.append(manifest_digest(data))
        if verified is not None:
            self.prove(manifest, verified)
        return manifest

    def claim(self, name: str, backup_id: str) -> None:
        """Write that *name* stands for *backup_id*."""
        self.store.put_once(name_key(CUSTODY, name), canonical(NameClaim(name=name, backup_id=backup_id, claimed=NOW)))

    def prove(self, manifest: Manifest, level: str) -> None:
        """Write the fact that the backup was read back."""
        digest = manifest_digest(write_manifest(manifest))
        fact = Verified(backup_id=manifest.backup_id, manifest_sha256=digest, level=level, time=manifest.finished)
        add_fact(self.storage, CUSTODY, fact)

    def write_key(self, place: Place) -> DataKey:
        """Write a fresh data key for every key of the keyring, and return it."""
        assert self.keyring is not None
        key = DataKey.fresh()
        folder = attempt_prefix(place.custody_id, place.backup_id, place.attempt)
        for key_id, secret in self.keyring.keys.items():
            closed = wrap_key(key, secret, place.data_key_context(key_id))
            copy = WrappedKey(key_id=key_id, nonce=closed.nonce, wrapped=closed.wrapped, check=closed.check)
            self.store.put_once(folder + data_key_object(key_id), canonical(copy))
        return key

    def write_objects(self, place: Place, contents: dict[str, bytes], key: DataKey | None) -> tuple[StoredObject, ...]:
        """Write *contents* as the objects of an attempt, closed with *key*."""
        folder = attempt_prefix(place.custody_id, place.backup_id, place.attempt)
        rows = []
        for name, plain in contents.items():
            data, chunks = plain, 0
            if key is not None:
                writer = Encryptor(key.derive(OBJECT_LABEL, *place.object_context(name)))
                data = b"".join([writer.header, *writer.update(plain), writer.finish()])
                chunks = writer.chunk_count
            self.store.put_once(folder + name, data)
            digest = hashlib.sha256(data).hexdigest()
            rows.append(
                StoredObject(name=name, bytes=len(data), plaintext_bytes=len(plain), sha256=digest, chunks=chunks)
            )
        return tuple(rows)

    def _basis(self, name: str, snapshot: datetime) -> Manifest:
        return Manifest(
            storage_id=self.storage.storage_id,
            custody_id=CUSTODY,
            backup_id=make_backup_id(name, snapshot),
            attempt=str(uuid.UUID(bytes=os.urandom(16))),
            name=name,
            policy="nightly",
            origin=Origin.SCHEDULED,
            scope=Scope.FULL,
            server=ServerFacts(version="17.5", major_version=17, system_identifier="7434567890123456789"),
            tool=Tool(name="dbcustody", version="0.1.0"),
            client=Tool(name="pg_dump", version="17.5"),
            started=snapshot,
            snapshot=snapshot,
            finished=snapshot + timedelta(minutes=3),
            compression="zstd:1",
            objects=(),
            table_count=2,
            row_count=3,
            generation=len(self.chain) + 1,
            previous_manifest_sha256=self.chain[-1] if self.chain else None,
        )
