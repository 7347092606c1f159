"""The proof of a backup: every byte read back, and at level Read every row counted, against what the dump's own snapshot had.

A backup that is damaged is an answer here, not an error; only a storage that does not answer, or an order to stop, is raised.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from dbcustody.adapters.postgres import find_clients
from dbcustody.adapters.postgres.archive import UnreadableError, count_archive
from dbcustody.adapters.postgres.script import ScriptCount
from dbcustody.api.backup import Progress, Stage
from dbcustody.api.policy import Level
from dbcustody.errors import DamagedError
from dbcustody.jobs.comparison import describe_count, describe_differences
from dbcustody.jobs.quantity import size_text
from dbcustody.jobs.reading import read_catalogue_of, read_object, read_with_care
from dbcustody.jobs.tools import check_stop
from dbcustody.reason import Reason
from dbcustody.repository.layout import SCHEMA_OBJECT, WHOLE_OBJECT, archive_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from dbcustody.adapters.envelope import DataKey
    from dbcustody.adapters.postgres import Client
    from dbcustody.jobs.custody import OpenStorage
    from dbcustody.jobs.tools import Tools
    from dbcustody.repository.catalogue import Catalogue
    from dbcustody.repository.manifest import Manifest

_TELL_BYTES: Final = 4 * 1024 * 1024
_MAJOR: Final = re.compile(r"\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """How far a backup is proven; *level* None means: not even Checksum passed. *rows* None means: not counted, or not rightly."""

    level: Level | None
    message: str
    rows: int | None = None
    reason: Reason


def verify(
    storage: OpenStorage, manifest: Manifest, *, level: Level, tools: Tools, data_key: DataKey | None
) -> Verified:
    """Return how far the backup of *manifest* is proven, having read it back at *level* in one pass.

    A damaged backup is an answer: level None or Checksum with the reason ArchiveDamaged, VerificationFailed, or VersionUnsupported when
    no client at hand is new enough to read it. Raises the errors of a storage that does not answer, InterruptedRunError when told to
    stop, and RefusedError (KeyMissing) when *data_key* is None and needed.
    """
    run = _Run(storage, manifest, tools, data_key)
    try:
        if level is Level.CHECKSUM:
            return _read_objects(run)
        client = newest_client(find_clients(tools.clients), manifest)
        return _read_unaided(run) if client is None else _read_archives(run, client)
    except DamagedError as error:
        return Verified(level=None, message=error.message, reason=error.reason)


def newest_client(clients: Sequence[Client], manifest: Manifest) -> Client | None:
    """Return the newest of *clients* that can read the backup: as new as the pg_dump that wrote it, or newer; None when there is none."""
    return max(able_clients(clients, manifest), default=None)


def able_clients(clients: Sequence[Client], manifest: Manifest) -> list[Client]:
    """Return those of *clients* that can read the backup, in their order."""
    major = client_major(manifest)
    return [client for client in clients if client.major >= major and client.program("pg_restore").is_file()]


def archives_of(manifest: Manifest) -> dict[str, tuple[str, ...]]:
    """Return the archives of a backup by name, each with its objects in the order in which they are to be concatenated.

    That is one which holds everything, or one with the schema beside those with rows. Raises DamagedError when there are others, or a
    part is missing: a manifest names every part from the first to the last.
    """
    archives: dict[str, tuple[str, ...]] = {}
    for name in sorted(item.name for item in manifest.objects):
        if (archive := name if name == SCHEMA_OBJECT else archive_of(name)) is not None:
            archives[archive] = (*archives.get(archive, ()), name)
    if (WHOLE_OBJECT in archives) == (SCHEMA_OBJECT in archives) or (WHOLE_OBJECT in archives and len(archives) > 1):
        raise DamagedError(
            f"backup {manifest.backup_id}: its manifest must name {SCHEMA_OBJECT}, or {WHOLE_OBJECT} and no other archive"
        )
    for archive, names in archives.items():
        if names != (archive, *(f"{archive}.{part:03d}" for part in range(1, len(names)))):
            raise DamagedError(f"backup {manifest.backup_id}: parts of {archive} are missing in its manifest")
    return archives


class _Run:
    """The reading of one backup, with its progress."""

    def __init__(self, storage: OpenStorage, manifest: Manifest, tools: Tools, data_key: DataKey | None) -> None:
        self.manifest, self.tools = manifest, tools
        self._storage, self._data_key = storage, data_key
        self._started = time.monotonic()
        self._read_bytes = 0
        self._tell_at_bytes = 0

    def catalogue(self) -> Catalogue:
        """Return the catalogue, compared with the manifest."""
        check_stop(self.tools)
        return read_catalogue_of(self._storage, self.manifest, self._data_key)

    def plaintext(self, names: Iterable[str]) -> Iterator[bytes]:
        """Yield the plaintext of the objects *names*, one after the other, each compared with the manifest at its end."""
        for name in names:
            for piece in read_object(self._storage, self.manifest, self._data_key, name):
                check_stop(self.tools)
                yield piece
                self._read_bytes += len(piece)
                self._tell(name)

    def drain(self, name: str) -> None:
        """Read the object *name* for its digest alone."""
        for _ in self.plaintext([name]):
            pass

    def counted(self, client: Client, archive: str, names: Sequence[str]) -> ScriptCount:
        """Return what pg_restore finds in *archive*, which lies in the objects *names*."""
        what = f"{archive} of backup {self.manifest.backup_id}"
        return read_with_care(lambda: count_archive(client, self.plaintext(names), what, stop=self.tools.stop))

    def _tell(self, name: str) -> None:
        if self._read_bytes < self._tell_at_bytes:
            return
        self._tell_at_bytes = self._read_bytes + _TELL_BYTES
        seconds = max(time.monotonic() - self._started, 0.001)
        self.tools.report(
            Progress(
                stage=Stage.VERIFYING,
                summary=f"reading {name} back",
                percent=min(100, self._read_bytes * 100 // max(1, self.manifest.logical_bytes)),
                bytes=self._read_bytes,
                bytes_per_second=int(self._read_bytes / seconds),
            )
        )


def _read_objects(run: _Run) -> Verified:
    """Read every object back and look into none."""
    names = [item.name for item in run.manifest.objects]
    for name in names:
        read_with_care(partial(run.drain, name))
    message = f"{len(names)} objects, {size_text(run.manifest.stored_bytes)} read back"
    return Verified(level=Level.CHECKSUM, message=message, reason=Reason.VERIFIED)


def _read_unaided(run: _Run) -> Verified:
    """Do what can be done without a pg_restore, and say which one is missing."""
    proven = _read_objects(run)
    message = (
        f"{proven.message}; not looked into, which needs pg_restore {client_major(run.manifest)} or newer: "
        "use an image that has it"
    )
    return replace(proven, message=message, reason=Reason.VERSION_UNSUPPORTED)


def _read_archives(run: _Run, client: Client) -> Verified:
    """Read every archive through *client*; one that it cannot read is no reason to leave the others unread."""
    archives, catalogue = archives_of(run.manifest), run.catalogue()
    counted, problem = ScriptCount(), None
    for archive, names in archives.items():
        try:
            counted.add(run.counted(client, archive, names))
        except UnreadableError as error:
            problem = problem or error
    if problem is not None:
        return Verified(level=Level.CHECKSUM, message=problem.message, reason=problem.reason)
    differences = describe_differences(catalogue, counted)
    if differences is not None:
        return Verified(level=Level.CHECKSUM, message=differences, reason=Reason.VERIFICATION_FAILED)
    return Verified(
        level=Level.READ, message=describe_count(catalogue, counted), rows=counted.rows, reason=Reason.VERIFIED
    )


def client_major(manifest: Manifest) -> int:
    """Return the major version of the pg_dump that wrote the backup; 0 when the manifest says nothing of the kind."""
    match = _MAJOR.match(manifest.client.version)
    return int(match[0]) if match else 0
