"""Restore tests on real servers: what passes came back equal, what is wrong condemns the backup, what hinders a test does not."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from dbcustody.api.policy import Level, LocaleFallback, Scratch, Verification
from dbcustody.contract import TEST_SERVER_SAID, Verb
from dbcustody.errors import InterruptedRunError, RefusedError
from dbcustody.jobs import newdatabase, settle, trial
from dbcustody.jobs.reading import read_catalogue_of
from dbcustody.jobs.trial import await_server
from dbcustody.reason import ExitCode, Reason
from dbcustody.repository.ledger import ledger_entry_key
from ground.postgres import PostgresServer
from tests.fakes.custodian import CUSTODY, KEYS, Custodian, in_volume
from tests.fakes.examiner import TEST, Examiner, outcome
from tests.fakes.richdb import TABLES, make_rich
from tests.fakes.throwaway import ThrowAway

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from dbcustody.adapters.postgres.session import Session
    from dbcustody.api.backup import Stage
    from dbcustody.facts import RestoreTestFacts
    from dbcustody.jobs.tools import Tools
    from dbcustody.repository.catalogue import Catalogue

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[[int], PostgresServer]]:
    """Return a function that starts a server of a major with the rich database `shop`, once each."""
    servers: dict[int, PostgresServer] = {}
    with ExitStack() as stack:

        def start(major: int) -> PostgresServer:
            if major not in servers:
                servers[major] = stack.enter_context(PostgresServer(major))
                make_rich(servers[major], "shop")
            return servers[major]

        yield start


@pytest.fixture(scope="module")
def throwaway() -> Iterator[ThrowAway]:
    """Return a throw-away server of 17; each test leaves it as it was."""
    with ThrowAway(17) as server:
        yield server


@pytest.fixture
def tester(serve: Callable[[int], PostgresServer], throwaway: ThrowAway, tmp_path: Path) -> Iterator[Examiner]:
    """Return who tests backups of a rich database; nothing may be left of any test."""
    found = Examiner(Custodian(server=serve(17), open_store=in_volume(tmp_path)), throwaway)
    await_server(throwaway.target, found.tools())
    yield found
    assert throwaway.left == []


@pytest.mark.parametrize(
    ("major", "encrypted", "parallelism"),
    [
        pytest.param(14, True, 1, id="14-one-archive"),
        pytest.param(16, False, 3, id="16-cut-clear"),
        pytest.param(18, True, 2, id="18-cut"),
    ],
)
def test_backup_is_restored_beside_its_job(
    serve: Callable[[int], PostgresServer], tmp_path: Path, *, major: int, encrypted: bool, parallelism: int
) -> None:
    """By the sidecar's own command: everything comes back equal, it is told how long that took, and nothing is left."""
    custodian = Custodian(server=serve(major), open_store=in_volume(tmp_path), keys=KEYS if encrypted else None)
    with ThrowAway(major) as server:
        tester = Examiner(custodian, server)
        result = tester.take(parallelism=parallelism)
        left = server.left

    found = outcome(result)
    assert (result.exit_code, result.reason, found.reason) == (ExitCode.DONE, Reason.SUCCEEDED, Reason.RESTORE_TESTED)
    assert found.message.startswith(f"restored in {found.seconds} s on PostgreSQL {major}.")
    assert f"{TABLES} tables" in found.message
    assert found.seconds is not None
    assert found.seconds >= 1
    assert result.backup is not None
    assert result.backup.verified_level == "Restore"
    assert left == []
    assert tester.levels == {"Read", "Restore"}
    assert any(told.summary.startswith("restore test: ") for told in custodian.told)


def test_server_is_shut_to_everybody_else(tester: Examiner, throwaway: ThrowAway) -> None:
    """It listens on no network, and what sessions complain of, which may be rows, gets into no log."""
    assert tester.server is throwaway
    assert throwaway.rows("show listen_addresses") == [("",)]
    with pytest.raises(Exception, match="division by zero"):
        throwaway.rows("select 1 / 0 as a_row_of_mine")
    assert "division" not in throwaway.log
    assert "a_row_of_mine" not in throwaway.log


def test_nobody_is_let_in_at_the_end(tester: Examiner, throwaway: ThrowAway, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hand-over is tried and taken back: until it is dropped, the database belongs to whoever tests, and is open to nobody else."""
    seen: list[tuple[str, str, str]] = []
    drop = newdatabase.drop_database

    def look_and_drop(session: Session, oid: int) -> None:
        statement = (
            "select pg_get_userbyid(datdba)::text, datacl::text, shobj_description(oid, 'pg_database') from pg_database"
        )
        seen.extend(throwaway.rows(f"{statement} where oid = {oid}"))
        drop(session, oid)

    monkeypatch.setattr(newdatabase, "drop_database", look_and_drop)
    assert outcome(tester.take()).reason is Reason.RESTORE_TESTED
    ((owner, rights, comment),) = seen
    assert (owner, rights) == ("postgres", "{postgres=CTc/postgres}")
    assert "restored by dbcustody" not in comment


def test_hand_over_that_fails_condemns(tester: Examiner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rights and settings that a new database does not take are found out by the test as well."""

    def refuse(*_: Any, **__: Any) -> None:
        raise RefusedError("hand over the database: no such setting", reason=Reason.RESTORE_FAILED)

    monkeypatch.setattr(newdatabase, "hand_over", refuse)
    assert outcome(tester.take()).reason is Reason.RESTORE_FAILED


def test_what_is_known_is_not_tested_again(tester: Examiner) -> None:
    """A backup of a name that was restored once is adopted with that proof, though no server stands there."""
    tester.take()
    tester.server = None
    result = tester.take()

    assert (result.reason, outcome(result).reason, outcome(result).seconds) == (
        Reason.ADOPTED,
        Reason.RESTORE_TESTED,
        None,
    )
    assert result.backup is not None
    assert result.backup.verified_level == "Restore"


def test_level_may_be_raised_later(tester: Examiner) -> None:
    """A backup that was only read is restored when it is asked for again at level Restore."""
    tester.terms = Verification(level=Level.READ)
    tester.take()
    assert tester.levels == {"Read"}
    tester.terms = TEST

    assert outcome(tester.take()).reason is Reason.RESTORE_TESTED
    assert tester.levels == {"Read", "Restore"}


def test_other_rows_than_were_counted_condemn(tester: Examiner, monkeypatch: pytest.MonkeyPatch) -> None:
    """A restore that brings other rows back is a failed verification: the backup is not verified, whatever was read before."""
    count = trial.restore

    def lose_a_row(order: Any, tools: Tools) -> Any:
        (first, *others) = order.source.catalogue.tables
        tables = (replace(first, rows=(first.rows or 0) + 1), *others)
        source = replace(order.source, catalogue=replace(order.source.catalogue, tables=tables))
        return count(replace(order, source=source), tools)

    monkeypatch.setattr(trial, "restore", lose_a_row)
    result = tester.take()

    assert (result.exit_code, result.reason) == (ExitCode.REFUSED, Reason.VERIFICATION_FAILED)
    assert "rows" in result.message
    assert outcome(result).reason is Reason.CHECKS_FAILED
    assert tester.levels == {"Checksum"}


def flip_a_bit(folder: Path) -> None:
    """Change one bit in the middle of the archive below *folder*."""
    (path,) = folder.rglob("whole.pgc")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)


def test_flipped_bit_condemns(tester: Examiner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is damaged between the reading and the restore is found by the restore, twice, and nothing is left on the server."""
    read = trial.try_restore

    def flip_first(test: Any, tools: Tools) -> Any:
        flip_a_bit(tmp_path)
        monkeypatch.setattr("dbcustody.jobs.proof.try_restore", read)
        return read(test, tools)

    monkeypatch.setattr("dbcustody.jobs.proof.try_restore", flip_first)
    result = tester.take()

    assert (result.exit_code, result.reason) == (ExitCode.REFUSED, Reason.ARCHIVE_DAMAGED)
    assert outcome(result).reason is Reason.ARCHIVE_DAMAGED
    assert "whole.pgc" in result.message
    assert tester.levels == set()


def test_what_cannot_be_read_is_not_restored(tester: Examiner, tmp_path: Path) -> None:
    """Damage that the reading finds is told in its words, and no level at all is written down."""

    def flip(stage: Stage) -> None:
        if stage.value == "Committing":
            flip_a_bit(tmp_path)

    tester.custodian = replace(tester.custodian, on_stage=flip)
    result = tester.take()

    assert (result.exit_code, result.reason) == (ExitCode.REFUSED, Reason.ARCHIVE_DAMAGED)
    assert "whole.pgc" in result.message
    assert outcome(result).message == "was not restored, because it did not pass level Read"
    assert tester.levels == set()


def test_definitions_that_do_not_load_condemn(tester: Examiner) -> None:
    """An archive that can be read and not restored is no backup."""
    source = tester.custodian.server
    source.execute("create database broken")
    source.execute(
        "create table public.other (b int)",
        "create function public.f(a int) returns boolean language plpgsql as 'begin perform 1 from other; return true; end'",
        "create table public.t (a int check (public.f(a)))",
        "insert into public.t values (1)",
        database="broken",
    )
    tester.custodian = replace(tester.custodian, database="broken")
    result = tester.take()

    assert (result.exit_code, result.reason) == (ExitCode.REFUSED, Reason.VERIFICATION_FAILED)
    assert outcome(result).reason is Reason.RESTORE_FAILED


@pytest.fixture
def untested(tester: Examiner) -> Callable[..., RestoreTestFacts]:
    """Return a function that takes a backup whose test is hindered; the backup counts as read all the same."""

    def take(name: str = "nightly") -> RestoreTestFacts:
        result = tester.take(name)
        assert result.exit_code is ExitCode.DONE
        assert result.backup is not None
        assert result.backup.verified_level == "Read"
        assert "Restore" not in tester.levels
        assert outcome(result).seconds is None
        return outcome(result)

    return take


def test_there_is_no_server(tester: Examiner, untested: Callable[..., RestoreTestFacts]) -> None:
    """Without a server the backup is good, and not tested."""
    tester.server = None
    assert untested().reason is Reason.TEST_SERVER_UNAVAILABLE
    tester.more = {"untestable": "ErrImagePull: no such image"}
    assert untested("second").message == "ErrImagePull: no such image"


def test_server_cannot_start(tester: Examiner, untested: Callable[..., RestoreTestFacts]) -> None:
    """A server that ends at once says why, and is not waited for."""
    with ThrowAway(17, path="/usr/bin:/bin") as broken:
        tester.server = broken
        found = untested()
        said = (broken.sockets / TEST_SERVER_SAID).read_text()

    assert found.reason is Reason.TEST_SERVER_UNAVAILABLE
    assert "initdb" in found.message
    assert said.strip() in found.message


def test_server_that_never_answers_is_waited_for_a_while(
    tester: Examiner, untested: Callable[..., RestoreTestFacts], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting is bounded: the backup comes first."""
    monkeypatch.setattr(trial.await_server, "__kwdefaults__", {"patience_seconds": 1.0})
    silent = ThrowAway(17)
    silent.folder = tmp_path / "nowhere"
    tester.server = silent
    assert untested().reason is Reason.TEST_SERVER_UNAVAILABLE


def test_extension_is_missing(tester: Examiner, untested: Callable[..., RestoreTestFacts]) -> None:
    """An image without an extension of the database hinders the test, and is told by the extension's name."""
    with ThrowAway(17, lacks="citext") as server:
        tester.server = server
        found = untested()

    assert found.reason is Reason.EXTENSIONS_MISSING
    assert "citext" in found.message


def test_locale_is_missing(
    tester: Examiner, untested: Callable[..., RestoreTestFacts], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server without the database's locale hinders the test, unless C may stand in for it; then that is told."""

    def of_another_place(*arguments: Any) -> Catalogue:
        catalogue = read_catalogue_of(*arguments)
        return replace(catalogue, database=replace(catalogue.database, collation="qq_QQ.utf8", ctype="qq_QQ.utf8"))

    monkeypatch.setattr("dbcustody.jobs.source.read_catalogue_of", of_another_place)
    found = untested()
    tester.terms = replace(TEST, locale_fallback=LocaleFallback.C)
    passed = outcome(tester.take("with-c"))

    assert found.reason is Reason.LOCALE_MISSING
    assert "qq_QQ.utf8" in found.message
    assert passed.reason is Reason.RESTORE_TESTED
    assert "with locale C, because the server cannot make" in passed.message


def test_scratch_space_is_too_small(tester: Examiner, untested: Callable[..., RestoreTestFacts]) -> None:
    """A database that does not fit ends the test before the kubelet ends the pod."""
    tester.terms = replace(TEST, scratch=Scratch(size_bytes=1))
    source = tester.custodian.server
    source.execute("create database large")
    source.execute(
        "create table t as select n, repeat(md5(n::text), 20) as filler from generate_series(1, 400000) n",
        database="large",
    )
    tester.custodian = replace(tester.custodian, database="large")
    found = untested()

    assert found.reason is Reason.SCRATCH_TOO_SMALL
    assert "does not fit" in found.message


def test_server_is_lost_while_it_restores(
    tester: Examiner, untested: Callable[..., RestoreTestFacts], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is killed in the middle hinders the test; it is no word against the backup."""
    with ThrowAway(17) as short_lived:
        tester.server = short_lived
        tell = trial._told_as_verification

        def stop_it(tools: Tools) -> Any:
            def told(progress: Any) -> None:
                if progress.stage.value == "Finishing":
                    short_lived.stop()
                tell(tools)(progress)

            return told

        monkeypatch.setattr(trial, "_told_as_verification", stop_it)
        found = untested()

    assert found.reason is Reason.TEST_SERVER_UNAVAILABLE


def test_erased_people_do_not_hinder_a_test(tester: Examiner, tmp_path: Path) -> None:
    """Nobody ever enters the database, so it may hold whom a restore must not bring back."""
    (tmp_path / ledger_entry_key(CUSTODY, 1)).parent.mkdir(parents=True)
    (tmp_path / ledger_entry_key(CUSTODY, 1)).write_bytes(b"{}")
    assert outcome(tester.take()).reason is Reason.RESTORE_TESTED


def test_told_to_stop_in_the_middle(tester: Examiner) -> None:
    """Whoever stops the run stops the test; the backup is committed, and settling it says that it was not tested."""
    custodian = tester.custodian

    def stop_while_counting(_: Stage) -> None:
        if custodian.told[-1].summary == "restore test: Counting rows":
            custodian.stop.set()
            time.sleep(1)  # so long it may take until everybody has heard

    tester.custodian = replace(custodian, on_stage=stop_while_counting)
    with pytest.raises(InterruptedRunError, match="is committed and not verified yet"):
        tester.take()
    tester.custodian = replace(tester.custodian, stop=threading.Event(), on_stage=lambda _: None)
    server, tester.server = tester.server, None
    result = settle.run(replace(tester.request(), verb=Verb.SETTLE), tester.tools())
    tester.server = server

    assert (result.exit_code, outcome(result).reason) == (ExitCode.DONE, Reason.INTERRUPTED)
    assert tester.levels == {"Read"}


def test_every_third_is_restored(tester: Examiner) -> None:
    """The storage remembers whose turn it is: a test that was hindered leaves the turn to the next one."""
    tester.more = {"every_nth": 3}
    reasons = []
    for number, has_server in enumerate([False, True, True, True, True]):
        server, tester.server = tester.server, tester.server if has_server else None
        reasons.append(outcome(tester.take(f"night-{number}")).reason)
        tester.server = server

    due, other = Reason.RESTORE_TESTED, Reason.NOT_REQUESTED
    assert reasons == [Reason.TEST_SERVER_UNAVAILABLE, due, other, other, due]
