"""One object on its way out of a bucket: read by pieces, taken up again by range where a connection broke, never cut short unnoticed.

botocore notices a body that ends too early only when it is read to its very end, so that is what is always done here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from dbcustody.adapters.objectstore.interface import READ_CHUNK_BYTES
from dbcustody.adapters.objectstore.s3error import AgainError, check_answered, code_of, is_missing, is_taken, translated
from dbcustody.errors import DamagedError, DbcustodyError, RefusedError
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Patiently = Callable[[Callable[[], bytes]], bytes]


class MissingError(DamagedError):
    """There is no such object."""


class S3Reader:
    """Reads one object once, from *offset* on; `size_bytes` (of the whole object) and `metadata` are known after `open`."""

    def __init__(
        self, client: Any, target: Mapping[str, str], what: str, *, patiently: Patiently, offset: int = 0
    ) -> None:
        """Prepare; *patiently* tries again and again while the store cannot answer, for a bounded time."""
        self._client, self._target, self._what = client, dict(target), what
        self._patiently = patiently
        self._body: Any = None
        self._etag: str | None = None
        self.position = offset
        self.size_bytes = 0
        self.metadata: Mapping[str, str] = {}

    def open(self) -> None:
        """Ask for the object from the present position on; raises MissingError, or DamagedError when it is not the same any more."""
        wanted: dict[str, str] = {"Range": f"bytes={self.position}-"} if self.position else {}
        if self._etag is not None:
            wanted["IfMatch"] = self._etag
        try:
            answer = self._client.get_object(**self._target, **wanted)
        except ClientError as error:
            if is_missing(error):
                raise MissingError(f"{self._what}: is missing") from error
            if is_taken(error):
                raise DamagedError(f"{self._what}: changed while it was read") from error
            if code_of(error) == "InvalidRange":
                raise DamagedError(f"{self._what}: is shorter than {self.position} bytes") from error
            raise
        self._body, self.metadata = answer["Body"], answer.get("Metadata", {})
        try:
            self._take(answer)
        except DbcustodyError:
            self.close()
            raise

    def _take(self, answer: Mapping[str, Any]) -> None:
        """Take in what *answer* says of the object; raises when it is not what was asked for."""
        check_answered(answer, self._what, "ContentLength", "ETag")
        self.size_bytes = self.position + answer["ContentLength"]
        if self._etag not in {None, answer["ETag"]}:  # some stores do not heed If-Match here
            raise DamagedError(f"{self._what}: changed while it was read")
        self._etag = answer["ETag"]
        if self.position and not answer.get("ContentRange", "").startswith(f"bytes {self.position}-"):
            raise RefusedError(f"{self._what}: the store ignores ranges", reason=Reason.NOT_CONFORMANT)

    def pieces(self) -> Iterator[bytes]:
        """Yield what is left of the object; a failure after the first answer is borne with for the patience that was given."""
        try:
            with translated(self._what):
                if self._body is None:
                    self._open_at_last()
            while piece := self._patiently(self._try_piece):
                self.position += len(piece)
                yield piece
        finally:
            self.close()

    def _open_at_last(self) -> None:
        """Ask once more where the first answer was none."""
        try:
            self.open()
        except AgainError:
            self.open()

    def close(self) -> None:
        """Let go of the connection."""
        if self._body is not None:
            self._body.close()
            self._body = None

    def _try_piece(self) -> bytes:
        """Return the next piece, or no bytes at the end."""
        if self._body is None and self.position == self.size_bytes:
            return b""
        try:
            with translated(self._what):
                if self._body is None:
                    self.open()
                piece: bytes = self._body.read(READ_CHUNK_BYTES)
        except DbcustodyError:
            self.close()
            raise
        return piece
