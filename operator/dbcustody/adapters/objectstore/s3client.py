"""How we speak to an S3 bucket: every choice is made here and written down, none is left to the machine's configuration files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

from dbcustody.adapters.objectstore.s3error import translated
from dbcustody.errors import InvalidSpecError

if TYPE_CHECKING:
    from urllib.parse import SplitResult

PART_BYTES: Final = 16 * 1024 * 1024
"""10 000 parts of this size are 156 GiB; memory is this times the parts in flight."""
_DEFAULT_REGION: Final = "us-east-1"


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


def make_client(settings: S3Settings) -> Any:
    """Return a boto3 client; raises RefusedError when its settings contradict each other. TLS is always verified.

    What protects a body on its way is decided by what it costs (docs/storages.md): with TLS and checksums our own CRC-32
    goes in a header and the payload stays unsigned, as botocore would have it too, but through a wrapper that copies each byte some
    thirty times and needs `aws-chunked`, which many stores do not speak. Otherwise botocore signs the payload's SHA-256.
    """
    config = Config(
        connect_timeout=settings.connect_timeout_seconds,
        read_timeout=settings.read_timeout_seconds,
        retries={"mode": "standard", "total_max_attempts": settings.max_attempts},
        s3={"addressing_style": settings.addressing_style} | _signing(settings),  # type: ignore[arg-type]  # stubs know no union
        request_checksum_calculation=settings.checksums,
        response_checksum_validation=settings.checksums,
        signature_version="s3v4",
        max_pool_connections=16,
        tcp_keepalive=True,
    )
    with translated(f"s3://{settings.bucket}"):
        session = boto3.session.Session(
            aws_access_key_id=settings.access_key_id,
            aws_secret_access_key=settings.secret_access_key,
            aws_session_token=settings.session_token,
            region_name=settings.region,
        )
        return session.client(
            "s3",
            region_name=session.region_name or _DEFAULT_REGION,
            endpoint_url=settings.endpoint,
            verify=settings.ca_file or True,
            config=config,
        )


def _signing(settings: S3Settings) -> dict[str, bool]:
    """Return botocore's options for signing payloads."""
    unsigned = settings.is_encrypted_in_transit and settings.sends_checksums
    return {"payload_signing_enabled": False} if unsigned else {}
