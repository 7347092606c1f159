"""To what a derived or wrapped key is bound: the labels and ids that both sides must name, in this order, and nowhere else.

A key that opens one object opens no other, and a MAC made for one place fits no other, because the place goes into the derivation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

OBJECT_LABEL: Final = "object"
MANIFEST_LABEL: Final = "manifest-mac"
FACT_LABEL: Final = "fact-mac"

Context = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an attempt belongs; all keys that come from its data key are bound to it."""

    storage_id: str
    custody_id: str
    backup_id: str
    attempt: str

    @property
    def context(self) -> Context:
        """The ids in their order; also the context of the manifest's MAC (label `manifest-mac`)."""
        return (self.storage_id, self.custody_id, self.backup_id, self.attempt)

    def object_context(self, object_name: str) -> Context:
        """Return the context of the key that closes the object of *object_name* (label `object`)."""
        return (*self.context, object_name)

    def data_key_context(self, key_id: str) -> Context:
        """Return what the data key's wrapping for *key_id* is bound to."""
        return (*self.context, key_id)


def storage_key_context(storage_id: str, key_id: str) -> Context:
    """Return what the storage key's wrapping for *key_id* is bound to."""
    return (storage_id, key_id)


def fact_context(storage_id: str, custody_id: str, backup_id: str) -> Context:
    """Return the context of a later fact's MAC, under the storage key (label `fact-mac`)."""
    return (storage_id, custody_id, backup_id)
