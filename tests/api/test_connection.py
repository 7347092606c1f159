"""Which database a Secret means: every convention by a worked example, and a clear word for what fits none."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbcustody.api.connection import Recognised, SecretText, recognise
from dbcustody.api.connection_convention import Convention
from dbcustody.api.database import Connection, Tls, TlsMode
from dbcustody.api.meta import ObjectRef, SecretKeyRef
from dbcustody.errors import DbcustodyError, RefusedError, UnavailableError
from dbcustody.reason import Reason

PLAIN = Connection(secret_ref=ObjectRef(name="shop-app"))
ZALANDO = replace(
    PLAIN, secret_ref=ObjectRef(name="app.shop.credentials.postgresql.acid.zalan.do"), host="shop", database="shop"
)
CA = Tls(ca_secret_ref=SecretKeyRef(name="shop-ca", key="ca.crt"))

CNPG = {
    "username": "app", "user": "app", "password": "pw", "dbname": "shop", "host": "shop-rw", "port": "5432",
    "pgpass": "shop-rw:5432:shop:app:pw\n", "uri": "postgresql://app:pw@shop-rw.web:5432/shop",
    "jdbc-uri": "jdbc:postgresql://shop-rw.web:5432/shop?password=pw&user=app",
    "fqdn-uri": "postgresql://app:pw@shop-rw.web.svc.cluster.local:5432/shop",
    "fqdn-jdbc-uri": "jdbc:postgresql://shop-rw.web.svc.cluster.local:5432/shop?password=pw&user=app",
}  # fmt: skip
CRUNCHY = {
    "host": "shop-primary.web.svc", "port": "5432", "user": "app", "password": "pw", "dbname": "shop", "verifier": "SCRAM-SHA-256$4096:x",
    "uri": "postgresql://app:pw@shop-primary.web.svc:5432/shop", "jdbc-uri": "jdbc:postgresql://shop-primary.web.svc:5432/shop",
    "pgbouncer-host": "shop-pgbouncer.web.svc", "pgbouncer-port": "5432",
    "pgbouncer-uri": "postgresql://app:pw@shop-pgbouncer.web.svc:5432/shop",
}  # fmt: skip
RDS = {
    "engine": "postgres", "host": "shop.rds.amazonaws.com", "port": 5433, "username": "app", "password": "pw", "dbname": "shop",
    "dbInstanceIdentifier": "shop", "masterarn": None,
}  # fmt: skip


def found(convention: Convention, host: str, port: str = "5432") -> Recognised:
    """Return what most examples below mean."""
    return Recognised(
        convention=convention,
        host=host,
        port=port,
        database="shop",
        user="app",
        password=SecretText("pw"),
        tls_mode=TlsMode.REQUIRE,
    )


@pytest.mark.parametrize(
    ("files", "connection", "wanted"),
    [
        pytest.param(
            {
                "type": "postgresql",
                "provider": "bitnami",
                "host": "db",
                "port": "5432",
                "username": "app",
                "password": "pw",
                "database": "shop",
            },
            PLAIN,
            found(Convention.SERVICE_BINDING, "db"),
            id="service-binding",
        ),
        pytest.param(
            {"type": "postgresql", "uri": "postgresql://app:pw@db/shop"},
            PLAIN,
            found(Convention.SERVICE_BINDING, "db"),
            id="service-binding-uri",
        ),
        pytest.param(CNPG, PLAIN, found(Convention.CLOUD_NATIVE_PG, "shop-rw.web.svc.cluster.local"), id="cnpg"),
        pytest.param(
            {key: text for key, text in CNPG.items() if not key.startswith("fqdn")},
            PLAIN,
            found(Convention.CLOUD_NATIVE_PG, "shop-rw.web"),
            id="cnpg-without-fqdn-uri",
        ),
        pytest.param(
            {key: text for key, text in CNPG.items() if "uri" not in key},
            PLAIN,
            found(Convention.CLOUD_NATIVE_PG, "shop-rw"),
            id="cnpg-without-any-uri",
        ),
        pytest.param(CRUNCHY, PLAIN, found(Convention.CRUNCHY, "shop-primary.web.svc"), id="crunchy-never-pgbouncer"),
        pytest.param(
            {"verifier": "md5x", "user": "app", "password": "pw", "host": "db", "dbname": "shop"},
            PLAIN,
            found(Convention.CRUNCHY, "db"),
            id="crunchy-without-uri",
        ),
        pytest.param({"username": "app", "password": "pw"}, ZALANDO, found(Convention.ZALANDO, "shop"), id="zalando"),
        pytest.param(
            {key: str(value) for key, value in RDS.items() if value},
            PLAIN,
            found(Convention.RDS, "shop.rds.amazonaws.com", "5433"),
            id="rds-by-keys",
        ),
        pytest.param(
            {"secret": json.dumps(RDS)},
            PLAIN,
            found(Convention.RDS, "shop.rds.amazonaws.com", "5433"),
            id="rds-as-one-json",
        ),
        pytest.param(
            {"username": "app", "password": "pw"},
            replace(PLAIN, host="db", port=5433, database="shop"),
            found(Convention.BASIC_AUTH, "db", "5433"),
            id="rds-managed-master",
        ),
        pytest.param(
            {"endpoint": "db.example", "port": "5433", "username": "app", "password": "pw"},
            replace(PLAIN, database="shop"),
            found(Convention.CROSSPLANE, "db.example", "5433"),
            id="crossplane",
        ),
        pytest.param(
            {"endpoint": "db.example:5434", "port": "5433", "username": "app", "password": "pw"},
            replace(PLAIN, database="shop"),
            found(Convention.CROSSPLANE, "db.example", "5434"),
            id="crossplane-endpoint-with-port",
        ),
        *(
            pytest.param({key: "postgresql://app:pw@db/shop"}, PLAIN, found(Convention.URL, "db"), id=f"url-{key}")
            for key in ("url", "uri", "DATABASE_URL", "POSTGRES_URL")
        ),
        pytest.param(
            {
                "PGHOST": "db",
                "PGPORT": "5433",
                "PGUSER": "app",
                "PGPASSWORD": "pw",
                "PGDATABASE": "shop",
                "PGSSLMODE": "require",
            },
            PLAIN,
            found(Convention.LIBPQ, "db", "5433"),
            id="libpq",
        ),
        pytest.param(
            {"host": "db", "user": "app", "password": "pw", "db": "shop", "sslmode": "require"},
            PLAIN,
            found(Convention.FIELDS, "db"),
            id="fields",
        ),
        pytest.param(
            {"H": "db", "P": "5433", "D": "shop", "U": "app", "W": "pw", "host": "wrong"},
            replace(PLAIN, key_map={"host": "H", "port": "P", "database": "D", "user": "U", "password": "W"}),
            found(Convention.KEY_MAP, "db", "5433"),
            id="key-map",
        ),
        pytest.param(
            {"link": "postgresql://app:old@db/shop", "W": "pw", "M": "require"},
            replace(PLAIN, key_map={"url": "link", "password": "W", "sslmode": "M"}),
            found(Convention.KEY_MAP, "db"),
            id="key-map-with-url",
        ),
        pytest.param(
            {"uri": "postgresql://app:pw@db:1/other\r\n"},
            replace(PLAIN, host="real", port=5433, database="shop"),
            found(Convention.URL, "real", "5433"),
            id="spec-wins-and-newline-goes",
        ),
    ],
)
def test_each_convention_is_recognised(files: dict[str, str], connection: Connection, wanted: Recognised) -> None:
    """The keys alone tell who made the Secret, and lead to the server itself."""
    assert recognise(files, connection) == wanted


@pytest.mark.parametrize(
    ("files", "connection", "reason", "complaint"),
    [
        pytest.param({}, PLAIN, Reason.SECRET_NOT_FOUND, "'shop-app': is missing or empty", id="no-keys"),
        pytest.param({"url": " \n"}, PLAIN, Reason.SECRET_NOT_FOUND, "is missing or empty", id="empty-value"),
        pytest.param(
            {"foo": "bar", "baz": "x"},
            PLAIN,
            Reason.CONVENTION_UNKNOWN,
            r"its keys \(baz, foo\) fit no",
            id="unknown-keys",
        ),
        pytest.param({"foo": "[1]"}, PLAIN, Reason.CONVENTION_UNKNOWN, "fit no", id="json-that-is-no-object"),
        pytest.param(
            {"username": "app", "password": "pw"},
            PLAIN,
            Reason.SECRET_KEY_MISSING,
            "spec.connection.host",
            id="no-host",
        ),
        pytest.param(
            {"url": "postgresql://app@db"},
            PLAIN,
            Reason.SECRET_KEY_MISSING,
            "spec.connection.database",
            id="no-database",
        ),
        pytest.param({"url": "postgresql://db/shop"}, PLAIN, Reason.SECRET_KEY_MISSING, "has no user", id="no-user"),
        pytest.param(
            {"url": "mysql://app:c4nary@db/shop"}, PLAIN, Reason.CONVENTION_UNKNOWN, "scheme 'mysql'", id="mysql-url"
        ),
        pytest.param(
            {"type": "mysql", "host": "db"}, PLAIN, Reason.CONVENTION_UNKNOWN, "`type` is 'mysql'", id="mysql-binding"
        ),
        pytest.param(
            {"engine": "mysql", "host": "db"},
            PLAIN,
            Reason.CONVENTION_UNKNOWN,
            "`engine` is 'mysql'",
            id="mysql-engine",
        ),
        pytest.param(
            {"host": "db", "user": "app", "db": "shop", "port": "abc"},
            PLAIN,
            Reason.CONVENTION_UNKNOWN,
            "its port",
            id="port",
        ),
        pytest.param(
            {"url": "postgresql://app@db/shop?sslmode=maybe"},
            PLAIN,
            Reason.CONVENTION_UNKNOWN,
            "its sslmode must be",
            id="sslmode",
        ),
        pytest.param(
            {"url": "postgresql://app@db/shop?target_session_attrs=x"},
            PLAIN,
            Reason.CONVENTION_UNKNOWN,
            "target_session_attrs",
            id="session-attributes",
        ),
        pytest.param(
            {"H": "db"},
            replace(PLAIN, key_map={"host": "H", "user": "U"}),
            Reason.SECRET_KEY_MISSING,
            "no key 'U'",
            id="key-map-key",
        ),
        pytest.param(
            {"H": "db"},
            replace(PLAIN, key_map={"server": "H"}),
            Reason.CONVENTION_UNKNOWN,
            "knows no 'server'",
            id="key-map-field",
        ),
    ],
)
def test_each_lack_is_named(files: dict[str, str], connection: Connection, reason: Reason, complaint: str) -> None:
    """What is missing or contradictory is named with its reason and with what helps; no content of the Secret is quoted."""
    with pytest.raises(DbcustodyError, match=complaint) as caught:
        recognise(files, connection)

    assert caught.value.reason is reason
    assert isinstance(caught.value, UnavailableError | RefusedError)
    assert "c4nary" not in caught.value.message


@pytest.mark.parametrize(
    ("query", "tls", "mode"),
    [
        pytest.param("", Tls(), TlsMode.REQUIRE, id="nothing-said"),
        pytest.param("", CA, TlsMode.VERIFY_FULL, id="ca-given"),
        pytest.param("?sslrootcert=/ca.crt", Tls(), TlsMode.VERIFY_FULL, id="ca-in-the-url"),
        pytest.param("?sslmode=disable", Tls(), TlsMode.DISABLE, id="plain-said-by-url"),
        pytest.param("?sslmode=disable", Tls(mode=TlsMode.VERIFY_CA), TlsMode.VERIFY_CA, id="spec-wins"),
        pytest.param("?sslmode=verify-ca", CA, TlsMode.VERIFY_CA, id="url-wins-over-default"),
        pytest.param("?sslmode=prefer", Tls(), TlsMode.REQUIRE, id="prefer-is-not-plain"),
        pytest.param("?sslmode=allow", CA, TlsMode.VERIFY_FULL, id="allow-is-not-plain"),
        pytest.param("?ssl=true", Tls(), TlsMode.REQUIRE, id="ssl-true"),
        pytest.param("?ssl=false", Tls(), TlsMode.DISABLE, id="ssl-false"),
        pytest.param("?sslmode=no-verify", Tls(), TlsMode.REQUIRE, id="no-verify"),
        pytest.param("?host=/run/postgresql", Tls(), TlsMode.DISABLE, id="unix-socket"),
        pytest.param("?host=/run/postgresql,db", Tls(), TlsMode.REQUIRE, id="socket-and-host"),
    ],
)
def test_never_plain_unless_said(query: str, tls: Tls, mode: TlsMode) -> None:
    """Plain text happens only when the spec or the Secret says so in a word that leaves no choice, or on a unix socket."""
    got = recognise({"url": f"postgresql://app@db/shop{query}"}, replace(PLAIN, tls=tls))

    assert got.tls_mode is mode


def test_weak_sslmode_is_mentioned() -> None:
    """Who wrote `prefer` learns what is used instead."""
    got = recognise({"url": "postgresql://app@db/shop?sslmode=prefer"}, PLAIN)

    assert got.hints == ("sslmode=prefer would fall back to plain text, so Require is used",)


def test_prisma_parameters_are_understood() -> None:
    """Prisma's schema is noted, its pooler flag is a hint, its pool settings are named as not acted upon."""
    url = "postgresql://app@db/shop?schema=web&connection_limit=5&pool_timeout=10&pgbouncer=true&sslmode=require"

    got = recognise({"DATABASE_URL": url}, PLAIN)

    assert got.schema == "web"
    assert got.ignored == ("connection_limit", "pgbouncer", "pool_timeout")
    assert len(got.hints) == 1
    assert "directUrl" in got.hints[0]


def test_libpq_set_brings_its_ca_and_session_attributes() -> None:
    """PGSSLROOTCERT and PGTARGETSESSIONATTRS are taken like a URL's parameters."""
    files = {
        "PGHOST": "a,b",
        "PGUSER": "app",
        "PGDATABASE": "shop",
        "PGSSLROOTCERT": "/ca.crt",
        "PGTARGETSESSIONATTRS": "primary",
    }

    got = recognise(files, PLAIN)

    assert (got.host, got.ca_file, got.target_session_attributes) == ("a,b", "/ca.crt", "primary")
    assert got.tls_mode is TlsMode.VERIFY_FULL
    assert got.password is None


@given(password=st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=4, max_size=40).filter(str.strip))
def test_password_comes_through_and_never_shows(password: str) -> None:
    """The password is what stands in the Secret, to the letter, and no repr or str of the answer has it."""
    marked = f"c4nary{password}"

    got = recognise({"host": "db", "user": "app", "database": "shop", "password": marked}, PLAIN)

    assert got.password is not None
    assert got.password.reveal() == marked
    assert "c4nary" not in f"{got!r} {got} {got.password!r} {got.password}"
