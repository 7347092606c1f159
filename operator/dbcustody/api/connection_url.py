"""Connection URLs as people have them: libpq's own, with what Prisma, SQLAlchemy, JDBC and Heroku put into them.

libpq's grammar (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS) with two liberties that nobody can
regret: a raw `@` in a password, and the driver's name behind a `+`. What is not understood is named, never guessed. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

SCHEMES: Final = frozenset({"postgres", "postgresql"})
_SCHEME = re.compile(
    r"^(?:jdbc:)?(?P<scheme>[A-Za-z][A-Za-z0-9.-]*)(?:\+(?P<driver>[A-Za-z0-9_]+))?://(?P<rest>.*)$", re.DOTALL
)
_ADDRESS = re.compile(r"^(?:\[(?P<six>[^]]*)\]|(?P<plain>[^:\[\]]*))(?::(?P<port>\d{0,5}))?$")
_PORT = re.compile(r"\d{1,5}")
_ESCAPE = re.compile(r"%(?P<digits>[0-9A-Fa-f]{2})?")
DEFAULT_PORT: Final = "5432"


class UrlError(ValueError):
    """The text is not a connection URL; the message says why and quotes nothing of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionUrl:
    """What a URL says; None means: it does not say.

    *host* and *port* are libpq's lists, separated by commas. *parameters* are those that are not about where, who and which database.
    """

    host: str | None = None
    port: str | None = None
    database: str | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    parameters: dict[str, str] = field(default_factory=dict, repr=False)


def parse_url(text: str) -> ConnectionUrl:
    """Return what the connection URL *text* says; raises UrlError for anything else."""
    match = _SCHEME.match(text.strip())
    if match is None:
        raise UrlError("is not a URL; must be postgresql://user:password@host:port/database")
    if match["scheme"].lower() not in SCHEMES:
        raise UrlError(f"has the scheme {match['scheme'][:20]!r}; must be postgresql")
    credentials, authority, path, query = _split(match["rest"])
    user, _, password = credentials.partition(":")
    host, port = _parse_addresses(authority)
    parameters = _parse_query(query)
    return ConnectionUrl(
        host=parameters.pop("host", "") or host,
        port=_checked_ports(parameters.pop("port", "") or port),
        database=parameters.pop("dbname", "") or decode_percent(path) or None,
        user=parameters.pop("user", "") or decode_percent(user) or None,
        password=parameters.pop("password", "") or decode_percent(password) or None,
        parameters=parameters,
    )


def decode_percent(text: str) -> str:
    """Return *text* with its %XX escapes as UTF-8; raises UrlError for a lone percent sign or a zero byte."""
    if any(match["digits"] in {None, "00"} for match in _ESCAPE.finditer(text)):
        raise UrlError("has a '%' that begins no escape; write '%25' for a percent sign")
    raw = re.sub(rb"%([0-9A-Fa-f]{2})", lambda match: bytes.fromhex(match[1].decode()), text.encode())
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise UrlError("has escapes that are not UTF-8") from error


def _split(rest: str) -> tuple[str, str, str, str]:
    """Return credentials, authority, path and query; credentials end at the last `@` before the first slash, as far as there is one."""
    slash = rest.find("/")
    before, behind = (rest, "") if slash < 0 else (rest[:slash], rest[slash:])
    credentials, _, authority = before.rpartition("@")
    if "?" in authority:
        authority, _, query = authority.partition("?")
        return credentials, authority, "", query + behind
    path, _, query = behind[1:].partition("?")
    return credentials, authority, path, query


def _parse_addresses(authority: str) -> tuple[str | None, str | None]:
    """Return hosts and ports as libpq lists; a port that one of several hosts leaves out is the default one."""
    if not authority:
        return None, None
    hosts, ports = [], []
    for address in authority.split(","):
        match = _ADDRESS.match(address)
        if match is None:
            raise UrlError(
                "has an address that is not host:port; an IPv6 address stands in brackets, ':' in a password is '%3A'"
            )
        hosts.append(decode_percent(match["six"] or match["plain"] or ""))
        ports.append(match["port"] or "")
    port = ",".join(port or DEFAULT_PORT for port in ports) if any(ports) else None
    return ",".join(hosts) if any(hosts) else None, port


def _checked_ports(ports: str | None) -> str | None:
    if ports is not None and not all(is_port(port) for port in ports.split(",")):
        raise UrlError("has a port that is not a number from 1 to 65535")
    return ports


def is_port(text: str) -> bool:
    """Return whether *text* is a TCP port."""
    return _PORT.fullmatch(text) is not None and 1 <= int(text) <= 65_535  # noqa: PLR2004 - the width of the field


def _parse_query(query: str) -> dict[str, str]:
    pairs = (item.partition("=") for item in query.split("&") if item)
    return {decode_percent(name): decode_percent(value) for name, _, value in pairs}
