"""Throw-away databases on a server that somebody named: like the one they stand for, and gone, whatever became of their maker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dbcustody.adapters.postgres import PostgresTarget, connect
from dbcustody.adapters.postgres.scratch import (
    PREFIX,
    Traits,
    add_extensions,
    add_roles,
    read_traits,
    scratch_database,
)
from dbcustody.errors import RefusedError
from dbcustody.reason import Reason
from ground.postgres import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module", params=[14, 18])
def server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """Return a server of the oldest and of the newest major."""
    with PostgresServer(request.param) as started:
        started.execute(
            "create role plain login createdb password 'plain-pw'", "create role poor login password 'poor-pw'"
        )
        yield started


def target_of(server: PostgresServer, user: str = "postgres", password: str | None = None) -> PostgresTarget:
    """Return the server as *user* sees it."""
    return PostgresTarget(
        host=server.host,
        port=str(server.port),
        database="postgres",
        user=user,
        password=password or server.password,
        sslmode="disable",
    )


def there(server: PostgresServer) -> list[str]:
    """Return the throw-away databases that are there."""
    found = server.execute("select datname::text from pg_database order by 1")
    return [row[0] for row in found if row[0].startswith(PREFIX)]


def test_it_is_like_the_one_it_stands_for_and_gone_afterwards(server: PostgresServer) -> None:
    """Also when the block fails; a role needs no more than CREATEDB."""
    server.execute("create database model template template0 encoding 'LATIN1' lc_collate 'C' lc_ctype 'C'")
    target = target_of(server, "plain", "plain-pw")
    with connect(target_of(server).at("model")) as session:
        traits = read_traits(session)
    server.execute("drop database model")
    with scratch_database(target, traits) as (made, is_alike), connect(made) as session:
        assert (is_alike, made.database, read_traits(session)) == (True, there(server)[0], traits)
    with pytest.raises(ZeroDivisionError), scratch_database(target, traits):
        raise ZeroDivisionError
    assert (traits.encoding, traits.major, there(server)) == ("LATIN1", server.major, [])


def test_a_locale_that_is_not_there_is_told(server: PostgresServer) -> None:
    """The one that every server has is taken; an encoding has no stand-in."""
    with scratch_database(target_of(server), Traits(major=None, collation="xx_XX", ctype="xx_XX")) as (_, is_alike):
        assert is_alike is False
    with (
        pytest.raises(RefusedError) as refused,
        scratch_database(target_of(server), Traits(major=None, encoding="SJIS")),
    ):
        pytest.fail("it was made")
    assert (refused.value.reason, there(server)) == (Reason.LOCALE_MISSING, [])


def test_a_role_that_may_make_none_is_told(server: PostgresServer) -> None:
    """With the server's word."""
    with (
        pytest.raises(RefusedError) as refused,
        scratch_database(target_of(server, "poor", "poor-pw"), Traits(major=None)),
    ):
        pytest.fail("it was made")
    assert refused.value.reason is Reason.PRIVILEGES_MISSING


def test_what_a_killed_process_left_is_dropped_and_what_is_in_use_is_not(server: PostgresServer) -> None:
    """Nor what belongs to somebody else, or only looks a little like one."""
    server.execute(
        f"create database {PREFIX}dead", f"create database {PREFIX}others owner plain", "create database dbcustody"
    )
    bare = Traits(major=None)
    with (
        scratch_database(target_of(server), bare) as (first, _),
        scratch_database(target_of(server), bare) as (second, _),
    ):
        assert there(server) == sorted([first.database, second.database, f"{PREFIX}others"])
    assert there(server) == [f"{PREFIX}others"]
    server.execute(f"drop database {PREFIX}others", "drop database dbcustody")


def test_it_is_dropped_although_the_session_that_names_it_is_gone(server: PostgresServer) -> None:
    """By another one."""
    with scratch_database(target_of(server), Traits(major=None)) as (made, _):
        end = "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name ~ '^dbcustody_dev_'"
        server.execute(end)
        with connect(made):
            pass
    server.execute("select 1")
    with scratch_database(target_of(server), Traits(major=None)):
        pass
    assert there(server) == []


def test_roles_and_extensions_are_made_where_they_are_missing(server: PostgresServer) -> None:
    """One that the server does not have is told by its name."""
    with connect(target_of(server)) as session:
        add_roles(session, ["plain", "strange one"])
        add_extensions(session, ["hstore", "plpgsql"])
        with pytest.raises(RefusedError, match="extension nowhere") as refused:
            add_extensions(session, ["nowhere"])
    rows = server.execute("select rolcanlogin from pg_roles where rolname = 'strange one'")
    assert (rows, refused.value.reason) == ([(False,)], Reason.EXTENSIONS_MISSING)
    server.execute('drop role "strange one"', "drop extension hstore")
