"""What a server tells of itself to the role that would restore there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from dbcustody.adapters.postgres import PostgresTarget, connect
from dbcustody.adapters.postgres.landing import read_landing
from dbcustody.adapters.postgres.surroundings import read_database
from ground.postgres import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.postgres
MAJORS = [14, 15, 16, 17, 18]


@pytest.fixture(scope="module", params=MAJORS)
def server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """Return a server with a role that may little."""
    with PostgresServer(request.param) as started:
        started.execute(
            "create role clerk login password 'clerk' createdb createrole", "create role boss", "grant boss to clerk"
        )
        yield started


def landing(server: PostgresServer, user: str = "postgres", database: str = "postgres") -> dict[str, Any]:
    """Return what *user* learns."""
    target = PostgresTarget(
        host=server.host,
        port=str(server.port),
        database=database,
        user="postgres",
        password=server.password,
        sslmode="disable",
    )
    with connect(replace(target, user=user, password="clerk" if user == "clerk" else server.password)) as session:
        return read_landing(session)


def test_what_a_role_may_not_do_is_known(server: PostgresServer) -> None:
    """Whom it may give things to, whose settings it may change, and what asks for a superuser."""
    found = landing(server, "clerk")
    assert (found["major_version"], found["role"], found["is_superuser"]) == (server.major, "clerk", False)
    assert found["superusers"] == {"postgres"}
    assert {"clerk", "boss"} <= found["memberships"]
    assert "postgres" not in found["memberships"]
    assert "clerk" in found["alterable_roles"]
    assert ("boss" in found["alterable_roles"], "postgres" in found["alterable_roles"]) == (server.major < 16, False)
    assert {"log_statement", "session_preload_libraries"} <= found["guarded_settings"]
    assert "work_mem" not in found["guarded_settings"]
    assert ("citext" in found["untrusted"], "pageinspect" in found["untrusted"]) == (
        False,
        "pageinspect" in found["extensions"],
    )
    assert found["size_bytes"] > 1_000_000


def test_a_member_that_may_not_become_the_other_cannot_give_things_away(server: PostgresServer) -> None:
    """Since PostgreSQL 16 a membership need not allow it."""
    if server.major < 16:
        pytest.skip("there every member may")
    server.execute("create role distant", "grant distant to clerk with set false")
    try:
        assert "distant" not in landing(server, "clerk")["memberships"]
    finally:
        server.execute("drop role distant")


def test_a_setting_that_was_allowed_is_not_guarded(server: PostgresServer) -> None:
    """Since PostgreSQL 15 a role can be allowed to set what others may not."""
    if server.major < 15:
        pytest.skip("there nobody can be allowed")
    server.execute("grant set on parameter log_statement to clerk")
    try:
        assert "log_statement" not in landing(server, "clerk")["guarded_settings"]
    finally:
        server.execute("revoke set on parameter log_statement from clerk")


def test_versions_of_collations_are_those_that_a_backup_records(server: PostgresServer) -> None:
    """Of ICU for every locale, of libc where its locale has one."""
    found = landing(server)["collation_versions"]
    assert found["icu", "de"] is not None
    if server.major < 15:
        return
    server.execute("create database sorted template template0 locale_provider icu icu_locale 'de'")
    try:
        target = PostgresTarget(
            host=server.host,
            port=str(server.port),
            database="sorted",
            user="postgres",
            password=server.password,
            sslmode="disable",
        )
        with connect(target) as session:
            facts = read_database(session)
        assert landing(server)["collation_versions"]["icu", facts["icuLocale"]] == facts["collationVersion"]
    finally:
        server.execute("drop database sorted")
