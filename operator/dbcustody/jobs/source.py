"""A backup as the source of a restore: its archives in the order of their objects, decrypted, and held against the manifest."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dbcustody.adapters.envelope import DataKey
from dbcustody.adapters.postgres import find_clients
from dbcustody.errors import DamagedError, RefusedError
from dbcustody.jobs.custody import OpenStorage
from dbcustody.jobs.readahead import read_ahead
from dbcustody.jobs.reading import read_catalogue_of, read_object
from dbcustody.jobs.stock import open_data_key
from dbcustody.jobs.tools import entries_below
from dbcustody.jobs.verification import able_clients, archives_of, client_major
from dbcustody.plan.selection import DATA
from dbcustody.reason import Reason
from dbcustody.repository.catalogue import Catalogue
from dbcustody.repository.contents import read_contents
from dbcustody.repository.layout import SCHEMA_OBJECT, WHOLE_OBJECT
from dbcustody.repository.ledger import entry_sequence, ledger_prefix
from dbcustody.repository.manifest import Manifest

if TYPE_CHECKING:
    import threading
    from collections.abc import Generator, Iterator

    from dbcustody.adapters.postgres import Client
    from dbcustody.jobs.evidence import Standing
    from dbcustody.jobs.tools import Tools
    from dbcustody.plan.part import Part
    from dbcustody.repository.contents import Contents
    from dbcustody.repository.inventory import ReadBackup


Archive = tuple[str, tuple[str, ...]]
"""Its name, and its objects in their order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A backup that can be believed, opened."""

    storage: OpenStorage
    manifest: Manifest
    manifest_sha256: str
    catalogue: Catalogue = field(repr=False)
    data_key: DataKey | None = field(default=None, repr=False)

    @property
    def is_partial(self) -> bool:
        """Whether only some tables were asked for."""
        return not self.manifest.is_whole

    @property
    def definitions(self) -> Archive:
        """The archive that has the definitions, and its objects."""
        archives = archives_of(self.manifest)
        name = WHOLE_OBJECT if WHOLE_OBJECT in archives else SCHEMA_OBJECT
        return name, archives[name]

    @property
    def rows(self) -> dict[str, tuple[str, ...]]:
        """The archives that have rows, the largest first, each with its objects."""
        sizes = {item.name: item.plaintext_bytes for item in self.manifest.objects}
        archives = {name: objects for name, objects in archives_of(self.manifest).items() if name != SCHEMA_OBJECT}
        return dict(sorted(archives.items(), key=lambda one: -sum(sizes[name] for name in one[1])))

    def pieces(self, objects: tuple[str, ...], stop: threading.Event) -> Iterator[bytes]:
        """Return the plaintext of *objects*, one after the other; raises like `read_object`, each at its end, and when told to *stop*."""
        return read_ahead(self._read(objects), stop)

    def read_contents(self, objects: tuple[str, ...] | None = None) -> Contents:
        """Return the table of contents of the archive of *objects* (None: the definitions); only its head is read.

        Raises like `read_object` and `repository.contents.read_contents`.
        """
        name, definitions = self.definitions
        with closing(self._read(objects or definitions)) as pieces:
            return read_contents(pieces, objects[0] if objects else name)

    def _read(self, objects: tuple[str, ...]) -> Generator[bytes]:
        for name in objects:
            yield from read_object(self.storage, self.manifest, self.data_key, name)


def open_source(storage: OpenStorage, backup: ReadBackup | Standing) -> Source:
    """Return *backup* opened; raises KeyMissing, KeyMismatch, ArchiveDamaged, FormatUnknown, and the errors of the store."""
    manifest = backup.manifest
    key = open_data_key(storage, manifest.place, backup.key_ids) if manifest.encryption else None
    return Source(
        storage=storage,
        manifest=manifest,
        manifest_sha256=backup.manifest_sha256,
        data_key=key,
        catalogue=read_catalogue_of(storage, manifest, key),
    )


def coming_rows(source: Source, part: Part) -> dict[str, tuple[str, ...]]:
    """Return the archives with rows that *part* needs; of the others only the head is read.

    Raises DamagedError when a table whose rows are to come is in none of them.
    """
    if part.selection is None:
        return source.rows
    found, lacking = dict[str, tuple[str, ...]](), set(part.selection.tables_with_rows(source.catalogue))
    for name, objects in source.rows.items():
        is_first = name == source.definitions[0]
        coming = part.rewrite(source.read_contents(objects), by_name=not is_first)
        rows = {entry.key for entry in coming.entries if entry.kind in DATA}
        lacking -= rows
        if rows:
            found[name] = objects
    if lacking:
        schema, table = min(lacking)
        raise DamagedError(
            f"backup {source.manifest.backup_id}: the rows of {schema}.{table} are in none of its archives"
        )
    return found


def choose_loader(tools: Tools, manifest: Manifest, target_major: int) -> Client:
    """Return the client that restores the backup of *manifest* on a server *target_major*.

    It must be as new as the pg_dump that wrote it (https://www.postgresql.org/docs/current/app-pgrestore.html); of those, the oldest
    that is as new as the server, for a newer one sets what the server does not know. Raises RefusedError (VersionUnsupported).
    """
    able = able_clients(find_clients(tools.clients), manifest)
    if not able:
        least = client_major(manifest)
        raise RefusedError(
            f"backup {manifest.backup_id}: was written by pg_dump {least}, and no pg_restore at hand is as new; use an image that has one",
            reason=Reason.VERSION_UNSUPPORTED,
        )
    return next((one for one in able if one.major >= target_major), able[-1])


def refuse_pending_erasures(source: Source, tools: Tools) -> None:
    """Raise RefusedError (ErasuresPending) when somebody was erased after the backup was taken: it would bring them back.

    Nothing can replay the ledger yet, so a restore past its watermark is refused as a whole.
    """
    custody_id = source.manifest.custody_id
    found = (
        entry_sequence(custody_id, entry.key)
        for entry in entries_below(source.storage.store, ledger_prefix(custody_id), tools)
    )
    newest, known = max((one for one in found if one is not None), default=0), source.manifest.ledger_watermark
    if newest > known:
        raise RefusedError(
            f"backup {source.manifest.backup_id}: people were erased after it was taken (entry {newest} of the ledger, it knows {known})",
            reason=Reason.ERASURES_PENDING,
        )
