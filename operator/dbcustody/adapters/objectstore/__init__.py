"""Object stores: one interface, an S3 bucket or a folder behind it; nothing here knows what a backup is.

The bucket is loaded when it is asked for: boto3 takes a quarter of a second, and a migration has nothing to do with it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dbcustody.adapters.objectstore.interface import (
    Deletion,
    DeletionState,
    Features,
    ObjectEntry,
    ObjectStore,
    ObjectWriter,
    PartLimitReachedError,
    Repeats,
    StoredObject,
    Unfinished,
)
from dbcustody.adapters.objectstore.s3settings import S3Settings
from dbcustody.adapters.objectstore.selftest import Conformance, probe
from dbcustody.adapters.objectstore.volume import VolumeStore

if TYPE_CHECKING:
    from dbcustody.adapters.objectstore.s3 import S3Store

__all__ = [
    "Conformance",
    "Deletion",
    "DeletionState",
    "Features",
    "ObjectEntry",
    "ObjectStore",
    "ObjectWriter",
    "PartLimitReachedError",
    "Repeats",
    "S3Settings",
    "S3Store",
    "StoredObject",
    "Unfinished",
    "VolumeStore",
    "probe",
]


def __getattr__(name: str) -> Any:
    """Return the one name that is loaded late (PEP 562)."""
    if name == "S3Store":
        return import_module("dbcustody.adapters.objectstore.s3").S3Store
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
