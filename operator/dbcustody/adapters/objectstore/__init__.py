"""Object stores: one interface, an S3 bucket or a folder behind it; nothing here knows what a backup is."""

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
from dbcustody.adapters.objectstore.s3 import S3Store
from dbcustody.adapters.objectstore.s3client import S3Settings
from dbcustody.adapters.objectstore.selftest import Conformance, probe
from dbcustody.adapters.objectstore.volume import VolumeStore

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
