"""Deleting from a bucket: in batches where the store can, with an answer for every key; what a lock holds is no error."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from dbcustody.adapters.objectstore.interface import Deletion, DeletionState
from dbcustody.adapters.objectstore.s3error import code_of, translated
from dbcustody.errors import DbcustodyError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_BATCH: Final = 1000
_LOCKED: Final = ("objectlock", "object lock", "worm", "retention", "legal hold")
_NO_BATCHES: Final = frozenset({"MissingContentMD5", "MethodNotAllowed", "NotImplemented", "405", "501"})
"""Answers of stores that know no DeleteObjects, or none with a checksum other than MD5."""
_GONE: Final = frozenset({"NoSuchKey", "NoSuchVersion", "NotFound", "404"})
_LONGEST_DETAIL: Final = 200


class S3Deleter:
    """Deletes keys below *root* of one bucket."""

    def __init__(self, client: Any, bucket: str, root: str, *, what: str) -> None:
        self._client, self._bucket, self._root, self._what = client, bucket, root, what
        self._in_batches = True

    def delete(self, keys: Sequence[str]) -> list[Deletion]:
        """Return what became of each of *keys*, in their order; raises the store's error when it does not take the request at all."""
        batches = (keys[start : start + _BATCH] for start in range(0, len(keys), _BATCH))
        return [deletion for batch in batches for deletion in self._delete_batch(batch)]

    def _delete_batch(self, keys: Sequence[str]) -> list[Deletion]:
        failed = self._try_batch(keys) if self._in_batches else None
        if failed is None:
            return [self._delete_one(key) for key in keys]
        return [self._judge(key, failed.get(self._root + key)) for key in keys]

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
        try:
            with translated(f"{self._what}/{key}"):
                self._client.delete_object(Bucket=self._bucket, Key=self._root + key)
        except DbcustodyError as error:
            if not isinstance(error.__cause__, ClientError):
                raise
            return self._judge(key, dict(error.__cause__.response["Error"]))
        return Deletion(key=key, state=DeletionState.GONE)

    def _judge(self, key: str, error: Mapping[str, Any] | None) -> Deletion:
        if error is None or error.get("Code") in _GONE:
            return Deletion(key=key, state=DeletionState.GONE)
        detail = f"{error.get('Code', '')} {error.get('Message', '')}".strip()[:_LONGEST_DETAIL]
        held, until = self._lock_of(key)
        if held or any(word in detail.lower() for word in _LOCKED):
            return Deletion(key=key, state=DeletionState.HELD, detail=detail, held_until=until)
        return Deletion(key=key, state=DeletionState.DENIED, detail=detail)

    def _lock_of(self, key: str) -> tuple[bool, datetime | None]:
        """Return whether a lock is known to hold *key*, and until when a retention does."""
        try:
            with translated(self._what):
                found = self._client.head_object(Bucket=self._bucket, Key=self._root + key)
        except DbcustodyError:
            return False, None
        until: datetime | None = found.get("ObjectLockRetainUntilDate")
        retained = until is not None and until > datetime.now(UTC)
        return retained or found.get("ObjectLockLegalHoldStatus") == "ON", until if retained else None
