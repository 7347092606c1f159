"""What S3 and the network say, in our words: sorted by what helps."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    SSLError,
)
from botocore.exceptions import (
    ConnectionError as BotoConnectionError,
)

from dbcustody.errors import ConflictError, DbcustodyError, RefusedError, UnavailableError
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

_DENIED: Final = frozenset(
    {
        "AccessDenied",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "AuthorizationHeaderMalformed",
        "ExpiredToken",
        "InvalidToken",
        "403",
    }
    | {"AllAccessDisabled", "AccountProblem", "XAdminNoSuchUser", "InvalidSecurity", "NotSignedUp"}
)
_NO_BUCKET: Final = frozenset(
    {"NoSuchBucket", "PermanentRedirect", "IllegalLocationConstraintException", "InvalidBucketName", "301"}
)
_TAKEN: Final = frozenset({"PreconditionFailed", "412"})
_RACE: Final = frozenset({"ConditionalRequestConflict", "OperationAborted", "409"})
_MISSING: Final = frozenset({"NoSuchKey", "NotFound", "404"})
_SKEWED: Final = frozenset({"RequestTimeTooSkewed"})
_FULL: Final = frozenset({"QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "507"})


def code_of(error: ClientError) -> str:
    """Return the store's error code."""
    return str(error.response.get("Error", {}).get("Code", ""))


def is_missing(error: ClientError) -> bool:
    """Return whether the store says that the key is not there."""
    return code_of(error) in _MISSING


def is_taken(error: ClientError) -> bool:
    """Return whether a conditional put found the key taken."""
    return code_of(error) in _TAKEN


def is_race(error: ClientError) -> bool:
    """Return whether a conditional put met another one under way; the same request is to be repeated."""
    return code_of(error) in _RACE


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Run a block of calls for *what* (operation and place, no secret); whatever boto3 raises becomes one of our errors."""
    try:
        yield
    except ClientError as error:
        raise _from_answer(error, what) from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise RefusedError(
            f"{what}: there are no credentials, given or ambient", reason=Reason.STORAGE_DENIED
        ) from error
    except SSLError as error:
        raise RefusedError(
            f"{what}: the server's certificate is not trusted; give its CA in `caSecretRef`", reason=Reason.TLS_FAILED
        ) from error
    except (BotoConnectionError, HTTPClientError) as error:
        raise UnavailableError(
            f"{what}: the server does not answer ({type(error).__name__})", reason=Reason.STORAGE_UNREACHABLE
        ) from error
    except BotoCoreError as error:
        raise RefusedError(f"{what}: {type(error).__name__}", reason=Reason.STORAGE_DENIED) from error
    except (OSError, ValueError) as error:
        raise UnavailableError(f"{what}: {type(error).__name__}", reason=Reason.STORAGE_UNREACHABLE) from error


def _from_answer(error: ClientError, what: str) -> DbcustodyError:
    code = code_of(error)
    if code in _TAKEN | _RACE:
        return ConflictError(f"{what}: somebody else wrote it first ({code})")
    if code in _DENIED:
        return RefusedError(
            f"{what}: is refused ({code}); check the credentials and their rights", reason=Reason.STORAGE_DENIED
        )
    if code in _NO_BUCKET | _MISSING:
        return RefusedError(
            f"{what}: there is no such bucket ({code}); check bucket, region, endpoint", reason=Reason.BUCKET_NOT_FOUND
        )
    if code in _FULL:
        return UnavailableError(f"{what}: the store is full ({code})", reason=Reason.STORAGE_FULL)
    if code in _SKEWED:
        return UnavailableError(
            f"{what}: our clock and the store's differ too much ({code})", reason=Reason.STORAGE_UNREACHABLE
        )
    return UnavailableError(f"{what}: the store answers {code or 'with an error'}", reason=Reason.STORAGE_UNREACHABLE)
