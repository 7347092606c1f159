"""What each convention for a connection's Secret says, and how it is told apart by its keys.

One reader per convention; the first that speaks decides. Pure, and no message quotes a value that may be secret.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from dbcustody.api.connection_url import ConnectionUrl, parse_url
from dbcustody.api.database import Connection
from dbcustody.errors import RefusedError, UnavailableError
from dbcustody.reason import Reason


class Convention(StrEnum):
    """Who made the Secret, as far as its keys tell."""

    KEY_MAP = "KeyMap"
    SERVICE_BINDING = "ServiceBinding"
    CLOUD_NATIVE_PG = "CloudNativePG"
    CRUNCHY = "Crunchy"
    ZALANDO = "Zalando"
    RDS = "RDS"
    CROSSPLANE = "Crossplane"
    URL = "URL"
    LIBPQ = "Libpq"
    FIELDS = "Fields"
    BASIC_AUTH = "BasicAuth"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a convention's reader makes of the files; None means: not there."""

    host: str | None = None
    port: str | None = None
    database: str | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    parameters: Mapping[str, str] = field(default_factory=dict, repr=False)


Files = Mapping[str, str]
Reader = Callable[[Files, Connection], Found | None]

_URL_KEYS: Final = (
    "url",
    "uri",
    "DATABASE_URL",
    "POSTGRES_URL",
    "database_url",
    "postgres_url",
    "connectionString",
    "dsn",
)
_USER_KEYS: Final = ("username", "user")
_DATABASE_KEYS: Final = ("database", "dbname", "db")
_ZALANDO_NAME: Final = ".credentials.postgresql.acid.zalan.do"
_KEY_MAP_FIELDS: Final = ("host", "port", "database", "user", "password", "url", "sslmode")
_POSTGRES_ENGINES: Final = frozenset({"postgres", "postgresql", "aurora-postgresql", "postgis"})


def _read_key_map(files: Files, connection: Connection) -> Found | None:
    if not connection.key_map:
        return None
    for what, key in connection.key_map.items():
        if what not in _KEY_MAP_FIELDS:
            raise refused(
                connection, f"`spec.connection.keyMap` knows no {what!r}; it may name {', '.join(_KEY_MAP_FIELDS)}"
            )
        if key not in files:
            raise unavailable(
                connection,
                f"has no key {key!r}, which `spec.connection.keyMap` names for {what}",
                Reason.SECRET_KEY_MISSING,
            )
    given = {what: files[key] for what, key in connection.key_map.items()}
    base = _from_url(parse_url(given["url"])) if "url" in given else Found()
    said = {what: given[what] for what in ("host", "port", "database", "user", "password") if what in given}
    tls = {"sslmode": given["sslmode"]} if "sslmode" in given else {}
    return replace(base, **said, parameters={**base.parameters, **tls})


def _read_service_binding(files: Files, connection: Connection) -> Found | None:
    """https://servicebinding.io/spec/core/1.1.0/#well-known-secret-entries; the database's name is not among them, only usual."""
    kind = files.get("type")
    if kind is None or not files.keys() & {"host", "uri", "provider"}:
        return None
    if kind.lower() not in _POSTGRES_ENGINES:
        raise refused(connection, f"its `type` is {kind[:20]!r}; must be postgresql")
    base = _from_url(parse_url(files["uri"])) if "uri" in files else Found()
    return _over(base, _fields(files))


def _read_cloud_native_pg(files: Files, _: Connection) -> Found | None:
    """`host` is only the Service's short name; `fqdn-uri` also holds from other namespaces."""
    if "pgpass" not in files and "fqdn-uri" not in files:
        return None
    text = files.get("fqdn-uri") or files.get("uri")
    base = _from_url(parse_url(text)) if text else Found()
    return _over(_fields(files), base)


def _read_crunchy(files: Files, _: Connection) -> Found | None:
    """`pgbouncer-*` keys stand beside; they lead to a transaction pooler and are never used."""
    if not files.keys() >= {"verifier", "user"}:
        return None
    base = _from_url(parse_url(files["uri"])) if "uri" in files else Found()
    return _over(base, _fields(files))


def _read_zalando(files: Files, connection: Connection) -> Found | None:
    """Two keys, and a name that says user, cluster and perhaps namespace; host and database come from the spec."""
    return _fields(files) if connection.secret_ref.name.endswith(_ZALANDO_NAME) else None


def _read_rds(files: Files, connection: Connection) -> Found | None:
    """https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_secret_json_structure.html."""
    if not files.keys() >= {"engine", "host"}:
        return None
    if files["engine"].lower() not in _POSTGRES_ENGINES:
        raise refused(connection, f"its `engine` is {files['engine'][:20]!r}; must be postgres")
    return _fields(files)


def _read_crossplane(files: Files, _: Connection) -> Found | None:
    """`endpoint` may carry the port."""
    if "endpoint" not in files:
        return None
    base = _from_url(parse_url(f"postgresql://{files['endpoint']}"))
    return _over(_fields(files), Found(host=base.host, port=base.port))


def _read_url(files: Files, _: Connection) -> Found | None:
    text = next((files[key] for key in _URL_KEYS if key in files), None)
    return None if text is None else _from_url(parse_url(text))


def _read_libpq(files: Files, _: Connection) -> Found | None:
    if not files.keys() & {"PGHOST", "PGDATABASE", "PGUSER"}:
        return None
    named = {"PGSSLMODE": "sslmode", "PGSSLROOTCERT": "sslrootcert", "PGTARGETSESSIONATTRS": "target_session_attrs"}
    return Found(
        host=files.get("PGHOST"),
        port=files.get("PGPORT"),
        database=files.get("PGDATABASE"),
        user=files.get("PGUSER"),
        password=files.get("PGPASSWORD"),
        parameters={parameter: files[key] for key, parameter in named.items() if key in files},
    )


def _read_fields(files: Files, _: Connection) -> Found | None:
    return _fields(files) if "host" in files else None


def _read_basic_auth(files: Files, _: Connection) -> Found | None:
    """`kubernetes.io/basic-auth`, and the managed master secrets of RDS: who, but not where."""
    return _fields(files) if files.keys() & set(_USER_KEYS) and "password" in files else None


READERS: Final[tuple[tuple[Convention, Reader], ...]] = (
    (Convention.KEY_MAP, _read_key_map),
    (Convention.SERVICE_BINDING, _read_service_binding),
    (Convention.CLOUD_NATIVE_PG, _read_cloud_native_pg),
    (Convention.CRUNCHY, _read_crunchy),
    (Convention.ZALANDO, _read_zalando),
    (Convention.RDS, _read_rds),
    (Convention.CROSSPLANE, _read_crossplane),
    (Convention.URL, _read_url),
    (Convention.LIBPQ, _read_libpq),
    (Convention.FIELDS, _read_fields),
    (Convention.BASIC_AUTH, _read_basic_auth),
)
"""The first that speaks decides."""


def _fields(files: Files) -> Found:
    return Found(
        host=files.get("host"),
        port=files.get("port"),
        database=_first(files, _DATABASE_KEYS),
        user=_first(files, _USER_KEYS),
        password=files.get("password"),
        parameters={"sslmode": files["sslmode"]} if "sslmode" in files else {},
    )


def _first(files: Files, keys: tuple[str, ...]) -> str | None:
    return next((files[key] for key in keys if key in files), None)


def _from_url(url: ConnectionUrl) -> Found:
    return Found(
        host=url.host,
        port=url.port,
        database=url.database,
        user=url.user,
        password=url.password,
        parameters=url.parameters,
    )


def _over(base: Found, upper: Found) -> Found:
    """Return *base* with everything that *upper* says; a host brings its own port along, or none."""
    return Found(
        host=upper.host or base.host,
        port=upper.port or base.port,
        database=upper.database or base.database,
        user=upper.user or base.user,
        password=upper.password or base.password,
        parameters={**base.parameters, **upper.parameters},
    )


def refused(connection: Connection, found: str) -> RefusedError:
    """Return the complaint that the Secret says what cannot be; no content of it may stand in *found*."""
    return RefusedError(f"Secret {connection.secret_ref.name!r}: {found}", reason=Reason.CONVENTION_UNKNOWN)


def unavailable(connection: Connection, found: str, reason: Reason) -> UnavailableError:
    """Return the complaint that the Secret lacks something, which somebody may be about to add."""
    return UnavailableError(f"Secret {connection.secret_ref.name!r}: {found}", reason=reason)
