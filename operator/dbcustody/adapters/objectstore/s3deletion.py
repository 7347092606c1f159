"""Deleting from a bucket: in batches where the store can, with an answer for every key; what a lock holds is no error.

A bucket with object lock keeps versions, and there a plain deletion succeeds on a locked object too: it hides the object and frees nothing.
So a lock is looked for first, and what it holds is left visible. What is deleted from a versioned bucket stays as an old version until
the bucket's lifecycle rule takes it: whoever turned versions on wanted that.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from dbcustody.adapters.objectstore.interface import Deletion, DeletionState
from dbcustody.adapters.objectstore.s3error import code_of, is_missing, translated
from dbcustody.errors import DbcustodyError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_BATCH: Final = 1000
_LOCK_WORDS: Final = ("objectlock", "object lock", "worm", "retention", "legal hold")
_NO_BATCHES: Final = frozenset({"MissingContentMD5", "MethodNotAllowed", "NotImplemented", "405", "501"})
"""Answers of stores that know no DeleteObjects, or none with a checksum other than MD5."""
_GONE: Final = frozenset({"NoSuchKey", "NoSuchVersion", "NotFound", "404"})
_LONGEST_DETAIL: Final = 200


class S3Deleter:
    """Deletes keys below *root* of one bucket; *may_lock* False spares the question for each object's lock."""

    def __init__(self, client: Any, bucket: str, root: str, *, what: str, may_lock: bool) -> None:
        self._client, self._bucket, self._root, self._what = client, bucket, root, what
        self._may_lock = may_lock
        self._in_batches = True

    def delete(self, keys: Sequence[str]) -> list[Deletion]:
        """Return what became of each of *keys*, in their order; raises the store's error when it does not take the request at all."""
        done = {held.key: held for key in keys if (held := self._held(key)) is not None} if self._may_lock else {}
        free = [key for key in keys if key not in done]
        for start in range(0, len(free), _BATCH):
            done |= {deletion.key: deletion for deletion in self._delete_batch(free[start : start + _BATCH])}
        return [done[key] for key in keys]

    def _delete_batch(self, keys: Sequence[str]) -> list[Deletion]:
        failed = self._try_batch(keys) if self._in_batches else None
        if failed is None:
            return [self._delete_one(key) for key in keys]
        return [_judge(key, failed.get(self._root + key)) for key in keys]

    def _try_batch(self, keys: Sequence[str]) -> dict[str, Mapping[str, Any]] | None:
        """Return the errors by whole key, or None when the store knows no such request."""
        wanted = {"Objects": [{"Key": self._root + key} for key in keys], "Quiet": True}
        with translated(f"{self._what}: {len(keys)} objects"):
            try:
                answer = self._client.delete_objects(Bucket=self._bucket, Delete=wanted)
            except ClientError as error:
                if code_of(error) not in _NO_BATCHES:
                    raise
                self._in_batches = False
                return None
        return {item["Key"]: item for item in answer.get("Errors", ())}

    def _delete_one(self, key: str) -> Deletion:
        """Delete one key; only an answer about this key is one, anything else is raised."""
        try:
            with translated(f"{self._what}/{key}"):
                self._client.delete_object(Bucket=self._bucket, Key=self._root + key)
        except DbcustodyError as error:
            cause = error.__cause__
            if not isinstance(cause, ClientError) or code_of(cause) not in {*_GONE, "AccessDenied"}:
                raise
            return _judge(key, dict(cause.response["Error"]))
        return Deletion(key=key, state=DeletionState.GONE)

    def _held(self, key: str) -> Deletion | None:
        """Return the answer for a *key* that a lock holds; None for any other, also when we may not ask."""
        with translated(f"{self._what}/{key}"):
            try:
                found = self._client.head_object(Bucket=self._bucket, Key=self._root + key)
            except ClientError as error:
                if is_missing(error) or code_of(error) in {"403", "AccessDenied"}:
                    return None
                raise
        until: datetime | None = found.get("ObjectLockRetainUntilDate")
        if until is not None and until > datetime.now(UTC):
            detail = f"object lock ({found.get('ObjectLockMode', 'retention')})"
            return Deletion(key=key, state=DeletionState.HELD, detail=detail, held_until=until)
        if found.get("ObjectLockLegalHoldStatus") == "ON":
            return Deletion(key=key, state=DeletionState.HELD, detail="legal hold")
        return None


def _judge(key: str, error: Mapping[str, Any] | None) -> Deletion:
    """Return what the store's answer means for *key*; None is success."""
    if error is None or error.get("Code") in _GONE:
        return Deletion(key=key, state=DeletionState.GONE)
    detail = f"{error.get('Code', '')} {error.get('Message', '')}".strip()[:_LONGEST_DETAIL]
    locked = any(word in detail.lower() for word in _LOCK_WORDS)
    return Deletion(key=key, state=DeletionState.HELD if locked else DeletionState.DENIED, detail=detail)
