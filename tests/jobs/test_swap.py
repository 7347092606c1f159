"""One database takes another's place, on a real server: what is there afterwards, who is let in, and what a refusal leaves."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import psycopg
import pytest

from dbcustody.contract import Verb
from dbcustody.errors import RefusedError
from dbcustody.jobs.swap import swap, swap_order
from dbcustody.reason import ExitCode, Reason
from dbcustody.repository.ledger import ledger_entry_key
from ground.postgres import PostgresServer
from ground.process import wait_until
from tests.fakes.custodian import CUSTODY, Custodian, in_volume
from tests.fakes.swaps import MARK, UNDO, Swapper

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dbcustody.adapters.postgres.session import Session

pytestmark = pytest.mark.postgres
SETTINGS = {"max_prepared_transactions": "5", "wal_level": "logical"}


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server with roles that own, use and restore."""
    with PostgresServer(17, settings=SETTINGS) as started:
        started.execute(
            'create role "Owner of shop"',
            "create role reader login password 'r'",
            "create role restorer login createdb password 'r'",
            'grant "Owner of shop" to restorer',
        )
        yield started


@pytest.fixture
def swapper(server: PostgresServer, tmp_path: Path) -> Iterator[Swapper]:
    """Return who may swap the database `shop`, which has an owner, rights, settings, a comment, and one row that says `old`."""
    server.execute(
        'create database shop owner "Owner of shop" connection limit 40',
        "revoke all on database shop from public",
        "grant connect on database shop to reader",
        "alter database shop set work_mem to '5MB'",
        "alter role reader in database shop set search_path to said, public",
        "comment on database shop is 'our shop'",
    )
    server.execute("create table public.said (word text)", "insert into public.said values ('old')", database="shop")
    folder = tmp_path / "storage"
    folder.mkdir()
    swapper = Swapper(Custodian(server=server, open_store=in_volume(folder)))
    swapper.custodian.take()
    yield swapper
    for name in set(swapper.databases()) - {"postgres"}:
        server.execute(f'drop database "{name}" with (force)')


def test_the_new_one_is_the_old_one_to_everybody(swapper: Swapper) -> None:
    """Owner, rights, limit, settings and comment are those of the database whose place it took; the old one lets nobody in."""
    before, old = swapper.likeness(), swapper.databases()["shop"][0]
    new = swapper.make_waiting()

    result = swapper.ask(Verb.SWAP)

    facts, there = result.restore, swapper.databases()
    assert (result.reason, result.exit_code) == (Reason.SWAPPED, ExitCode.DONE)
    assert facts is not None
    assert facts.old_database is not None
    assert (facts.is_handed_over, facts.old_database.name) == (True, swapper.kept)
    assert (facts.old_database.drop_after - facts.old_database.kept_time).total_seconds() == 3600
    assert (there["shop"][0], there[swapper.kept][0]) == (new, old)
    assert (swapper.words(), swapper.likeness()) == (["new"], before)
    assert (there["shop"][1] or "").split("\n")[0] == "our shop"
    with pytest.raises(psycopg.OperationalError, match="not currently accepting"):
        swapper.words(swapper.kept)


def test_asked_again_it_is_done(swapper: Swapper) -> None:
    """At every door: what stands there says for whom it was swapped in, also when the old one is gone."""
    swapper.make_waiting()
    first = swapper.ask(Verb.SWAP)
    again = [swapper.ask(verb) for verb in (Verb.PLAN_RESTORE, Verb.RESTORE, Verb.SWAP, Verb.SETTLE_RESTORE)]
    dropped = [swapper.ask(Verb.DROP_REPLACED) for _ in range(2)]
    afterwards = swapper.ask(Verb.SETTLE_RESTORE)

    assert [one.reason for one in again] == [Reason.ADOPTED, Reason.ADOPTED, Reason.SWAPPED, Reason.SWAPPED]
    assert [one.restore for one in again] == [first.restore] * 4
    assert [one.exit_code for one in dropped] == [ExitCode.DONE] * 2
    assert swapper.kept not in swapper.databases()
    assert (afterwards.reason, swapper.words()) == (Reason.SWAPPED, ["new"])


def test_put_back_it_is_what_it_was(swapper: Swapper) -> None:
    """Undo is a swap of its own: the old rows are back, what was restored is kept now, and neither request can be repeated by accident."""
    before, old = swapper.likeness(), swapper.databases()["shop"]
    swapper.make_waiting()
    swapper.ask(Verb.SWAP)
    undo = replace(swapper, mark=UNDO, terms={"undoes": MARK})

    planned = undo.ask(Verb.PLAN_RESTORE)
    result = undo.ask(Verb.SWAP)

    assert (planned.reason, result.reason) == (Reason.TARGET_SAFE, Reason.SWAPPED)
    assert (undo.words(), undo.databases()["shop"][0], undo.likeness()) == (["old"], old[0], before)
    assert undo.kept in undo.databases()
    assert swapper.ask(Verb.PLAN_RESTORE).reason is Reason.ALREADY_UNDONE
    assert undo.ask(Verb.PLAN_RESTORE).reason is Reason.ADOPTED
    assert undo.ask(Verb.DROP_REPLACED).exit_code is ExitCode.DONE
    assert set(undo.databases()) == {"postgres", "shop"}


def test_nothing_to_put_back(swapper: Swapper) -> None:
    """Once the old one is dropped there is nothing to undo, which is said before anything is touched."""
    swapper.make_waiting()
    swapper.ask(Verb.SWAP)
    swapper.ask(Verb.DROP_REPLACED)
    undo = replace(swapper, mark=UNDO, terms={"undoes": MARK})

    assert undo.ask(Verb.PLAN_RESTORE).reason is Reason.NOTHING_TO_UNDO
    assert undo.refusal(Verb.SWAP).reason is Reason.NOTHING_TO_UNDO
    assert swapper.words() == ["new"]


def test_what_hangs_on_the_old_one_is_named(swapper: Swapper) -> None:
    """Each kind has to be accepted by name, and an active reader or a prepared transaction ends it."""
    server = swapper.custodian.server
    server.execute(
        "select pg_create_logical_replication_slot('audit', 'test_decoding')",
        "select pg_create_logical_replication_slot('mirror', 'pgoutput')",
        "create subscription feed connection 'host=nowhere' publication p with (connect = false)",
        "create extension postgres_fdw",
        "create server ledger foreign data wrapper postgres_fdw",
        database="shop",
    )
    preparing = server.connect("shop")
    preparing.execute("begin")
    preparing.execute("insert into public.said values ('almost')")
    preparing.execute("prepare transaction 'half'")
    preparing.close()
    plan = swapper.ask(Verb.PLAN_RESTORE, undoes="RestoreRequest web/none 0").restore
    assert plan is not None
    assert plan.plan is not None

    effects = {one.kind.value: one.names for one in plan.plan.side_effects}
    told = [one.reason for one in plan.plan.obstacles]
    assert effects == {
        "ReplicationSlots": ("audit",), "RemoteSubscribers": ("mirror",), "Subscriptions": ("feed",), "ForeignServers": ("ledger",),
    }  # fmt: skip
    assert told.count("AcknowledgementNeeded") == 4
    assert "TargetInUse" in told
    server.execute("rollback prepared 'half'", database="shop")
    server.execute(
        "alter subscription feed disable",
        "alter subscription feed set (slot_name = none)",
        "drop subscription feed",
        database="shop",
    )
    server.execute("select pg_drop_replication_slot(slot_name) from pg_replication_slots", database="shop")


@pytest.mark.parametrize(
    ("statements", "reason", "words"),
    [
        pytest.param((), Reason.NOT_CONFIRMED, "would replace shop@", id="not-confirmed"),
        pytest.param(("alter database shop allow_connections false",), Reason.TARGET_IN_USE, "--recover", id="shut"),
    ],
)
def test_what_is_found_out_first(swapper: Swapper, statements: tuple[str, ...], reason: Reason, words: str) -> None:
    """Nothing is touched before everything is in order."""
    if statements:
        swapper.custodian.server.execute(*statements)
    found = swapper.ask(Verb.PLAN_RESTORE, undoes="RestoreRequest web/none 0", confirm="shop@1")
    swapper.custodian.server.execute("alter database shop allow_connections true")
    assert found.restore is not None
    assert found.restore.plan is not None
    obstacles = {one.reason: one.message for one in found.restore.plan.obstacles}
    assert words in obstacles[reason.value], obstacles


def test_a_role_without_rights_is_told_the_statement(swapper: Swapper) -> None:
    """Who may not rename hears which GRANT helps; who may not end a session hears whose it is, and nobody was refused."""
    server = swapper.custodian.server
    server.execute("grant connect on database shop to restorer")
    swapper.make_waiting()
    weak = replace(swapper, custodian=replace(swapper.custodian, user="restorer", password="r"))
    server.execute('revoke "Owner of shop" from restorer', "alter role restorer nocreatedb")
    told = weak.ask(Verb.PLAN_RESTORE, undoes="RestoreRequest web/none 0").message
    server.execute('grant "Owner of shop" to restorer', "alter role restorer createdb")
    assert 'GRANT "Owner of shop" TO "restorer";' in told
    assert 'ALTER ROLE "restorer" CREATEDB;' in told
    with server.connect("shop") as boss:
        refused = weak.refusal(Verb.SWAP)
        assert boss.execute("select 1").fetchone() == (1,)
    assert (refused.reason, "postgres (" in refused.message) == (Reason.SESSIONS_HELD, True)
    assert swapper.words() == ["old"]


def test_clients_come_back_on_the_new_one(swapper: Swapper) -> None:
    """Clients that reconnect in a tight loop lose their sessions once; what they were told is written is in one of the two."""
    swapper.make_waiting()
    stop, told = threading.Event(), [0, 0, 0, 0]
    server = swapper.custodian.server

    def write(number: int) -> None:
        while not stop.is_set():
            try:
                with server.connect("shop") as session:
                    while not stop.is_set():
                        session.execute("insert into public.said values (%s)", (f"client {number}",))
                        told[number] += 1
            except psycopg.Error:
                continue

    clients = [threading.Thread(target=write, args=(number,)) for number in range(len(told))]
    for client in clients:
        client.start()
    while min(told) < 20:
        stop.wait(0.01)
    result = swapper.ask(Verb.SWAP)
    before = list(told)
    while any(now < then + 20 for now, then in zip(told, before, strict=True)):
        stop.wait(0.01)
    stop.set()
    for client in clients:
        client.join()
    server.execute(f'alter database "{swapper.kept}" allow_connections true')
    written = len(swapper.words()) - 1 + len(swapper.words(swapper.kept)) - 1

    assert result.reason is Reason.SWAPPED
    assert sum(told) <= written <= sum(told) + len(told)


def test_a_dump_is_waited_for(swapper: Swapper) -> None:
    """Whoever works on the database under our lock ends first; what is awaited is said, and a run that is told to stop changes nothing."""
    swapper.make_waiting()
    holder = swapper.custodian.server.connect("shop")
    holder.execute("select pg_advisory_lock_shared(%s, 1)", (0x64626375,))
    stopping = replace(swapper, custodian=replace(swapper.custodian, stop=threading.Event(), told=[]))
    custodian = stopping.custodian
    timer = threading.Timer(1.5, custodian.stop.set)
    timer.start()
    refused = stopping.refusal(Verb.SWAP)
    timer.join()
    holder.close()

    assert refused.reason is Reason.INTERRUPTED
    assert any(one.waiting_for for one in custodian.told)
    assert swapper.words() == ["old"]
    assert swapper.ask(Verb.SWAP).reason is Reason.SWAPPED


def test_another_swap_is_under_way(swapper: Swapper) -> None:
    """Two swaps of one database exclude each other."""
    swapper.make_waiting()
    from dbcustody.adapters.postgres import connect  # noqa: PLC0415 - here alone
    from dbcustody.adapters.postgres.lock import hold_swap  # noqa: PLC0415

    with connect(swapper.custodian.tools().target(Verb.SWAP).at("postgres")) as other:
        hold_swap(other, CUSTODY)
        timer = threading.Timer(1.5, swapper.custodian.stop.set)
        timer.start()
        assert swapper.refusal(Verb.SWAP).reason in {Reason.DATABASE_BUSY, Reason.INTERRUPTED}
        timer.join()
    swapper.custodian.stop.clear()
    assert swapper.words() == ["old"]


def test_what_runs_is_another_than_was_planned(swapper: Swapper) -> None:
    """A database that was swapped meanwhile by somebody else is not replaced."""
    swapper.make_waiting()
    swapper.custodian.server.execute("alter database shop rename to elsewhere", "create database shop")
    assert swapper.refusal(Verb.SWAP).reason is Reason.SWAP_FAILED
    assert swapper.custodian.server.execute("select 1", database="shop") == [(1,)]


def test_a_transaction_that_fails_changes_nothing(swapper: Swapper) -> None:
    """When the name for the old one is taken, the database is what it was, and open."""
    swapper.make_waiting()
    swapper.custodian.server.execute(f'create database "{swapper.kept}"')
    before = swapper.likeness()

    refused = swapper.refusal(Verb.SWAP)

    assert (refused.reason, swapper.words(), swapper.likeness()) == (Reason.TARGET_EXISTS, ["old"], before)
    settled = swapper.ask(Verb.SETTLE_RESTORE)
    assert (settled.reason, settled.exit_code) == (Reason.JOB_LOST, ExitCode.DONE)
    assert not [name for name in swapper.databases() if name.startswith("dbcustody_")]


def test_people_who_were_erased_meanwhile_do_not_come_back(swapper: Swapper) -> None:
    """Between the restore and the swap, and between a swap and its undo: the ledger is read again, and nothing is changed."""
    swapper.make_waiting()
    store = swapper.custodian.open_store()
    store.put_once(ledger_entry_key(CUSTODY, 1), b"{}")

    assert (swapper.refusal(Verb.SWAP).reason, swapper.words()) == (Reason.ERASURES_PENDING, ["old"])
    undo = replace(swapper, mark=UNDO, terms={"undoes": MARK, "kept_time": datetime.now(UTC) - timedelta(hours=1)})
    assert (undo.refusal(Verb.SWAP).reason, swapper.words()) == (Reason.ERASURES_PENDING, ["old"])
    later = replace(undo, terms={"undoes": MARK, "kept_time": datetime.now(UTC) + timedelta(hours=1)})
    assert later.refusal(Verb.SWAP).reason is Reason.NOTHING_TO_UNDO


def test_what_has_to_be_replayed_comes_before_anybody_may_enter(swapper: Swapper) -> None:
    """An undo lets the replay into what was put away while others are kept out; when it fails, what runs goes on."""
    swapper.make_waiting()
    swapper.ask(Verb.SWAP)
    undo, tools = replace(swapper, mark=UNDO, terms={"undoes": MARK}), swapper.custodian.tools()
    seen = []

    def fail(session: Session) -> None:
        seen.append(session.execute("select word from public.said").fetchall())
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            swapper.custodian.server.connect(swapper.kept, user="restorer", password="r").close()
        raise RefusedError("the replay failed", reason=Reason.ERASURES_PENDING)

    with pytest.raises(RefusedError, match="the replay failed"):
        swap(replace(swap_order(undo.request(Verb.SWAP), tools), replay=fail), tools)

    assert (seen, swapper.words()) == ([[("old",)]], ["new"])
    with pytest.raises(psycopg.OperationalError, match="not currently accepting"):
        swapper.words(swapper.kept)
    assert undo.ask(Verb.SWAP).reason is Reason.SWAPPED


def test_nobody_slips_into_what_was_put_away(swapper: Swapper) -> None:
    """What was put away still has the rights of its time: it lets nobody connect before they are gone, not for a moment."""
    swapper.make_waiting()
    swapper.ask(Verb.SWAP)
    undo, server = replace(swapper, mark=UNDO, terms={"undoes": MARK}), swapper.custodian.server
    blocked = "select 1 from pg_locks where relation = 'pg_db_role_setting'::regclass and not granted"
    with ThreadPoolExecutor(1) as pool, server.connect() as blocker:
        with blocker.transaction():
            blocker.execute("lock table pg_db_role_setting in share mode")
            swapped = pool.submit(undo.ask, Verb.SWAP)
            assert wait_until(lambda: bool(server.execute(blocked)), 30)
            with pytest.raises(psycopg.OperationalError, match="not currently accepting"):
                server.connect(swapper.kept, user="reader", password="r").close()
        assert swapped.result().reason is Reason.SWAPPED
