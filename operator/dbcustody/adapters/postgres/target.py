"""Where a database is and how it is spoken to, in libpq's words, for our own sessions and for the clients we run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

CONNECT_TIMEOUT_SECONDS: Final = 10
_KEEPALIVES: Final = {
    "keepalives": "1",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "6",
    "tcp_user_timeout": "120000",
}
"""A dead network is noticed within two minutes instead of two hours; the user timeout is in milliseconds."""
SYSTEM_CA_FILES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)
"""Where distributions keep the authorities that everybody trusts; used when verification is wanted and no CA is given."""
_VERIFYING: Final = frozenset({"verify-ca", "verify-full"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresTarget:
    """One database as one role sees it.

    *host* and *port* are libpq's: several of each stand separated by commas, a host that begins with a slash is the folder of a unix
    socket. *password* None means: none was given (trust, peer, a client's own means).
    """

    host: str
    port: str
    database: str
    user: str
    password: str | None = field(default=None, repr=False)
    sslmode: str = "require"
    ca_file: str | None = None
    target_session_attributes: str = "any"
    application: str = "dbcustody"
    convention: str = ""
    """How the Secret was recognised, for people."""
    hints: tuple[str, ...] = ()
    """What was noticed in the Secret and may explain a failure, for people; no secret is in it."""
    options: str = ""
    """`-c name=value` settings that a client sends when it connects; see `session_options`."""

    @property
    def endpoint(self) -> str:
        """Return `host:port` for people, separated by commas when there are several; a socket's folder stands alone."""
        hosts = self.host.split(",")
        ports = self.port.split(",") * (1 if "," in self.port else len(hosts))
        return ",".join(_endpoint(host, port) for host, port in zip(hosts, ports, strict=False))

    def at(self, database: str) -> PostgresTarget:
        """Return the same server and role at another *database*."""
        return replace(self, database=database)

    def parameters(self) -> dict[str, str]:
        """Return libpq's connection parameters for a session of our own; the password is among them."""
        found = {
            "host": self.host,
            "port": self.port,
            "dbname": self.database,
            "user": self.user,
            "password": self.password,
            "sslmode": self.sslmode,
            "sslrootcert": self._root_certificate(),
            "application_name": self.application,
            "target_session_attrs": self.target_session_attributes,
            "connect_timeout": str(CONNECT_TIMEOUT_SECONDS),
            "gssencmode": "disable",
        }
        return {name: text for name, text in found.items() if text} | _KEEPALIVES

    def environment(self) -> dict[str, str]:
        """Return the variables that make pg_dump, pg_restore and psql speak to this database; nothing of it may stand in argv."""
        found = {
            "PGHOST": self.host,
            "PGPORT": self.port,
            "PGDATABASE": self.database,
            "PGUSER": self.user,
            "PGPASSWORD": self.password,
            "PGSSLMODE": self.sslmode,
            "PGSSLROOTCERT": self._root_certificate(),
            "PGAPPNAME": self.application,
            "PGTARGETSESSIONATTRS": self.target_session_attributes,
            "PGCONNECT_TIMEOUT": str(CONNECT_TIMEOUT_SECONDS),
            "PGGSSENCMODE": "disable",
            "PGOPTIONS": self.options,
        }
        return {name: text for name, text in found.items() if text}

    def _root_certificate(self) -> str | None:
        """Return the CA file; without one, verification takes the system's authorities, and encryption alone takes none."""
        if self.ca_file:
            return self.ca_file
        if self.sslmode in _VERIFYING:
            return next((path for path in SYSTEM_CA_FILES if Path(path).is_file()), None)
        return None


def _endpoint(host: str, port: str) -> str:
    if host.startswith(("/", "@")):
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
