"""Where a bucket is and how it is spoken to; apart from the client, whose libraries take a quarter of a second to load."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit

from dbcustody.errors import InvalidSpecError

if TYPE_CHECKING:
    from urllib.parse import SplitResult

PART_BYTES: Final = 16 * 1024 * 1024
"""10 000 parts of this size are 156 GiB; memory is this times the parts in flight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Settings:
    """Where the bucket is and how to speak to it; credentials None means: the ambient ones of boto3's chain.

    *max_attempts* bounds the tries of one request (a few seconds); *patience_seconds* is how long an upload or a download that is under
    way outlives a store that stopped answering; *spare_repeats* bounds what is sent again in a whole run, see `s3repeat`.
    """

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
    patience_seconds: float = 60
    spare_repeats: int = 200

    def __post_init__(self) -> None:
        if self.endpoint is not None and not _is_plain(urlsplit(self.endpoint)):
            raise InvalidSpecError("endpoint: must be http:// or https:// with a host and nothing else in it")
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise InvalidSpecError("S3 credentials: access key id and secret access key must be given together")

    @property
    def is_encrypted_in_transit(self) -> bool:
        """Whether TLS protects what is sent."""
        return self.endpoint is None or self.endpoint.startswith("https://")

    @property
    def sends_checksums(self) -> bool:
        """Whether every body goes with a CRC-32 that the store verifies on arrival."""
        return self.checksums == "when_supported"


def _is_plain(url: SplitResult) -> bool:
    no_more = not (url.username or url.password or url.query or url.fragment)
    return url.scheme in {"http", "https"} and bool(url.hostname) and no_more
