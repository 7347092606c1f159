"""The tools of a Job: how a Secret becomes a target, and what a request must hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dbcustody.api.database import Connection, DatabaseSpec, Tls, TlsMode
from dbcustody.api.meta import ObjectRef
from dbcustody.contract import JobRequest, Verb
from dbcustody.errors import InvalidSpecError
from dbcustody.jobs.tools import application_name, custody_id_of, database_of, find_target

CONNECTION = Connection(secret_ref=ObjectRef(name="shop-app"))
REQUEST = JobRequest(verb=Verb.BACKUP, namespace="web", name="shop", owner_uid="u")
URL = {"url": "postgresql://app:pw@db:5433/shop"}


@pytest.mark.parametrize(
    ("mode", "sslmode"),
    [
        pytest.param(TlsMode.DISABLE, "disable", id="disable"),
        pytest.param(TlsMode.REQUIRE, "require", id="require"),
        pytest.param(TlsMode.VERIFY_CA, "verify-ca", id="verify-ca"),
        pytest.param(TlsMode.VERIFY_FULL, "verify-full", id="verify-full"),
    ],
)
def test_secret_becomes_a_target(mode: TlsMode, sslmode: str) -> None:
    """Everything that was recognised reaches libpq under its own name."""
    target = find_target(URL, replace(CONNECTION, tls=Tls(mode=mode)), application="dbcustody backup shop")

    assert (target.host, target.port, target.database, target.user) == ("db", "5433", "shop", "app")
    assert (target.password, target.sslmode, target.convention) == ("pw", sslmode, "URL")
    assert target.application == "dbcustody backup shop"


def test_mounted_ca_wins_over_the_urls() -> None:
    """A CA that the spec names is the one that counts."""
    files = {"url": "postgresql://app@db/shop?sslrootcert=/elsewhere"}

    assert find_target(files, CONNECTION, application="a").ca_file == "/elsewhere"
    assert find_target(files, CONNECTION, application="a", ca_file=Path("/ca.crt")).ca_file == "/ca.crt"


def test_sessions_say_who_they_are() -> None:
    """The name fits PostgreSQL's 63 bytes, whatever the custody id."""
    assert application_name(Verb.BACKUP, "web.shop") == "dbcustody backup web.shop"
    assert application_name(Verb.INSPECT, None) == "dbcustody inspect"
    assert len(application_name(Verb.BACKUP, "x" * 128)) == 63


def test_request_must_hold_what_the_work_needs() -> None:
    """A request without its database or its custody id is refused by name."""
    with pytest.raises(InvalidSpecError, match="database: is missing"):
        database_of(REQUEST)
    with pytest.raises(InvalidSpecError, match="custodyId: is missing"):
        custody_id_of(REQUEST)

    spec = DatabaseSpec(connection=CONNECTION)
    assert database_of(replace(REQUEST, database=spec)) is spec
    assert custody_id_of(replace(REQUEST, custody_id="shop")) == "shop"
