"""One object on its way into a bucket: parts are uploaded while the next one fills, and memory stays what it is."""

from __future__ import annotations

import hashlib
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import structlog
from botocore.exceptions import BotoCoreError, ClientError

from dbcustody.adapters.objectstore.interface import PartLimitReachedError, StoredObject
from dbcustody.adapters.objectstore.s3error import is_race, is_taken, translated
from dbcustody.errors import ConflictError, DbcustodyError, UnavailableError
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from dbcustody.adapters.objectstore.s3 import S3Settings

_log = structlog.get_logger()
UPLOAD_METADATA: Final = "dbcustody-upload"
"""The object's metadata that tells whose upload became it."""
RACE_RETRIES: Final = 5


class S3Writer:
    """An ObjectWriter for one key; used by one thread."""

    def __init__(self, client: Any, settings: S3Settings, key: str, what: str) -> None:
        self._client, self._settings, self._what = client, settings, what
        self._target = {"Bucket": settings.bucket, "Key": key}
        self._token = uuid.uuid4().hex
        self._upload_id: str | None = None
        self._digest = hashlib.sha256()
        self._size_bytes = 0
        self._free = [bytearray(settings.part_bytes)]
        self._buffers = 1
        self._filling, self._filled = self._free.pop(), 0
        self._uploads: list[Future[bytearray]] = []
        self._parts: list[dict[str, Any]] = []
        self._pool = ThreadPoolExecutor(max_workers=max(1, settings.parts_in_flight - 1), thread_name_prefix="upload")

    @property
    def remaining_bytes(self) -> int:
        """How many more bytes the object can take before its parts run out."""
        return self._settings.max_parts * self._settings.part_bytes - self._size_bytes

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take *data*, uploading each part that it completes."""
        view = memoryview(data)
        if len(view) > self.remaining_bytes:
            raise PartLimitReachedError(f"{self._what}: {self._settings.max_parts} parts are full")
        self._digest.update(view)
        self._size_bytes += len(view)
        while view.nbytes:
            taken = min(len(view), len(self._filling) - self._filled)
            self._filling[self._filled : self._filled + taken] = view[:taken]
            self._filled += taken
            view = view[taken:]
            if self._filled == len(self._filling):
                self._send_part()

    def commit(self) -> StoredObject:
        """Create the object; see ObjectWriter."""
        try:
            if self._upload_id is None:
                self._commit_small()
            else:
                self._commit_parts()
        finally:
            self._pool.shutdown(wait=True)
        return StoredObject(size_bytes=self._size_bytes, sha256=self._digest.hexdigest())

    def abort(self) -> None:
        """Abort the upload; what cannot be reached now is left to the sweep."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        if self._upload_id is None:
            return
        try:
            self._client.abort_multipart_upload(**self._target, UploadId=self._upload_id)
        except (ClientError, BotoCoreError) as error:
            _log.warning("upload not aborted", error=type(error).__name__, what=self._what)

    def _send_part(self) -> None:
        """Give the filled part to a worker and go on with a free buffer, waiting for one when all are in flight."""
        if self._upload_id is None:
            with translated(self._what):
                self._upload_id = self._client.create_multipart_upload(
                    **self._target, Metadata={UPLOAD_METADATA: self._token}
                )["UploadId"]
        number = len(self._uploads) + 1
        self._uploads.append(self._pool.submit(self._upload, number, self._filling, self._filled))
        self._filling, self._filled = self._next_buffer(), 0

    def _next_buffer(self) -> bytearray:
        if self._buffers < self._settings.parts_in_flight:
            self._buffers += 1
            return bytearray(self._settings.part_bytes)
        return self._uploads[len(self._uploads) - self._settings.parts_in_flight].result()

    def _upload(self, number: int, buffer: bytearray, size_bytes: int) -> bytearray:
        body = memoryview(buffer)[:size_bytes] if size_bytes < len(buffer) else buffer
        with translated(f"{self._what} part {number}"):
            answer = self._client.upload_part(
                **self._target,
                UploadId=self._upload_id,
                PartNumber=number,
                Body=bytes(body) if body is not buffer else buffer,
            )
        part = {"PartNumber": number, "ETag": answer["ETag"]}
        checksums = {name: answer[name] for name in ("ChecksumCRC32", "ChecksumCRC64NVME") if name in answer}
        self._parts.append(part | checksums)
        return buffer

    def _commit_small(self) -> None:
        body = bytes(self._filling[: self._filled])

        def create() -> None:
            self._client.put_object(**self._target, Body=body, IfNoneMatch="*", Metadata={UPLOAD_METADATA: self._token})

        self._create(create)

    def _commit_parts(self) -> None:
        if self._filled:
            self._send_part()
        for upload in self._uploads:
            upload.result()
        parts = sorted(self._parts, key=lambda part: int(part["PartNumber"]))

        def create() -> None:
            self._client.complete_multipart_upload(
                **self._target, UploadId=self._upload_id, MultipartUpload={"Parts": parts}, IfNoneMatch="*"
            )

        self._create(create)

    def _create(self, create: Any) -> None:
        """Run the creating request; when its answer is lost or says `taken`, look whose object is there."""
        for _ in range(RACE_RETRIES):
            try:
                create()
            except ClientError as error:
                if is_race(error):
                    continue
                if self._is_ours():
                    return
                if is_taken(error):
                    raise ConflictError(f"{self._what}: another object is there already") from error
                with translated(self._what):
                    raise
            except BotoCoreError:
                if self._is_ours():
                    return
                with translated(self._what):
                    raise
            return
        raise UnavailableError(f"{self._what}: others keep writing it", reason=Reason.STORAGE_UNREACHABLE)

    def _is_ours(self) -> bool:
        try:
            with translated(self._what):
                found = self._client.head_object(**self._target)
        except DbcustodyError:
            return False
        return bool(found.get("Metadata", {}).get(UPLOAD_METADATA) == self._token)
