"""One object on its way into a bucket: parts are uploaded while the next one fills, and memory stays what it is.

Buffers are made once and go round; no byte is copied but from the caller into a buffer, and from there into the socket.
"""

from __future__ import annotations

import base64
import hashlib
import threading
import uuid
import zlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import structlog
from botocore.exceptions import ClientError

from dbcustody.adapters.objectstore.interface import PartLimitReachedError, StoredObject
from dbcustody.adapters.objectstore.s3error import check_answered, is_missing, is_passing, is_to_be_repeated, translated
from dbcustody.errors import ConflictError, DbcustodyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from dbcustody.adapters.objectstore.s3repeat import RepeatBudget
    from dbcustody.adapters.objectstore.s3settings import S3Settings

_log = structlog.get_logger()
TOKEN_METADATA: Final = "dbcustody-upload"  # noqa: S105 - tells writers apart, opens nothing
"""The object's metadata that tells whose request became it."""


def checksum_of(data: bytes | bytearray, settings: S3Settings) -> dict[str, str]:
    """Return the parameters that let the store verify *data* on arrival; none where *settings* say that it cannot."""
    if not settings.sends_checksums:
        return {}
    return {"ChecksumCRC32": base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()}


class S3Writer:
    """An ObjectWriter for one key; used by one thread."""

    def __init__(
        self, client: Any, settings: S3Settings, target: Mapping[str, str], *, what: str, budget: RepeatBudget
    ) -> None:
        self._budget = budget
        self._client, self._settings, self._target, self._what = client, settings, target, what
        self._token = uuid.uuid4().hex
        self._upload_id: str | None = None
        self._digest = hashlib.sha256()
        self._size_bytes = 0
        self._filling, self._filled, self._buffers = bytearray(settings.part_bytes), 0, 1
        self._in_flight: deque[Future[bytearray]] = deque()
        self._parts: list[dict[str, Any]] = []
        self._part_count = 0
        self._closed = threading.Event()
        self._pool = ThreadPoolExecutor(max(1, settings.parts_in_flight - 1), thread_name_prefix="upload")

    @property
    def remaining_bytes(self) -> int:
        """How many more bytes the object can take before its parts run out."""
        return self._settings.max_parts * self._settings.part_bytes - self._size_bytes

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take *data*, uploading each part that it completes; see ObjectWriter."""
        view = memoryview(data).cast("B")
        with self._open():
            if len(view) > self.remaining_bytes:
                raise PartLimitReachedError(f"{self._what}: {self._settings.max_parts} parts are full")
            self._digest.update(view)
            self._size_bytes += len(view)
            while view:
                view = view[self._fill(view) :]

    def commit(self) -> StoredObject:
        """Create the object; see ObjectWriter."""
        with self._open():
            if self._upload_id is None:
                self._commit_small()
            else:
                self._commit_parts()
            self._upload_id = None
        self.abort()
        return StoredObject(size_bytes=self._size_bytes, sha256=self._digest.hexdigest())

    def abort(self) -> None:
        """Abort the upload once its last part has stopped; what cannot be reached now is left to the sweep."""
        self._closed.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
        upload_id, self._upload_id = self._upload_id, None
        if upload_id is None:
            return
        try:
            with translated(self._what), suppress(self._client.exceptions.NoSuchUpload):
                self._client.abort_multipart_upload(**self._target, UploadId=upload_id)
        except DbcustodyError as error:
            _log.warning("upload not aborted", error=error.message, what=self._what)

    @contextmanager
    def _open(self) -> Iterator[None]:
        """Run a block that carries the upload on; a part that failed makes the whole fail, or a hole could be committed."""
        if self._closed.is_set():
            raise ValueError(f"{self._what}: is committed or aborted already")
        try:
            yield
        except PartLimitReachedError:
            raise
        except DbcustodyError:
            self.abort()
            raise

    def _fill(self, view: memoryview) -> int:
        """Copy the beginning of *view* into the buffer, send the buffer when it is full, and return how many bytes were taken."""
        taken = min(len(view), len(self._filling) - self._filled)
        self._filling[self._filled : self._filled + taken] = view[:taken]
        self._filled += taken
        if self._filled == len(self._filling):
            self._send_part()
            self._filling, self._filled = self._next_buffer(), 0
        return taken

    def begin(self) -> None:
        """Begin a multipart upload; one that was begun and whose answer said nothing is left to the sweep."""
        self._budget.quickly(self._begin, when=is_to_be_repeated)

    def _begin(self) -> None:
        """Ask for an upload; S3 wants to know beforehand that its parts will carry checksums."""
        checksums = {"ChecksumAlgorithm": "CRC32"} if self._settings.sends_checksums else {}
        with translated(self._what):
            answer = self._client.create_multipart_upload(
                **self._target, **checksums, Metadata={TOKEN_METADATA: self._token}
            )
            check_answered(answer, self._what, "UploadId")
        self._upload_id = answer["UploadId"]

    def _send_part(self) -> None:
        """Give the part to a worker."""
        if self._upload_id is None:
            self.begin()
        self._part_count += 1
        self._in_flight.append(self._pool.submit(self._upload, self._part_count, self._filling))

    def _next_buffer(self) -> bytearray:
        """Return a buffer to fill, waiting for the oldest part when all are in flight; raises the error of that part."""
        if self._buffers < self._settings.parts_in_flight:
            self._buffers += 1
            return bytearray(self._settings.part_bytes)
        return self._in_flight.popleft().result()

    def _upload(self, number: int, buffer: bytearray) -> bytearray:
        """Upload one part and return its buffer; a store that stopped answering is waited for."""
        checksum = checksum_of(buffer, self._settings)

        def send() -> None:
            with translated(f"{self._what} part {number}"):
                answer = self._client.upload_part(
                    **self._target, **checksum, UploadId=self._upload_id, PartNumber=number, Body=buffer
                )
                check_answered(answer, self._what, "ETag")
            self._parts.append({"PartNumber": number, "ETag": answer["ETag"], **checksum})

        self._patiently(send)
        return buffer

    def _commit_small(self) -> None:
        """Create the object by one put; a store that does not answer is not waited for, the caller knows better what to do."""
        del self._filling[self._filled :]
        self._budget.quickly(self._put, when=is_to_be_repeated)

    def _put(self) -> None:
        with self._settled():
            answer = self._client.put_object(
                **self._target,
                **checksum_of(self._filling, self._settings),
                Body=self._filling,
                IfNoneMatch="*",
                Metadata={TOKEN_METADATA: self._token},
            )
            check_answered(answer, self._what, "ETag")

    def _commit_parts(self) -> None:
        if self._filled or not self._part_count:
            del self._filling[self._filled :]
            self._send_part()
        while self._in_flight:
            self._in_flight.popleft().result()
        self._patiently(self._complete)

    def _complete(self) -> None:
        """Make the parts an object."""
        parts = sorted(self._parts, key=lambda part: int(part["PartNumber"]))
        with self._settled():
            answer = self._client.complete_multipart_upload(
                **self._target, UploadId=self._upload_id, MultipartUpload={"Parts": parts}, IfNoneMatch="*"
            )
            check_answered(answer, self._what, "ETag")

    @contextmanager
    def _settled(self) -> Iterator[None]:
        """Run the request that creates the object; whatever the answer was, what is there decides whether it did."""
        try:
            with translated(self._what):
                yield
        except DbcustodyError as error:
            self._settle(error)

    def _settle(self, error: DbcustodyError) -> None:
        """Return when the object there is ours, though the request ended with *error*; raise what is known then otherwise."""
        try:
            token = self._token_there()
        except DbcustodyError as unknown:
            raise (unknown if isinstance(error, ConflictError) else error) from unknown
        if token == self._token:
            return
        if token is not None:
            raise ConflictError(f"{self._what}: another object is there already") from error
        raise error

    def _token_there(self) -> str | None:
        """Return the token of the object that is there ("" for one that has none), or None when there is no object."""
        with translated(self._what):
            try:
                found = self._client.head_object(**self._target)
            except ClientError as error:
                if is_missing(error):
                    return None
                raise
            check_answered(found, self._what, "ContentLength")
        return str(found.get("Metadata", {}).get(TOKEN_METADATA, ""))

    def _patiently(self, send: Callable[[], None]) -> None:
        """Run *send* again while the store does not answer, until patience ends or the upload is aborted."""
        self._budget.patiently(
            send,
            when=lambda error: is_passing(error) and not self._closed.is_set(),
            seconds=self._settings.patience_seconds,
        )
