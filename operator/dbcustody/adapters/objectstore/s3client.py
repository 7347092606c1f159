"""How we speak to an S3 bucket: every choice is made here and written down, none is left to the machine's configuration files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import boto3
from botocore.config import Config

from dbcustody.adapters.objectstore.s3error import translated

if TYPE_CHECKING:
    from dbcustody.adapters.objectstore.s3settings import S3Settings

_DEFAULT_REGION: Final = "us-east-1"


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
