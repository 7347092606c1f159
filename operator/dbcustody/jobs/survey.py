"""The survey of a whole storage: how much lies in it, how many backups, and for which keys each is closed.

One listing is enough, because keys tell everything; a manifest is read only where a backup has several attempts with keys, to know which
of them was committed.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING

from dbcustody.errors import DamagedError, RefusedError
from dbcustody.jobs.tools import entries_below
from dbcustody.plan.key_use import ClosedAttempt, KeyStanding, judge_keys
from dbcustody.repository.layout import (
    BackupKey,
    FactKind,
    digest_in,
    key_id_of,
    manifest_key,
    name_digest,
    parse_backup_key,
    parse_name_key,
)
from dbcustody.repository.manifest import read_manifest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from dbcustody.adapters.keyring import Keyring
    from dbcustody.adapters.objectstore import ObjectStore
    from dbcustody.jobs.tools import Tools

_Backup = tuple[str, str]
"""Custody id and backup id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What lies in a storage."""

    used_bytes: int
    backups: int
    closed: tuple[ClosedAttempt, ...]
    named: tuple[tuple[str, str], ...] = ()
    """Custody id and name of each backup whose name is still claimed, newest first."""

    def standing(self, keyring: Keyring | None) -> KeyStanding:
        """Return how the backups and *keyring* fit each other; None is a keyring without keys."""
        if keyring is None:
            return judge_keys(self.closed, key_ids=(), active_key_id=None)
        return judge_keys(self.closed, key_ids=keyring.keys, active_key_id=keyring.active_key_id)


@dataclass(slots=True)
class _Count:
    used_bytes: int = 0
    committed: set[_Backup] = field(default_factory=set)
    deleted: set[_Backup] = field(default_factory=set)
    closed_for: dict[_Backup, dict[str, set[str]]] = field(default_factory=dict)
    """By backup and attempt."""
    names: dict[tuple[str, str], str] = field(default_factory=dict)
    """By custody id and the digest that a backup id ends with."""

    def add_name(self, custody_id: str, name: str) -> None:
        """Take in a claim."""
        self.names[custody_id, name_digest(name)] = name

    def add(self, key: BackupKey) -> None:
        """Take in the name of one object."""
        backup = (key.custody_id, key.backup_id)
        if key.is_manifest:
            self.committed.add(backup)
        if key.fact is FactKind.TOMBSTONE:
            self.deleted.add(backup)
        if key.attempt is not None and (key_id := key_id_of(key.object_name)) is not None:
            self.closed_for.setdefault(backup, defaultdict(set))[key.attempt].add(key_id)


def survey(store: ObjectStore, tools: Tools) -> Survey:
    """Return what lies in *store*; raises the store's errors, and InterruptedRunError when the work is to end."""
    count = _Count()
    for entry in entries_below(store, "", tools):
        count.used_bytes += entry.size_bytes
        if (key := parse_backup_key(entry.key)) is not None:
            count.add(key)
        elif (claim := parse_name_key(entry.key)) is not None:
            count.add_name(*claim)
    live = count.committed - count.deleted
    closed = (one for backup in sorted(live) for one in _closed(store, backup, count.closed_for.get(backup, {})))
    return Survey(
        used_bytes=count.used_bytes, backups=len(live), closed=tuple(closed), named=tuple(_named(live, count.names))
    )


def _named(live: Collection[_Backup], names: Mapping[tuple[str, str], str]) -> Iterator[tuple[str, str]]:
    """Yield custody id and name of each of the *live* backups, newest first; one whose claim is gone has no name any more."""
    for custody_id, backup_id in sorted(live, key=itemgetter(1), reverse=True):
        name = names.get((custody_id, digest_in(backup_id)))
        if name is not None:
            yield custody_id, name


def _closed(store: ObjectStore, backup: _Backup, attempts: dict[str, set[str]]) -> Iterator[ClosedAttempt]:
    for attempt in sorted(_committed(store, backup, attempts)):
        yield ClosedAttempt(
            custody_id=backup[0], backup_id=backup[1], attempt=attempt, key_ids=frozenset(attempts[attempt])
        )


def _committed(store: ObjectStore, backup: _Backup, attempts: Collection[str]) -> Collection[str]:
    """Return the one of *attempts* that was committed; all of them where the manifest does not say, so that no key seems dispensable."""
    if len(attempts) < 2:  # noqa: PLR2004 - nothing to choose from
        return attempts
    key = manifest_key(*backup)
    try:
        data = store.read(key)
        attempt = None if data is None else read_manifest(data, key).attempt
    except (DamagedError, RefusedError):
        return attempts
    return (attempt,) if attempt is not None and attempt in attempts else attempts
