"""What PostgreSQL and libpq complain about, in our words: sorted by what helps.

SQLSTATE decides where there is one (https://www.postgresql.org/docs/current/errcodes-appendix.html); libpq and pg_dump give only text.
Values never pass: server messages keep their first line, and what they quote is left out unless it is the name of an object.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import psycopg

from dbcustody.errors import DbcustodyError, RefusedError, UnavailableError
from dbcustody.guidance import GUIDANCE
from dbcustody.reason import ExitCode, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

_BY_STATE: Final = {
    "28P01": Reason.AUTHENTICATION_FAILED,
    "28000": Reason.AUTHENTICATION_FAILED,
    "3D000": Reason.DATABASE_MISSING,
    "42P04": Reason.TARGET_EXISTS,
    "55P03": Reason.LOCK_NOT_OBTAINED,
    "40P01": Reason.LOCK_NOT_OBTAINED,
    "XX001": Reason.DATA_CORRUPTION,
    "XX002": Reason.DATA_CORRUPTION,
    "42501": Reason.PRIVILEGES_MISSING,
    "42P01": Reason.SCHEMA_CHANGED,
    "3F000": Reason.SCHEMA_CHANGED,
    "25P03": Reason.CONNECTION_LOST,
    "25P04": Reason.CONNECTION_LOST,
    "40001": Reason.CONNECTION_LOST,
    "57014": Reason.CONNECTION_LOST,
    "53100": Reason.SERVER_FULL,
}
_BY_CLASS: Final = {"08": Reason.CONNECTION_LOST, "53": Reason.CONNECTION_LOST, "57": Reason.CONNECTION_LOST}

_BY_TEXT: Final = (
    (
        Reason.DATA_CORRUPTION,
        (
            r"(missing|unexpected) chunk number|invalid page in block|could not read (block|blocks)|"
            r"could not (open|read) file \"?(base|pg_tblspc|global)/|compressed .* is corrupt|could not access status of transaction|"
            r"invalid memory alloc request size|toast value .* (missing|corrupt)|found xmin|xmin .* precedes|unexpected zero page"
        ),
    ),
    (Reason.RECOVERY_CONFLICT, r"conflict with recovery|recovery conflict"),
    (Reason.SERVER_FULL, r"No space left on device"),
    (
        Reason.AUTHENTICATION_FAILED,
        r"authentication failed|no password supplied|no pg_hba\.conf entry|pg_hba\.conf rejects",
    ),
    (Reason.AUTHENTICATION_FAILED, r"role \S+ does not exist|no such user|role \S+ is not permitted to log in"),
    (Reason.DATABASE_MISSING, r"FATAL: +database \S+ does not exist|no such database"),
    (Reason.CONNECTION_LOST, r"SSL SYSCALL|unexpected eof while reading"),
    (Reason.POOLER_REFUSED, r"unsupported startup parameter|prepared statement \S+ (already exists|does not exist)"),
    (
        Reason.TLS_FAILED,
        (
            r"does not support SSL|SSL error|certificate verify failed|root certificate|server certificate|sslrootcert|"
            r"private key file|tlsv1|SSL negotiation|could not get server's host name|sslmode value"
        ),
    ),
    (
        Reason.HOST_UNREACHABLE,
        (
            r"could not translate host name|Name or service not known|Temporary failure in name resolution|Connection refused|"
            r"No route to host|Network is unreachable|timeout expired|[Tt]imed out|No such file or directory|"
            r"connection is bad|not known|session is (not )?read-only|server is (not )?in hot standby"
        ),
    ),
    (Reason.LOCK_NOT_OBTAINED, r"lock timeout|could not obtain lock|deadlock detected"),
    (Reason.PRIVILEGES_MISSING, r"permission denied|must be owner|row-level security policy|must be superuser"),
    (
        Reason.SCHEMA_CHANGED,
        (
            r"cache lookup failed|could not open relation with OID|relation \S+ does not exist|schema with OID|"
            r"could not find parent extension|no such attribute"
        ),
    ),
    (
        Reason.CONNECTION_LOST,
        (
            r"server closed the connection|terminating connection|connection to server was lost|the connection is (closed|lost)|"
            r"is starting up|is shutting down|is not yet accepting|in recovery mode|too many (clients|connections)|"
            r"remaining connection slots|Connection reset|Broken pipe|no connection to the server|"
            r"canceling statement|could not receive data|could not send data|out of memory"
        ),
    ),
)
_PATTERNS: Final = tuple((reason, re.compile(pattern, re.IGNORECASE)) for reason, pattern in _BY_TEXT)

_NAMING_WORDS: Final = frozenset(
    {
        "relation",
        "table",
        "schema",
        "database",
        "column",
        "constraint",
        "sequence",
        "function",
        "view",
        "index",
    }
    | {"extension", "at", "parameter", "policy", "name", "type", "partition", "server", "file", "host"}
)
"""Behind these words PostgreSQL quotes the name of an object; behind any other it may quote a value. Roles are left out on purpose:
who connects never stands beside where to."""
_OPENING: Final = re.compile(r"""(?P<word>\w*)\s*(?P<mark>["«»„])""")
_CLOSING: Final = {'"': '"', "«": "»", "»": "«", "„": "“"}
_LITERAL: Final = re.compile(r"(?<![A-Za-z])'(?:.*'|.*$)", re.DOTALL)
"""To the last mark, or to the end: what is quoted may have such marks in it, and nobody escapes them."""
_SEVERITY: Final = re.compile(r"^\s*(?:pg_\w+: )?(?:error: |warning: )*(?:query failed: )?(?:ERROR: +)?", re.IGNORECASE)
_LATER_LINES: Final = re.compile(
    r"^\s*(DETAIL|HINT|CONTEXT|LINE \d+|STATEMENT|QUERY|LOCATION)\b|^\s*\^|^pg_\w+: (detail|hint|warning):",
    re.IGNORECASE,
)
_PREFACE: Final = re.compile(
    r"(?:connection failed: )?connection to server (?:at|on socket) \"[^\"]*\"(?: \([^)]*\))?(?:, port \d+)? failed: ",
    re.IGNORECASE,
)
"""What libpq says before the point; the message names the address already."""
_OWN_ERROR: Final = re.compile(r"pg_\w+: (error|FATAL|PANIC):")
"""Any other line may be the middle of a value."""
_FEW_LINES: Final = 3
"""A complaint that is not the program's own, as the loader's about a missing library, is told whole when it is short."""
_FROM_SERVER: Final = re.compile(r"^pg_\w+: detail: Error message from server: (?:ERROR: +)?", re.MULTILINE)
_LONGEST: Final = 600
_RAISING: Final = frozenset({"exec_stmt_raise", "exec_stmt_assert"})
"""What of PL/pgSQL speaks for code in the database: it puts anything into a message, and quotes nothing."""
_RAISING_FILES: Final = frozenset({"plpy_elog.c", "plpymodule.c", "plperl.c", "pltcl.c"})
"""What of other languages does (PL/Python, PL/Perl, PL/Tcl)."""
_PASSING_ON: Final = frozenset({"pgfdw_report_error", "pgfdw_report_internal", "dblink_res_error"})
"""What passes on the words of another server (postgres_fdw, dblink), where code may have raised them."""
_RAISED: Final = "code in the database raised an exception, whose words may hold values of rows; run the statement by hand to read them"


def redact(text: str) -> str:
    """Return what *text*, a message of server or client, may tell: its own words and names of objects, no quoted value, no DETAIL."""
    kept: list[str] = []
    for line in text.splitlines():
        if _LATER_LINES.match(line):
            break
        if line.strip():
            kept.append(line.strip())
    joined = _LITERAL.sub("'…'", _without_values(_PREFACE.sub("", "; ".join(kept))))
    return joined if len(joined) <= _LONGEST else joined[: _LONGEST - 1] + "…"


def is_raised(error: psycopg.Error) -> bool:
    """Return whether *error* is of code in the database that raised it: its words are no server's, nor are its names."""
    diag = error.diag
    return diag.source_function in _RAISING | _PASSING_ON or diag.source_file in _RAISING_FILES


def said_by(error: psycopg.Error, text: str = "") -> str:
    """Return what *error* may tell, which the statement *text* ended with.

    What code in the database raised is told only where it stands in *text* as a literal: then nothing was put into it.
    """
    said = error.diag.message_primary or str(error)
    if is_raised(error) and f"'{said}'" not in text.replace("''", "'"):
        return _RAISED
    return redact(said)


def explain(error: psycopg.Error, what: str, *, otherwise: Reason = Reason.DUMP_FAILED) -> DbcustodyError:
    """Return *error*, which happened during *what*, as one of ours; what fits nothing gets the reason *otherwise*."""
    text = error.diag.message_primary or str(error)
    reason = classify(text, error.sqlstate)
    if reason is None and isinstance(error, psycopg.OperationalError):
        reason = Reason.CONNECTION_LOST
    state = f" (SQLSTATE {error.sqlstate})" if error.sqlstate else ""
    return make_error(reason or otherwise, f"{what}: {said_by(error)}{state}")


def explain_text(text: str, what: str, *, otherwise: Reason = Reason.DUMP_FAILED) -> DbcustodyError:
    """Return the complaint of a client program, its standard error *text*, as one of ours."""
    lines = text.splitlines()
    said = next((line for line in lines if _OWN_ERROR.match(line)), text if len(lines) <= _FEW_LINES else "")
    told = redact(_SEVERITY.sub("", said)) or "it said nothing"
    server = _FROM_SERVER.search(text)
    if server is not None:
        told = f"{told.rstrip('.')}: {redact(text[server.end() :])}"
    return make_error(classify(text) or otherwise, f"{what}: {told}")


def classify(text: str, sqlstate: str | None = None) -> Reason | None:
    """Return the reason for a complaint, or None when it fits none; corruption and recovery conflicts show only in the text."""
    for reason, pattern in _PATTERNS[:2]:
        if pattern.search(text):
            return reason
    if sqlstate and (found := _BY_STATE.get(sqlstate) or _BY_CLASS.get(sqlstate[:2])) and not _is_protocol(sqlstate):
        return found
    return next((reason for reason, pattern in _PATTERNS if pattern.search(text)), None)


def guess_by_name(text: str, *, user: str, database: str) -> Reason | None:
    """Return what a server means that refuses a connection in another language: it quotes the user, or it quotes the database.

    libpq passes no SQLSTATE on before a session stands, and the server speaks the language of its `lc_messages`.
    """
    if _quotes(text, user):
        return Reason.AUTHENTICATION_FAILED
    return Reason.DATABASE_MISSING if _quotes(text, database) else None


@contextmanager
def translated(what: str, *, otherwise: Reason = Reason.DUMP_FAILED) -> Iterator[None]:
    """Run a block of statements for *what* (an action and a place, no secret); whatever psycopg raises becomes one of our errors."""
    try:
        yield
    except psycopg.Error as error:
        raise explain(error, what, otherwise=otherwise) from error


def _is_protocol(sqlstate: str) -> bool:
    """Poolers say nearly everything with 08P01; their text is the better witness."""
    return sqlstate == "08P01"


def _quotes(text: str, name: str) -> bool:
    return re.search(rf"[\"'«»„“”]\s*{re.escape(name)}\s*[\"'«»„“”]", text) is not None


def _without_values(text: str) -> str:
    """Return *text* with what it quotes left out, but for names: from the first such mark to the last, for a value may have marks in it."""
    kept, at = [], 0
    while (opening := _OPENING.search(text, at)) is not None:
        closing, begin = _CLOSING[opening["mark"]], opening.end()
        is_name = opening["word"].lower() in _NAMING_WORDS
        end = text.find(closing, begin) if is_name else text.rfind(closing, begin)
        if is_name and end >= 0:
            kept.append(text[at : end + 1])
        else:
            kept.append(f'{text[at : opening.start("mark")]}"…"')
        at = end + 1 if end >= 0 else len(text)
    return "".join(kept) + text[at:]


def make_error(reason: Reason, message: str) -> DbcustodyError:
    """Return an error of the class that fits *reason*: whether trying again can help decides."""
    kind = UnavailableError if GUIDANCE[reason].exit_code is ExitCode.UNAVAILABLE else RefusedError
    return kind(message, reason=reason)
