"""An S3 bucket, through boto3.

Objects are created by conditional requests (`If-None-Match: *` on PutObject and CompleteMultipartUpload,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html). An answer that got lost is settled by looking.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from dbcustody.adapters.objectstore.interface import (
    READ_CHUNK_BYTES,
    SMALL_OBJECT_BYTES,
    Deletion,
    DeletionState,
    ObjectEntry,
    Unfinished,
)
from dbcustody.adapters.objectstore.s3error import code_of, is_missing, is_race, is_taken, translated
from dbcustody.adapters.objectstore.s3writer import S3Writer
from dbcustody.errors import ConflictError, DamagedError, UnavailableError
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PART_BYTES: Final = 16 * 1024 * 1024
"""10 000 parts of this size are 156 GiB; memory is this times the parts in flight."""
DELETE_BATCH: Final = 1000
RESUMES: Final = 5
RACE_RETRIES: Final = 5
_LOCKED: Final = ("object lock", "retention", "legal hold", "worm", "governance", "compliance")


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Settings:
    """Where the bucket is and how to speak to it; credentials None means: the ambient ones of boto3's chain."""

    bucket: str
    prefix: str = ""
    region: str | None = None
    endpoint: str | None = None
    addressing_style: Literal["auto", "path", "virtual"] = "auto"
    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    checksums: Literal["when_supported", "when_required"] = "when_supported"
    max_parts: int = 10_000
    part_bytes: int = PART_BYTES
    parts_in_flight: int = 3
    connect_timeout_seconds: float = 10
    read_timeout_seconds: float = 60
    max_attempts: int = 5


class S3Store:
    """An ObjectStore in a bucket, below a prefix."""

    def __init__(self, settings: S3Settings) -> None:
        self.settings = settings
        self._root = f"{settings.prefix.strip('/')}/" if settings.prefix.strip("/") else ""
        with translated(f"s3://{settings.bucket}"):
            self.client: Any = _make_client(settings)

    @property
    def location(self) -> str:
        """Where it is, for people."""
        return f"s3://{self.settings.bucket}/{self._root}".rstrip("/")

    def put_once(self, key: str, data: bytes) -> bool:
        """Create *key* with *data* by one conditional put; see ObjectStore."""
        for _ in range(RACE_RETRIES):
            try:
                self.client.put_object(Bucket=self.settings.bucket, Key=self._root + key, Body=data, IfNoneMatch="*")
            except ClientError as error:
                if is_race(error):
                    continue
                if not is_taken(error):
                    with translated(self._at("put", key)):
                        raise
                return self._compare(key, data)
            except BotoCoreError:
                if self.read(key) == data:
                    return True
                with translated(self._at("put", key)):
                    raise
            return True
        raise UnavailableError(f"{self._at('put', key)}: others keep writing it", reason=Reason.STORAGE_UNREACHABLE)

    def open_writer(self, key: str) -> S3Writer:
        """Begin an object of unknown length."""
        return S3Writer(self.client, self.settings, self._root + key, self._at("upload", key))

    def read(self, key: str) -> bytes | None:
        """Return a small object whole, or None when there is none."""
        try:
            answer = self.client.get_object(Bucket=self.settings.bucket, Key=self._root + key)
            with answer["Body"] as body:
                data: bytes = body.read(SMALL_OBJECT_BYTES + 1)
        except ClientError as error:
            if is_missing(error):
                return None
            with translated(self._at("get", key)):
                raise
        except BotoCoreError:
            with translated(self._at("get", key)):
                raise
        if len(data) > SMALL_OBJECT_BYTES:
            raise DamagedError(f"{self._at('get', key)}: is larger than any object of its kind")
        return data

    def stream(self, key: str) -> Iterator[bytes]:
        """Yield an object piece by piece, going on by range where a connection broke; see ObjectStore."""
        position, size, etag, resumes = 0, -1, "", 0
        while size < 0 or position < size:
            try:
                with translated(self._at("get", key)):
                    body, size, etag = self._open_range(key, position, size, etag)
                    with body:
                        while piece := body.read(READ_CHUNK_BYTES):
                            position += len(piece)
                            yield piece
            except UnavailableError:
                resumes += 1
                if resumes > RESUMES:
                    raise
            else:
                if position < size:
                    resumes += 1
                    if resumes > RESUMES:
                        raise DamagedError(f"{self._at('get', key)}: ends after {position} of {size} bytes")

    def entries(self, prefix: str) -> Iterator[ObjectEntry]:
        """Yield everything below *prefix*, page by page."""
        with translated(self._at("list", prefix)):
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.settings.bucket, Prefix=self._root + prefix
            )
            for page in pages:
                for item in page.get("Contents", ()):
                    key = item["Key"].removeprefix(self._root)
                    yield ObjectEntry(key=key, size_bytes=item["Size"], modified=item["LastModified"])

    def delete(self, keys: Sequence[str]) -> list[Deletion]:
        """Delete *keys* in batches; see ObjectStore."""
        batches = (keys[start : start + DELETE_BATCH] for start in range(0, len(keys), DELETE_BATCH))
        return [deletion for batch in batches for deletion in self._delete_batch(batch)]

    def list_unfinished(self, prefix: str) -> Iterator[Unfinished]:
        """Yield the multipart uploads below *prefix* that nobody completed or aborted."""
        with translated(self._at("list uploads", prefix)):
            pages = self.client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self.settings.bucket, Prefix=self._root + prefix
            )
            for page in pages:
                for item in page.get("Uploads", ()):
                    yield Unfinished(
                        key=item["Key"].removeprefix(self._root), token=item["UploadId"], started=item["Initiated"]
                    )

    def abort_unfinished(self, unfinished: Unfinished) -> None:
        """Abort a multipart upload; one that is gone already is success."""
        try:
            self.client.abort_multipart_upload(
                Bucket=self.settings.bucket, Key=self._root + unfinished.key, UploadId=unfinished.token
            )
        except ClientError as error:
            if code_of(error) not in {"NoSuchUpload", "404"}:
                with translated(self._at("abort upload", unfinished.key)):
                    raise
        except BotoCoreError:
            with translated(self._at("abort upload", unfinished.key)):
                raise

    def _open_range(self, key: str, position: int, size: int, etag: str) -> tuple[Any, int, str]:
        """Return the body from *position* on, the whole size, and the ETag; the first call learns size and ETag."""
        wanted = {"Bucket": self.settings.bucket, "Key": self._root + key}
        if size >= 0:
            wanted |= {"Range": f"bytes={position}-", "IfMatch": etag}
        try:
            answer = self.client.get_object(**wanted)
        except ClientError as error:
            if is_missing(error) or is_taken(error):
                raise DamagedError(f"{self._at('get', key)}: is missing or changed while it was read") from error
            raise
        return answer["Body"], size if size >= 0 else answer["ContentLength"], answer["ETag"]

    def _delete_batch(self, keys: Sequence[str]) -> list[Deletion]:
        wanted = {"Objects": [{"Key": self._root + key} for key in keys], "Quiet": True}
        with translated(self._at("delete", f"{len(keys)} objects")):
            answer = self.client.delete_objects(Bucket=self.settings.bucket, Delete=wanted)
        failed = {item["Key"].removeprefix(self._root): item for item in answer.get("Errors", ())}
        return [_deletion(key, failed.get(key)) for key in keys]

    def _compare(self, key: str, data: bytes) -> bool:
        if self.read(key) == data:
            return False
        raise ConflictError(f"{self._at('put', key)}: other bytes are there already")

    def _at(self, operation: str, key: str) -> str:
        return f"{operation} {self.location}/{key}"


def _deletion(key: str, error: dict[str, str] | None) -> Deletion:
    if error is None or error.get("Code") in {"NoSuchKey", "NotFound"}:
        return Deletion(key=key, state=DeletionState.GONE)
    words = f"{error.get('Code', '')} {error.get('Message', '')}".strip()
    locked = any(word in words.lower() for word in _LOCKED)
    return Deletion(key=key, state=DeletionState.HELD if locked else DeletionState.DENIED, detail=words[:200])


def _make_client(settings: S3Settings) -> Any:
    """Return a boto3 client whose every choice is made here, not by the machine's configuration files.

    Checksums `when_supported` adds a CRC32 that the store verifies on arrival; over TLS botocore leaves the payload unsigned, over
    plain HTTP it signs its SHA-256.
    """
    config = Config(
        connect_timeout=settings.connect_timeout_seconds,
        read_timeout=settings.read_timeout_seconds,
        retries={"mode": "standard", "total_max_attempts": settings.max_attempts},
        s3={"addressing_style": settings.addressing_style},
        request_checksum_calculation=settings.checksums,
        response_checksum_validation=settings.checksums,
        signature_version="s3v4",
        max_pool_connections=16,
        tcp_keepalive=True,
    )
    session = boto3.session.Session(
        aws_access_key_id=settings.access_key_id,
        aws_secret_access_key=settings.secret_access_key,
        aws_session_token=settings.session_token,
        region_name=settings.region or "us-east-1",
    )
    return session.client("s3", endpoint_url=settings.endpoint, verify=settings.ca_file or True, config=config)
