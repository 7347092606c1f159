"""Which database a Secret means, whoever made the Secret.

Pure: the content of the Secret's files and what the spec says beside it go in, one answer comes out. Secret text never shows itself:
not in a repr, not in a message.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dbcustody.api.connection_convention import READERS, Convention, Found, refused, unavailable
from dbcustody.api.connection_url import DEFAULT_PORT, UrlError, is_port
from dbcustody.api.database import TlsMode
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dbcustody.api.database import Connection
    from dbcustody.errors import UnavailableError


@dataclass(frozen=True, slots=True)
class SecretText:
    """A text that must be asked for by name to be seen."""

    _text: str

    def reveal(self) -> str:
        """Return the text itself."""
        return self._text

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognised:
    """Where the database is and who we are there.

    *host* and *port* are libpq's lists, separated by commas; a host that begins with a slash is the folder of a unix socket.
    """

    convention: Convention
    host: str
    port: str
    database: str
    user: str
    password: SecretText | None = None
    tls_mode: TlsMode
    ca_file: str | None = None
    """The CA that a URL or PGSSLROOTCERT names; None: none is named."""
    target_session_attributes: str = "any"
    schema: str | None = None
    """Prisma's default schema; a backup takes all of them."""
    hints: tuple[str, ...] = ()
    """What was noticed and may explain a failure, for people."""
    ignored: tuple[str, ...] = ()
    """Names of a URL's parameters that nothing is done about."""


_SSLMODES: Final = {
    "disable": TlsMode.DISABLE,
    "require": TlsMode.REQUIRE,
    "no-verify": TlsMode.REQUIRE,
    "verify-ca": TlsMode.VERIFY_CA,
    "verify-full": TlsMode.VERIFY_FULL,
}
_WEAK_SSLMODES: Final = frozenset({"allow", "prefer"})
_SSL_FLAGS: Final = {
    "true": "require",
    "1": "require",
    "on": "require",
    "false": "disable",
    "0": "disable",
    "off": "disable",
}
_ACTED_ON: Final = frozenset({"sslmode", "ssl", "sslrootcert", "schema", "target_session_attrs"})
_SESSION_ATTRIBUTES: Final = frozenset({"any", "read-write", "read-only", "primary", "standby", "prefer-standby"})


def recognise(files: Mapping[str, str], connection: Connection) -> Recognised:
    """Return the database that the Secret's *files* (key -> content) and the spec's *connection* mean together.

    Raises UnavailableError (SecretNotFound, SecretKeyMissing) naming what is missing, RefusedError (ConventionUnknown) when the keys fit no
    convention or the content contradicts it. What the spec says wins over the Secret.
    """
    usable = _unfold({key: text.strip("\r\n") for key, text in files.items() if text.strip()})
    if not usable:
        raise unavailable(
            connection, "is missing or empty; create it with the connection's keys", Reason.SECRET_NOT_FOUND
        )
    for convention, read in READERS:
        try:
            found = read(usable, connection)
        except UrlError as error:
            raise refused(connection, f"read as {convention.value}, its URL {error}") from error
        if found is not None:
            return _complete(convention, found, connection)
    raise refused(
        connection,
        f"its keys ({', '.join(sorted(usable))[:200]}) fit no known convention; name them in `spec.connection.keyMap`",
    )


def _unfold(files: dict[str, str]) -> dict[str, str]:
    """Return the fields of a single key that holds a JSON object, as AWS Secrets Manager keeps them; any other content as it is.

    Ports are JSON numbers there.
    """
    if len(files) != 1:
        return files
    (text,) = files.values()
    try:
        value = json.loads(text)
    except ValueError:
        return files
    if not isinstance(value, dict):
        return files
    return {str(key): str(item) for key, item in value.items() if isinstance(item, str | int) and str(item).strip()}


def _complete(convention: Convention, found: Found, connection: Connection) -> Recognised:
    host = connection.host or found.host
    database = connection.database or found.database
    if host is None:
        raise _lacks(connection, convention, "host", "spec.connection.host")
    if database is None:
        raise _lacks(connection, convention, "database", "spec.connection.database")
    if found.user is None:
        raise _lacks(connection, convention, "user", "spec.connection.keyMap")
    port = _port(convention, found, connection)
    tls_mode, hints = _choose_tls(found, connection, host)
    return Recognised(
        convention=convention,
        host=host,
        port=port,
        database=database,
        user=found.user,
        password=SecretText(found.password) if found.password is not None else None,
        tls_mode=tls_mode,
        ca_file=found.parameters.get("sslrootcert"),
        target_session_attributes=_session_attributes(found, connection),
        schema=found.parameters.get("schema"),
        hints=hints + _pooler_hints(found),
        ignored=tuple(sorted(name for name in found.parameters if name not in _ACTED_ON)),
    )


def _port(convention: Convention, found: Found, connection: Connection) -> str:
    if connection.port is not None:
        return str(connection.port)
    port = found.port or DEFAULT_PORT
    if not all(is_port(one) for one in port.split(",")):
        raise refused(connection, f"read as {convention.value}, its port is not a number from 1 to 65535")
    return port


def _session_attributes(found: Found, connection: Connection) -> str:
    wanted = found.parameters.get("target_session_attrs", "any")
    if wanted not in _SESSION_ATTRIBUTES:
        raise refused(connection, f"its target_session_attrs must be one of {', '.join(sorted(_SESSION_ATTRIBUTES))}")
    return wanted


def _choose_tls(found: Found, connection: Connection, host: str) -> tuple[TlsMode, tuple[str, ...]]:
    """Return the mode and what is to be said about it: the spec's word, else the Secret's, else the safest that can work.

    libpq's `allow` and `prefer` fall back to plain text, which counts as not having said anything.
    """
    if connection.tls.mode is not None:
        return connection.tls.mode, ()
    if all(one.startswith(("/", "@")) for one in host.split(",")):
        return TlsMode.DISABLE, ()
    said = (found.parameters.get("sslmode") or _SSL_FLAGS.get(found.parameters.get("ssl", "").lower(), "")).lower()
    if said in _SSLMODES:
        return _SSLMODES[said], ()
    if said and said not in _WEAK_SSLMODES:
        raise refused(connection, f"its sslmode must be one of {', '.join(sorted({*_SSLMODES, *_WEAK_SSLMODES}))}")
    has_ca = connection.tls.ca_secret_ref is not None or "sslrootcert" in found.parameters
    mode = TlsMode.VERIFY_FULL if has_ca else TlsMode.REQUIRE
    return mode, (f"sslmode={said} would fall back to plain text, so {mode.value} is used",) if said else ()


def _pooler_hints(found: Found) -> tuple[str, ...]:
    if found.parameters.get("pgbouncer", "").lower() != "true":
        return ()
    return (
        "the URL says pgbouncer=true: it leads to a pooler; use the one that leads to the server (Prisma's directUrl)",
    )


def _lacks(connection: Connection, convention: Convention, what: str, remedy: str) -> UnavailableError:
    return unavailable(
        connection, f"read as {convention.value}, has no {what}; add it or set `{remedy}`", Reason.SECRET_KEY_MISSING
    )
