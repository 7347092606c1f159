"""The fingerprints of the ledger on real servers: they are added, and the last one's catalogue comes back or is not believed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from dbcustody.adapters.postgres import fingerprint as adapter
from dbcustody.adapters.postgres.bookkeeping import upgrade
from dbcustody.adapters.postgres.fingerprint import add_print, read_kept, read_last, read_prints
from dbcustody.adapters.postgres.ledger import Direction, Ending, Intent, add_attempt, add_outcome
from dbcustody.adapters.postgres.session import connect
from dbcustody.adapters.postgres.target import PostgresTarget
from dbcustody.migration.catalogue import make_catalogue
from dbcustody.migration.drift import Moment, Print, take
from dbcustody.migration.fingerprint import FORMAT
from dbcustody.migration.ledger import State
from ground.postgres import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbcustody.adapters.postgres.session import Session
    from dbcustody.migration.catalogue import Catalogue

pytestmark = pytest.mark.postgres
FIRST, SECOND = (
    take(make_catalogue([("table", ["public", name], {"x": "'ü\n"})]), exclude=("b.*", "a.*"), server_major=17)
    for name in ("one", "two")
)


@pytest.fixture(scope="module", params=[14, 18])
def server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """Return a server of the oldest and of the newest major."""
    with PostgresServer(request.param) as started:
        yield started


@pytest.fixture
def session(server: PostgresServer) -> Iterator[Session]:
    """Return a session in a new database."""
    server.execute("create database shop")
    target = PostgresTarget(
        host=server.host,
        port=str(server.port),
        database="shop",
        user="postgres",
        password=server.password,
        sslmode="disable",
    )
    with connect(target) as opened:
        yield opened
    server.execute("drop database shop with (force)")


def last_of(session: Session) -> tuple[Print | None, Catalogue | None]:
    """Return the last one, and what was kept of it."""
    last = read_last(session)
    return last, None if last is None else read_kept(session, last)


def tried(session: Session) -> int:
    """Return the place of an attempt that is over."""
    intent = Intent(
        run=uuid4(), revision="a", name="a", direction=Direction.UP, sha256="a" * 64, body="", tool="test", actor="me"
    )
    number = add_attempt(session, intent)
    add_outcome(session, number, Ending(state=State.APPLIED, actor="me"))
    return number


def test_without_a_ledger_or_with_an_old_one_there_is_none(session: Session) -> None:
    """Nor in a new one in which nobody has written."""
    found = [(read_prints(session), last_of(session))]
    for version in ("0001", "head"):
        upgrade(session, to=version)
        found.append((read_prints(session), last_of(session)))
    assert found == [((), (None, None))] * 3


def test_what_is_written_comes_back(session: Session) -> None:
    """With the last attempt by then; the catalogue is the last one's."""
    upgrade(session)
    add_print(session, FIRST, moment=Moment.FOUND, actor="me")
    number = tried(session)
    add_print(session, SECOND, moment=Moment.AFTER, actor="me")
    last, kept = last_of(session)

    assert last is not None
    assert read_prints(session) == (
        replace(last, fingerprint=FIRST.fingerprint, moment=Moment.FOUND, attempt=None),
        last,
    )
    assert (last.fingerprint, last.format, last.exclude, last.server_major, last.moment, last.attempt) == (
        SECOND.fingerprint,
        FORMAT,
        ("a.*", "b.*"),
        17,
        Moment.AFTER,
        number,
    )
    assert kept == SECOND.catalogue


def test_one_catalogue_is_kept_and_only_written_when_it_is_another(session: Session) -> None:
    """However often it is taken."""
    upgrade(session)
    place = "select ctid, count(*) over () from dbcustody.catalogue"
    places = []
    for taken in (FIRST, FIRST, SECOND):
        add_print(session, taken, moment=Moment.AFTER, actor="me")
        places.append(session.execute(place.encode()).fetchone())
    assert (places[0] == places[1], places[1] == places[2], {one[1] for one in places if one}) == (True, False, {1})


def test_what_was_not_to_be_had_is_written_down_as_that(session: Session) -> None:
    """The catalogue of an older one is not taken for it."""
    upgrade(session)
    add_print(session, FIRST, moment=Moment.AFTER, actor="me")
    add_print(session, None, moment=Moment.AFTER, actor="me")
    last, kept = last_of(session)
    assert (last is not None and last.fingerprint, kept) == (None, None)


@pytest.mark.parametrize("content", ["[]", "no catalogue", None])
def test_a_catalogue_that_is_another_is_not_believed(session: Session, content: str | None) -> None:
    """Somebody wrote into it, or it was never kept."""
    upgrade(session)
    add_print(session, FIRST, moment=Moment.AFTER, actor="me")
    session.execute("update dbcustody.catalogue set content = %s", (content,))
    last, kept = last_of(session)
    assert (last is not None and last.fingerprint, kept) == (FIRST.fingerprint, None)


def test_of_another_format_nothing_is_read(session: Session) -> None:
    """It is told that it is there."""
    upgrade(session)
    add_print(session, FIRST, moment=Moment.AFTER, actor="me")
    session.execute("alter table dbcustody.fingerprint disable trigger append_only")
    session.execute("update dbcustody.fingerprint set format = 99")
    last, kept = last_of(session)
    assert (last is not None and last.format, kept) == (99, None)


def test_what_is_too_long_is_not_kept(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its fingerprint is."""
    monkeypatch.setattr(adapter, "MOST_CHARACTERS", 10)
    upgrade(session)
    add_print(session, FIRST, moment=Moment.AFTER, actor="me")
    last, kept = last_of(session)
    assert (last is not None and last.fingerprint, kept) == (FIRST.fingerprint, None)


def test_it_is_in_exactly_when_the_work_is(session: Session) -> None:
    """Rolled back with it, and the catalogue, too."""
    upgrade(session)
    add_print(session, FIRST, moment=Moment.AFTER, actor="me")
    with session.transaction(force_rollback=True):
        add_print(session, SECOND, moment=Moment.AFTER, actor="me")
    assert last_of(session)[1] == FIRST.catalogue
