"""What S3 and the network say, in our words: sorted by what helps.

Only the store's error code is repeated, never its message: some stores quote the request there, signature and all.
"""

from __future__ import annotations

import traceback
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from botocore import parsers
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
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
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from dbcustody.errors import ConflictError, DamagedError, DbcustodyError, RefusedError, UnavailableError
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_DENIED: Final = frozenset({
    "AccessDenied", "AccountProblem", "AllAccessDisabled", "ExpiredToken", "Forbidden", "InvalidAccessKeyId", "InvalidSecurity",
    "InvalidToken", "NotSignedUp", "SignatureDoesNotMatch", "XAdminNoSuchUser", "401", "403",
})  # fmt: skip
_NO_BUCKET: Final = frozenset({
    "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "InvalidBucketName", "NoSuchBucket", "PermanentRedirect", "301",
})  # fmt: skip
_TAKEN: Final = frozenset({"PreconditionFailed", "412"})
_RACE: Final = frozenset({"ConditionalRequestConflict", "OperationAborted", "409"})
_GARBLED: Final = frozenset({"BadDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"})
"""What arrived at the store is not what we sent: the same bytes may arrive whole in a moment."""
_SKEWED: Final = frozenset({"RequestTimeTooSkewed", "RequestInTheFuture"})
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
    (
        _UNKNOWN_REQUEST,
        Reason.NOT_CONFORMANT,
        "the store knows no such request ({code}); if it is about checksums, `checksums: WhenRequired` helps",
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
_EXCHANGE: Final = "AssumeRole"
"""How requests begin that turn a pod's identity into credentials."""
TOO_MANY_REQUESTS: Final = 429
_REQUEST_TIMEOUT: Final = 408
_SERVER_ERROR: Final = 500


class AgainError(UnavailableError):
    """The same request is to be repeated: another one for the same key was under way, or ours was garbled on its way in."""

    default_reason = Reason.STORAGE_UNREACHABLE


class GarbledError(DamagedError):
    """What arrived here is not what the store says that it sent; asked for again, it may be."""


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


def is_to_be_repeated(error: BaseException) -> bool:
    """Return whether the same request is to be sent again at once."""
    return isinstance(error, AgainError)


def check_answered(answer: Mapping[str, Any], what: str, *fields: str) -> None:
    """Raise AgainError for an answer without one of *fields*, or without anything: one that broke off in its head looks like that."""
    if not answer.keys() - {"ResponseMetadata", "Body"} or not answer.keys() >= {*fields}:
        raise AgainError(f"{what}: the answer breaks off before it says anything; check what lies between")


def cause_text(error: BaseException) -> str:
    """Return in a word why a request failed: the store's code, or the kind of failure."""
    cause = error.__cause__
    if cause is None:
        return "an answer that breaks off"
    return (code_of(cause) if isinstance(cause, ClientError) else "") or type(cause).__name__


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Run a block of calls for *what* (operation and place, no secret); whatever boto3 raises becomes one of our errors."""
    try:
        yield
    except ClientError as error:
        is_exchange = error.operation_name.startswith(_EXCHANGE)
        raise (_from_exchange if is_exchange else _from_answer)(error, what) from error
    except (BotoCoreError, HTTPError, OSError, ValueError, ResponseParserError) as error:
        raise _from_failure(error, what) from error


def _from_failure(error: Exception, what: str) -> DbcustodyError:
    """Return our word for a request that got no whole answer."""
    if isinstance(error, NoCredentialsError | PartialCredentialsError | CredentialRetrievalError):
        return RefusedError(f"{what}: there are no credentials, given or ambient", reason=Reason.STORAGE_DENIED)
    if isinstance(error, ResponseParserError) or _came_of_parsing(error):
        return AgainError(f"{what}: the answer is no answer of S3 ({type(error).__name__}); check what lies between")
    if isinstance(error, FlexibleChecksumError):
        return GarbledError(f"{what}: what arrived does not fit its checksum")
    if isinstance(error, SSLError) and (refused := _from_tls(error, what)) is not None:
        return refused
    if isinstance(error, BotoConnectionError | HTTPClientError | IncompleteReadError | HTTPError | OSError):
        return UnavailableError(
            f"{what}: {_server(error)} does not answer ({type(error).__name__}); check endpoint and network policies",
            reason=Reason.STORAGE_UNREACHABLE,
        )
    return RefusedError(
        f"{what}: cannot be asked for ({type(error).__name__}); check bucket, region, endpoint",
        reason=Reason.BUCKET_NOT_FOUND,
    )


def _came_of_parsing(error: Exception) -> bool:
    """Return whether botocore stumbled over an answer: a head that breaks off in a date or a number is a bare ValueError to it."""
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_globals.get("__name__") == parsers.__name__ for frame, _ in frames)


def _from_tls(error: SSLError, what: str) -> RefusedError | None:
    """Return our word for a TLS that does not come about; None for a connection that only broke."""
    text = str(error)
    if any(words in text for words in _UNTRUSTED):
        return RefusedError(
            f"{what}: the certificate of {_server(error)} is not trusted: its issuer or its host name; "
            "give its CA in `caSecretRef` and its name in `endpoint`",
            reason=Reason.TLS_FAILED,
        )
    if any(words in text for words in _NO_TLS):
        return RefusedError(
            f"{what}: {_server(error)} does not speak TLS; check http:// or https:// in `endpoint`",
            reason=Reason.TLS_FAILED,
        )
    return None


def _server(error: Exception) -> str:
    """Return the host and port that was asked, if the error knows them; never a whole URL."""
    url = getattr(error, "kwargs", {}).get("endpoint_url")
    host = urlsplit(url).netloc.rpartition("@")[2] if isinstance(url, str) else ""
    return host or "the store"


def _from_exchange(error: ClientError, what: str) -> DbcustodyError:
    """Return our word for a token service that gives no credentials for the pod's identity."""
    code = code_of(error) or "an error"
    if _status_of(error) >= _SERVER_ERROR:
        return UnavailableError(
            f"{what}: the service for the pod's identity answers {code}; wait", reason=Reason.STORAGE_UNREACHABLE
        )
    return RefusedError(
        f"{what}: the pod's identity gives no credentials ({code}); check the ServiceAccount, the role and whom it trusts",
        reason=Reason.STORAGE_DENIED,
    )


def _from_answer(error: ClientError, what: str) -> DbcustodyError:
    """Return our word for an answer that says no."""
    code = code_of(error)
    if code in _TAKEN:
        return ConflictError(f"{what}: somebody else wrote it first ({code})")
    if code in _RACE | _GARBLED:
        others = "others keep writing it" if code in _RACE else "what arrives at the store is not what we send"
        return AgainError(f"{what}: {others} ({code})")
    if code in _SKEWED:
        return RefusedError(f"{what}: {_skew_text(error)} ({code})", reason=Reason.STORAGE_UNREACHABLE)
    for codes, reason, text in _REFUSALS:
        if code in codes:
            return RefusedError(f"{what}: {text.format(code=code)}", reason=reason)
    if code in _FULL:
        return UnavailableError(f"{what}: the store is full ({code})", reason=Reason.STORAGE_FULL)
    return _from_status(error, what, code or "an error")


def _status_of(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def date_of(answer: Mapping[str, Any]) -> datetime | None:
    """Return the time that the store wrote on its answer; None without one, or with one that breaks off."""
    text = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    try:
        return parsedate_to_datetime(text) if text else None
    except ValueError:
        return None


def _skew_text(error: ClientError) -> str:
    """Return how far the clocks are apart, as far as the store tells its own."""
    theirs = date_of(error.response)
    if theirs is None:
        return "our clock and the store's differ too much, set them right"
    behind = round((theirs - datetime.now(UTC)).total_seconds())
    which = f"{behind} s behind" if behind > 0 else f"{-behind} s ahead of"
    return f"our clock is {which} the store's and S3 bears with 900 s, set them right"


def _from_status(error: ClientError, what: str, code: str) -> DbcustodyError:
    """Return our word for a code that we do not know, by its HTTP status: 5xx, 408 and 429 pass, other 4xx do not."""
    status = _status_of(error)
    if status >= _SERVER_ERROR or status in {0, _REQUEST_TIMEOUT, TOO_MANY_REQUESTS}:
        return UnavailableError(f"{what}: the store answers {code}; wait", reason=Reason.STORAGE_UNREACHABLE)
    return RefusedError(f"{what}: the store refuses the request ({code})", reason=Reason.STORAGE_UNREACHABLE)
