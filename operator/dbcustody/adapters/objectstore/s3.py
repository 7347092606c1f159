"""An S3 bucket, through boto3.

Objects are created by conditional requests (`If-None-Match: *` on PutObject and CompleteMultipartUpload,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html). An answer that got lost is settled by looking: every object
carries the token of the writer that made it.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from dbcustody.adapters.objectstore.interface import SMALL_OBJECT_BYTES, Features, ObjectEntry, Unfinished, check_key
from dbcustody.adapters.objectstore.s3client import make_client
from dbcustody.adapters.objectstore.s3deletion import S3Deleter
from dbcustody.adapters.objectstore.s3error import (
    AgainError,
    GarbledError,
    check_answered,
    code_of,
    date_of,
    is_passing,
    is_to_be_repeated,
    translated,
)
from dbcustody.adapters.objectstore.s3reader import MissingError, S3Reader
from dbcustody.adapters.objectstore.s3repeat import RepeatBudget
from dbcustody.adapters.objectstore.s3writer import TOKEN_METADATA, S3Writer, checksum_of
from dbcustody.errors import ConflictError, DamagedError, DbcustodyError, RefusedError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dbcustody.adapters.objectstore.interface import Deletion, Repeats
    from dbcustody.adapters.objectstore.s3settings import S3Settings


class S3Store:
    """An ObjectStore in a bucket, below a prefix."""

    def __init__(self, settings: S3Settings) -> None:
        self.settings = settings
        self._root = f"{settings.prefix.strip('/')}/" if settings.prefix.strip("/") else ""
        self.client: Any = make_client(settings)
        self._budget = RepeatBudget(settings.spare_repeats)
        self._budget.watch(self.client)
        self._may_lock: bool | None = None

    def close(self) -> None:
        """Let go of the connections."""
        self.client.close()

    @property
    def location(self) -> str:
        """Where it is, for people."""
        return f"s3://{self.settings.bucket}/{self._root}".rstrip("/")

    @property
    def repeats(self) -> Repeats:
        """What had to be asked for again so far."""
        return self._budget.repeats

    def put_once(self, key: str, data: bytes) -> bool:
        """Create *key* with *data* by one conditional put; see ObjectStore."""
        check_key(key)
        return self._budget.quickly(lambda: self._put(key, data, uuid.uuid4().hex), when=is_to_be_repeated)

    def open_writer(self, key: str, *, in_parts: bool = False) -> S3Writer:
        """Begin an object of unknown length."""
        target = self._target(check_key(key))
        writer = S3Writer(self.client, self.settings, target, what=self._at("upload", key), budget=self._budget)
        if in_parts:
            writer.begin()
        return writer

    def read(self, key: str) -> bytes | None:
        """Return a small object whole, or None when there is none."""
        found = self._read(key)
        return None if found is None else found[0]

    def stream(self, key: str, *, offset: int = 0) -> Iterator[bytes]:
        """Yield an object piece by piece; see ObjectStore."""
        return self._reader(key, offset).pieces()

    def entries(self, prefix: str, *, page_size: int | None = None) -> Iterator[ObjectEntry]:
        """Yield everything below *prefix*, page by page."""
        for item in self._pages("list_objects_v2", "Contents", prefix, page_size):
            yield ObjectEntry(key=self._key(item), size_bytes=item["Size"], modified=item["LastModified"])

    def delete(self, keys: Sequence[str]) -> list[Deletion]:
        """Delete *keys*, but what an object lock holds; see ObjectStore and `s3deletion`."""
        what = f"delete {self.location}"
        if keys and self._may_lock is None:
            self._may_lock = self._has_lock(what) is not False
        deleter = S3Deleter(
            self.client, self.settings.bucket, self._root, what=what, may_lock=self._may_lock is not False
        )
        return deleter.delete(keys)

    def list_unfinished(self, prefix: str) -> Iterator[Unfinished]:
        """Yield the multipart uploads below *prefix* that nobody completed or aborted."""
        for item in self._pages("list_multipart_uploads", "Uploads", prefix):
            yield Unfinished(key=self._key(item), token=item["UploadId"], started=item["Initiated"])

    def abort_unfinished(self, unfinished: Unfinished) -> None:
        """Abort a multipart upload; one that is gone already is success."""
        with translated(self._at("abort upload", unfinished.key)):
            try:
                self.client.abort_multipart_upload(**self._target(unfinished.key), UploadId=unfinished.token)
            except ClientError as error:
                if code_of(error) not in {"NoSuchUpload", "404"}:
                    raise

    def features(self) -> Features:
        """Return what the bucket says of itself."""
        what = f"get features of {self.location}"
        versioning, date = self._ask("get_bucket_versioning", what)
        return Features(
            versioning=None if versioning is None else versioning.get("Status") == "Enabled",
            object_lock=self._has_lock(what),
            clock_skew_seconds=None if date is None else (date - datetime.now(UTC)).total_seconds(),
        )

    def _has_lock(self, what: str) -> bool | None:
        """Return whether the bucket can lock objects; None when it does not say, or not to us."""
        lock, _ = self._ask("get_object_lock_configuration", what)
        return None if lock is None else "ObjectLockConfiguration" in lock

    def _put(self, key: str, data: bytes, token: str) -> bool:
        """Try to create *key*; whatever is not a clear yes or no is settled by looking what is there."""
        what = self._at("put", key)
        try:
            with translated(what):
                answer = self.client.put_object(
                    **self._target(key),
                    **checksum_of(data, self.settings),
                    Body=data,
                    IfNoneMatch="*",
                    Metadata={TOKEN_METADATA: token},
                )
                check_answered(answer, what, "ETag")
        except (ConflictError, UnavailableError) as error:
            return self._settle(key, data, token, error)
        return True

    def _settle(self, key: str, data: bytes, token: str, error: DbcustodyError) -> bool:
        """Return whether *key*, put with *error* as the only answer, was created by us; see put_once."""
        try:
            found = self._read(key)
        except DbcustodyError as unknown:
            raise (unknown if isinstance(error, ConflictError) else error) from unknown
        if found is None:
            if isinstance(error, ConflictError):
                raise AgainError(f"{self._at('put', key)}: was there a moment ago and is gone") from error
            raise error
        if found[1] == token:
            return True
        if found[0] != data:
            raise ConflictError(f"{self._at('put', key)}: other bytes are there already") from error
        return False

    def _read(self, key: str) -> tuple[bytes, str | None] | None:
        """Return the bytes and the writer's token of a small object, or None when there is none.

        Bytes that do not fit their checksum are asked for once more: only what is wrong twice may lie there like that.
        """
        try:
            return self._read_once(key)
        except (GarbledError, AgainError):
            return self._read_once(key)

    def _read_once(self, key: str) -> tuple[bytes, str | None] | None:
        reader = self._reader(key)
        try:
            with translated(self._at("get", key)):
                reader.open()
        except MissingError:
            return None
        if reader.size_bytes > SMALL_OBJECT_BYTES:
            reader.close()
            raise DamagedError(f"{self._at('get', key)}: is larger than any object of its kind")
        return b"".join(reader.pieces()), reader.metadata.get(TOKEN_METADATA)

    def _reader(self, key: str, offset: int = 0) -> S3Reader:
        patiently = partial(self._budget.patiently, when=is_passing, seconds=self.settings.patience_seconds)
        return S3Reader(self.client, self._target(key), self._at("get", key), patiently=patiently, offset=offset)

    def _pages(self, operation: str, name: str, prefix: str, page_size: int | None = None) -> Iterator[dict[str, Any]]:
        """Yield the items called *name* of every page of *operation*."""
        with translated(self._at(operation.replace("_", " "), prefix)):
            pages = self.client.get_paginator(operation).paginate(
                Bucket=self.settings.bucket, Prefix=self._root + prefix, PaginationConfig={"PageSize": page_size}
            )
            for page in pages:
                check_answered(page, f"{operation} {self.location}")
                yield from page.get(name, ())

    def _ask(self, operation: str, what: str) -> tuple[dict[str, Any] | None, datetime | None]:
        """Return the bucket's answer ({} for: nothing set, None for: not told) and the time on its clock."""
        try:
            with translated(what):
                try:
                    answer = getattr(self.client, operation)(Bucket=self.settings.bucket)
                except ClientError as error:
                    if not code_of(error).startswith(("ObjectLockConfigurationNotFound", "NoSuchObjectLock")):
                        raise
                    answer = error.response
        except RefusedError as error:
            answer = getattr(error.__cause__, "response", {})
            return None, date_of(answer)
        return answer, date_of(answer)

    def _target(self, key: str) -> dict[str, str]:
        return {"Bucket": self.settings.bucket, "Key": self._root + key}

    def _key(self, item: dict[str, Any]) -> str:
        return str(item["Key"]).removeprefix(self._root)

    def _at(self, operation: str, key: str) -> str:
        return f"{operation} {self.location}/{key}"
