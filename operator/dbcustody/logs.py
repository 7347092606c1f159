"""Logs: one JSON object a line on standard error, from which no secret gets out even when somebody logs one by mistake.

Redaction is the last processor and looks at every key and every text. It is a net, not a licence: secrets are not logged at all.
structlog loads what draws tracebacks in colours, and is loaded where something is to be logged.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TextIO

if TYPE_CHECKING:
    from collections.abc import MutableMapping

REDACTED: Final = "***"
_SECRET_NAME: Final = re.compile(
    r"pass(word|wd|phrase)?$|pwd$|secret|token|credential|private.?key|access.?key|encryption.?key|keyring|authorization|"
    r"cookie|^dsn$|conninfo|connection.?string|_url$|^url$|^uri$|^detail$",
    re.IGNORECASE,
)
_PLAIN_NAMES: Final = frozenset({"secret_name", "key_id", "key_ids", "token_kind"})
_TELLTALE: Final = r"[\w-]*(?:password|passwd|passphrase|secret|token|access_key|api_key)[\w-]*"
_PATTERNS: Final = (
    (re.compile(r"(?P<front>[A-Za-z][A-Za-z0-9+.-]*://)[^\s/@]*:[^\s@]*@"), r"\g<front>***@"),
    (
        re.compile(
            rf"(?P<front>\b(?:{_TELLTALE})\"?\s*[=:]\s*)(?:\"[^\"]*\"|'[^']*'|[^\s,;&\"']+)",
            re.IGNORECASE,
        ),
        r"\g<front>***",
    ),
    # Behind a name in single quotes only a quoted text is a value: `Secret 'db-secret': is missing` is a sentence.
    (
        re.compile(rf"(?P<front>\b(?:{_TELLTALE})'\s*[=:]\s*)(?:\"[^\"]*\"|'[^']*')", re.IGNORECASE),
        r"\g<front>***",
    ),
    (re.compile(r"\b(?P<front>SCRAM-SHA-256\$)\S+"), r"\g<front>***"),
    (re.compile(r"\b(?P<front>AKIA|ASIA)[0-9A-Z]{16}\b"), r"\g<front>***"),
    (
        re.compile(r"(?P<front>-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL),
        r"\g<front>***",
    ),
)
_DEEPEST: Final = 6


def set_up_logs(stream: TextIO | None = None, *, level: int = logging.INFO) -> None:
    """Send every log record of the process, ours and the libraries', to *stream* (standard error) as redacted JSON lines."""
    import structlog  # noqa: PLC0415 - see the module's docstring

    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.PositionalArgumentsFormatter()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                describe_exception,
                redact_event,
                structlog.processors.JSONRenderer(sort_keys=True),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("boto3", "botocore", "urllib3", "s3transfer"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def set_up_remarks(stream: TextIO | None = None) -> None:
    """Send what is logged on the way to *stream* (standard error) as redacted lines: the output of a person's command is its answer."""
    import structlog  # noqa: PLC0415 - see the module's docstring

    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            describe_exception,
            redact_event,
            structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0),
        ],
        logger_factory=structlog.PrintLoggerFactory(stream or sys.stderr),
    )


def describe_exception(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace an exception in *event* by its class and where it was raised; its text may hold values."""
    found = event.pop("exc_info", None)
    if found is True:
        found = sys.exc_info()[1]
    if isinstance(found, tuple):
        found = found[1]
    if isinstance(found, BaseException):
        event["error"] = type(found).__name__
        event["where"] = where_raised(found)
    return event


def where_raised(error: BaseException) -> list[str]:
    """Return the frames that led to *error*, outermost first, as `module:line function`; no value is in them."""
    frames = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f"{trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return frames[-12:]


def redact_event(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Return *event* with everything that looks like a secret replaced, by the name of its key or by its own look."""
    return {key: _redact_item(key, value, 0) for key, value in event.items()}


def redact_text(text: str) -> str:
    """Return *text* without passwords in URLs and assignments, SCRAM verifiers, AWS key ids and private keys."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def _redact_item(key: str, value: Any, depth: int) -> Any:
    if _SECRET_NAME.search(key) and key not in _PLAIN_NAMES and value is not None:
        return REDACTED
    return _redact_value(value, depth)


def _redact_value(value: Any, depth: int) -> Any:
    if depth > _DEEPEST:
        return REDACTED
    if isinstance(value, Mapping):
        return {str(key): _redact_item(str(key), item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redact_value(item, depth + 1) for item in value]
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    return _redact_scalar(value)


def _redact_scalar(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, BaseException):
        return type(value).__name__
    return redact_text(value if isinstance(value, str) else repr(value))
