"""What S3 and the network say, in our words: sorted by what helps.

Only the store's error code is repeated, never its message: some stores quote the request there, signature and all.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    SSLError,
)
from botocore.exceptions import (
    ConnectionError as BotoConnectionError,
)
from urllib3.exceptions import HTTPError

from dbcustody.errors import ConflictError, DamagedError, DbcustodyError, RefusedError, UnavailableError
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

_DENIED: Final = frozenset({
    "AccessDenied", "AccountProblem", "AllAccessDisabled", "ExpiredToken", "Forbidden", "InvalidAccessKeyId", "InvalidSecurity",
    "InvalidToken", "NotSignedUp", "SignatureDoesNotMatch", "XAdminNoSuchUser", "401", "403",
})  # fmt: skip
_NO_BUCKET: Final = frozenset({
    "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "InvalidBucketName", "NoSuchBucket", "PermanentRedirect", "301",
})  # fmt: skip
_TAKEN: Final = frozenset({"PreconditionFailed", "412"})
_RACE: Final = frozenset({"ConditionalRequestConflict", "OperationAborted", "409"})
_MISSING: Final = frozenset({"NoSuchKey", "NotFound", "404"})
_FULL: Final = frozenset({"InsufficientStorage", "QuotaExceeded", "XMinioStorageFull", "507"})
_UNKNOWN_REQUEST: Final = frozenset({"MethodNotAllowed", "NotImplemented", "405", "501"})
_REFUSALS: Final = (
    (_DENIED, Reason.STORAGE_DENIED, "is refused ({code}); check the credentials and their rights"),
    (
        _NO_BUCKET | _MISSING,
        Reason.BUCKET_NOT_FOUND,
        "there is no such bucket ({code}); check bucket, region, endpoint",
    ),
    (_UNKNOWN_REQUEST, Reason.NOT_CONFORMANT, "the store does not know this request ({code})"),
    (
        {"RequestTimeTooSkewed"},
        Reason.STORAGE_UNREACHABLE,
        "our clock and the store's differ too much, set them right ({code})",
    ),
)
_UNTRUSTED: Final = (
    "CERTIFICATE_VERIFY_FAILED",
    "NO_CERTIFICATE_OR_CRL_FOUND",
    "doesn't match",
    "No such file",
    "Permission denied",
)
"""Words of OpenSSL and urllib3 for a certificate, or a file of authorities, that does not do."""
_NO_TLS: Final = ("WRONG_VERSION_NUMBER", "record layer failure", "UNEXPECTED_MESSAGE")
_TOO_MANY_REQUESTS: Final = 429
_REQUEST_TIMEOUT: Final = 408
_SERVER_ERROR: Final = 500


class RaceError(UnavailableError):
    """Another conditional request for the same key is under way; the same request is to be repeated."""

    default_reason = Reason.STORAGE_UNREACHABLE


def code_of(error: ClientError) -> str:
    """Return the store's error code."""
    return str(error.response.get("Error", {}).get("Code", ""))


def is_missing(error: ClientError) -> bool:
    """Return whether the store says that the key is not there."""
    return code_of(error) in _MISSING


def is_taken(error: ClientError) -> bool:
    """Return whether the store says that a condition of the request does not hold."""
    return code_of(error) in _TAKEN


def is_passing(error: BaseException) -> bool:
    """Return whether the store, as it is now, could not answer: the same request may succeed in a moment."""
    return isinstance(error, UnavailableError) and error.reason is Reason.STORAGE_UNREACHABLE


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Run a block of calls for *what* (operation and place, no secret); whatever boto3 raises becomes one of our errors."""
    try:
        yield
    except ClientError as error:
        raise _from_answer(error, what) from error
    except (BotoCoreError, HTTPError, OSError, ValueError) as error:
        raise _from_failure(error, what) from error


def _from_failure(error: Exception, what: str) -> DbcustodyError:
    """Return our word for a request that got no whole answer."""
    text = str(error)
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return RefusedError(f"{what}: there are no credentials, given or ambient", reason=Reason.STORAGE_DENIED)
    if isinstance(error, FlexibleChecksumError):
        return DamagedError(f"{what}: what arrived does not fit its checksum")
    if isinstance(error, SSLError) and any(words in text for words in _UNTRUSTED):
        return RefusedError(
            f"{what}: the certificate of {_server(error)} is not trusted: its issuer or its host name; "
            "give its CA in `caSecretRef` and its name in `endpoint`",
            reason=Reason.TLS_FAILED,
        )
    if isinstance(error, SSLError) and any(words in text for words in _NO_TLS):
        return RefusedError(
            f"{what}: {_server(error)} does not speak TLS; check http:// or https:// in `endpoint`",
            reason=Reason.TLS_FAILED,
        )
    if isinstance(error, BotoConnectionError | HTTPClientError | IncompleteReadError | HTTPError | OSError):
        return UnavailableError(
            f"{what}: {_server(error)} does not answer ({type(error).__name__}); check endpoint and network policies",
            reason=Reason.STORAGE_UNREACHABLE,
        )
    return RefusedError(
        f"{what}: cannot be asked for ({type(error).__name__}); check bucket, region, endpoint",
        reason=Reason.BUCKET_NOT_FOUND,
    )


def _server(error: Exception) -> str:
    """Return the host and port that was asked, if the error knows them; never a whole URL."""
    url = getattr(error, "kwargs", {}).get("endpoint_url")
    host = urlsplit(url).netloc.rpartition("@")[2] if isinstance(url, str) else ""
    return host or "the store"


def _from_answer(error: ClientError, what: str) -> DbcustodyError:
    """Return our word for an answer that says no."""
    code = code_of(error)
    if code in _TAKEN:
        return ConflictError(f"{what}: somebody else wrote it first ({code})")
    if code in _RACE:
        return RaceError(f"{what}: others keep writing it ({code})")
    for codes, reason, text in _REFUSALS:
        if code in codes:
            return RefusedError(f"{what}: {text.format(code=code)}", reason=reason)
    if code in _FULL:
        return UnavailableError(f"{what}: the store is full ({code})", reason=Reason.STORAGE_FULL)
    return _from_status(error, what, code or "an error")


def _from_status(error: ClientError, what: str, code: str) -> DbcustodyError:
    """Return our word for a code that we do not know, by its HTTP status: 5xx, 408 and 429 pass, other 4xx do not."""
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if status >= _SERVER_ERROR or status in {0, _REQUEST_TIMEOUT, _TOO_MANY_REQUESTS}:
        return UnavailableError(f"{what}: the store answers {code}; wait", reason=Reason.STORAGE_UNREACHABLE)
    return RefusedError(f"{what}: the store refuses the request ({code})", reason=Reason.STORAGE_UNREACHABLE)
