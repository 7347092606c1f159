"""What belongs to a database and is in no dump, on every major: told in the shape of the catalogue, without a password."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dbcustody.adapters.postgres import PostgresTarget, connect
from dbcustody.adapters.postgres.surroundings import (
    count_large_objects,
    describe_elsewhere,
    read_database,
    read_extensions,
    read_roles,
    read_sequences,
)
from dbcustody.codec import decode
from dbcustody.repository.catalogue import DatabaseFacts, ExtensionFacts, RoleFacts, RoleSetting, SequenceFacts
from ground.postgres import VERSIONS, PostgresServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbcustody.adapters.postgres.session import Session

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module", params=VERSIONS)
def server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """Return a server of each major with a database that has something of everything."""
    with PostgresServer(request.param) as server:
        server.execute(
            "create role boss nologin createdb", "create role owner_one login password 'c4nary' in role boss connection limit 7",
            "create role by_policy", "create role by_acl", "create role by_setting", "create role elsewhere login",
            "create role keeper login password 'pw' in role pg_read_all_data",
            "create database shop owner owner_one connection limit 9", "create database other owner elsewhere",
            "comment on database shop is 'it''s'", "alter database shop set work_mem = '8MB'",
            "alter role by_setting in database shop set lock_timeout = '5s'", "grant connect on database shop to by_acl with grant option",
        )  # fmt: skip
        server.execute(
            "create table t (id serial); alter table t enable row level security; create policy p on t to by_policy using (true)",
            'create sequence "Odd ""one" start 5; create sequence used; select nextval(\'used\')',
            "create foreign data wrapper w; create server s foreign data wrapper w; create foreign table f (n int) server s",
            "select lo_create(1), lo_create(2)",
            database="shop",
        )  # fmt: skip
        yield server


@pytest.fixture(params=["postgres", "keeper"])
def session(server: PostgresServer, request: pytest.FixtureRequest) -> Iterator[Session]:
    """Return a session of a superuser, and of a role that may only read."""
    password = server.password if request.param == "postgres" else "pw"
    target = PostgresTarget(
        host=server.host,
        port=str(server.port),
        database="shop",
        user=request.param,
        password=password,
        sslmode="disable",
    )
    with connect(target) as session:
        yield session


def test_database(session: Session) -> None:
    """Owner, rights, locale, settings and comment are told."""
    facts = decode(DatabaseFacts, read_database(session))
    assert (facts.name, facts.owner, facts.encoding, facts.collation) == ("shop", "owner_one", "UTF8", "C.UTF-8")
    assert (facts.locale_provider, facts.icu_locale, facts.connection_limit, facts.comment) == ("libc", None, 9, "it's")
    assert sorted(facts.acl) == ["=Tc/owner_one", "by_acl=c*/owner_one", "owner_one=CTc/owner_one"]
    assert facts.settings == (
        RoleSetting(settings=("work_mem=8MB",)),
        RoleSetting(role="by_setting", settings=("lock_timeout=5s",)),
    ) or facts.settings == (
        RoleSetting(role="by_setting", settings=("lock_timeout=5s",)),
        RoleSetting(settings=("work_mem=8MB",)),
    )


def test_roles_that_are_needed(session: Session) -> None:
    """Roles that own, are granted, are named in a policy or a setting, and those they belong to; no other, and no password."""
    raw = read_roles(session)
    roles = {one.name: one for one in (decode(RoleFacts, role) for role in raw)}
    assert set(roles) - {"postgres"} == {"boss", "owner_one", "by_policy", "by_acl", "by_setting"}
    assert roles["owner_one"] == RoleFacts(
        name="owner_one", attributes=("INHERIT", "LOGIN"), member_of=("boss",), connection_limit=7
    )
    assert roles["boss"].attributes == ("CREATEDB", "INHERIT", "NOLOGIN")
    assert "c4nary" not in str(raw)
    assert "SCRAM" not in str(raw)


def test_sequences_extensions_and_large_objects(session: Session) -> None:
    """Sequences tell where they stand, unused ones that they do not."""
    found = [decode(SequenceFacts, one) for one in read_sequences(session)]
    assert found == [
        SequenceFacts(schema="public", name='Odd "one'),
        SequenceFacts(schema="public", name="t_id_seq"),
        SequenceFacts(schema="public", name="used", last_value=1, is_called=True),
    ]
    assert [decode(ExtensionFacts, one).name for one in read_extensions(session)] == ["plpgsql"]
    assert count_large_objects(session) == 2


def test_what_lies_elsewhere(session: Session) -> None:
    """Rows of foreign tables are named as what no dump has."""
    assert describe_elsewhere(session) == ("rows of 1 foreign tables, which lie on other servers",)
