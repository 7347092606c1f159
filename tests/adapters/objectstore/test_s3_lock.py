"""Object lock on a real S3 server: what is held is an answer with its end, and nothing else suffers from it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from dbcustody.adapters.objectstore import DeletionState, S3Store
from dbcustody.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ground.s3 import S3Server

    OpenStore = Callable[..., S3Store]

pytestmark = pytest.mark.s3
UNTIL = datetime(2099, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def locked(server: S3Server, open_store: OpenStore) -> S3Store:
    """Return a store in a bucket with object lock that holds `held`, `legal` and `free`."""
    bucket = server.make_bucket(f"locked-{datetime.now(UTC):%H%M%S%f}", object_lock=True)
    store = open_store(server, bucket=bucket)
    for key in ("held", "legal", "free"):
        store.put_once(key, b"x")
    where: dict[str, Any] = {"Bucket": bucket}
    store.client.put_object_retention(**where, Key="held", Retention={"Mode": "COMPLIANCE", "RetainUntilDate": UNTIL})
    store.client.put_object_legal_hold(**where, Key="legal", LegalHold={"Status": "ON"})
    return store


def test_what_a_lock_holds_is_an_answer(locked: S3Store) -> None:
    """A retention is told with its end and a legal hold without one; both stay visible, and the rest goes."""
    deletions = locked.delete(["held", "legal", "free", "none"])

    assert [(deletion.state, deletion.held_until) for deletion in deletions] == [
        (DeletionState.HELD, UNTIL),
        (DeletionState.HELD, None),
        (DeletionState.GONE, None),
        (DeletionState.GONE, None),
    ]
    assert [entry.key for entry in locked.entries("")] == ["held", "legal"]


def test_what_is_no_longer_held_goes(locked: S3Store) -> None:
    """A hold that was lifted holds no longer; the version stays in the bucket for its lifecycle rule."""
    bucket = locked.settings.bucket
    locked.delete(["legal"])
    locked.client.put_object_legal_hold(Bucket=bucket, Key="legal", LegalHold={"Status": "OFF"})

    assert [deletion.state for deletion in locked.delete(["legal"])] == [DeletionState.GONE]
    assert [entry.key for entry in locked.entries("")] == ["free", "held"]
    versions = locked.client.list_object_versions(Bucket=bucket, Prefix="legal")["Versions"]
    assert [version["IsLatest"] for version in versions] == [False]


def test_locked_store_still_takes_new_objects(locked: S3Store) -> None:
    """Creating once works under object lock: a new key is created, and one that is held is a conflict."""
    with pytest.raises(ConflictError):
        locked.put_once("held", b"other")

    assert locked.put_once("new", b"new") is True
    assert locked.put_once("new", b"new") is False
