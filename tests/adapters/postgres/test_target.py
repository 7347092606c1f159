"""Where a database is: the same in libpq's parameters and in the environment of its clients, and never with the password in sight."""

from __future__ import annotations

from pathlib import Path

import pytest

from dbcustody.adapters.postgres import PostgresTarget
from dbcustody.adapters.postgres.target import SYSTEM_CA_FILES

TARGET = PostgresTarget(
    host="db", port="5433", database="shop", user="app", password="c4nary", application="dbcustody backup shop"
)


def test_password_is_in_no_repr() -> None:
    """A target can be printed."""
    assert "c4nary" not in f"{TARGET!r} {TARGET}"


def test_clients_get_everything_by_environment() -> None:
    """pg_dump finds the database, the password and our name in its environment; its arguments need none of it."""
    environment = TARGET.environment()

    assert environment["PGPASSWORD"] == "c4nary"
    assert environment["PGAPPNAME"] == "dbcustody backup shop"
    assert {"PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGSSLMODE"} <= environment.keys()
    assert "PGOPTIONS" not in environment


def test_sessions_of_our_own_keep_the_line_alive() -> None:
    """Dead networks are noticed, and no waiting for a connection is endless."""
    parameters = TARGET.parameters()

    assert parameters["keepalives"] == "1"
    assert parameters["connect_timeout"] == "10"
    assert parameters["application_name"] == "dbcustody backup shop"


@pytest.mark.parametrize(
    ("host", "port", "wanted"),
    [
        pytest.param("db", "5432", "db:5432", id="one"),
        pytest.param("a,b", "5432,5433", "a:5432,b:5433", id="several"),
        pytest.param("a,b", "5432", "a:5432,b:5432", id="several-with-one-port"),
        pytest.param("::1", "5432", "[::1]:5432", id="ipv6"),
        pytest.param("/run/postgresql", "5432", "/run/postgresql", id="socket"),
    ],
)
def test_endpoint_is_for_people(host: str, port: str, wanted: str) -> None:
    """An endpoint is written as people write it."""
    assert PostgresTarget(host=host, port=port, database="shop", user="app").endpoint == wanted


@pytest.mark.parametrize("sslmode", [pytest.param("verify-ca", id="ca"), pytest.param("verify-full", id="full")])
def test_verification_without_a_ca_takes_the_systems(sslmode: str) -> None:
    """Who asks for verification and names no CA gets the authorities that the system trusts."""
    target = PostgresTarget(host="db", port="5432", database="shop", user="app", sslmode=sslmode)
    there = next((path for path in SYSTEM_CA_FILES if Path(path).is_file()), None)

    assert target.parameters().get("sslrootcert") == there
    assert target.environment().get("PGSSLROOTCERT") == there


def test_another_database_of_the_same_server() -> None:
    """Only the database changes."""
    assert TARGET.at("postgres").database == "postgres"
    assert TARGET.at("postgres").host == TARGET.host
