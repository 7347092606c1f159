"""The Jobs of a RestoreRequest, on real servers: the plan that is told, the restore that remembers whose it is, the question afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from dbcustody.adapters.postgres.landing import create_database
from dbcustody.api.restore import Assertion, MissingRoles, OwnerMapping, Patterns, RestoreStage, SideEffect
from dbcustody.api.storage import AccessMode
from dbcustody.contract import RestoreTerms, Verb
from dbcustody.errors import DbcustodyError, InvalidSpecError
from dbcustody.jobs import newdatabase
from dbcustody.jobs import restore as restore_job
from dbcustody.jobs.restoration import _Restoration
from dbcustody.plan.imprint import birthmark
from dbcustody.reason import ExitCode, Reason
from dbcustody.repository.ledger import ledger_entry_key
from ground.postgres import PostgresServer
from scene.shop import Shop
from tests.fakes.custodian import CUSTODY, Custodian, in_volume
from tests.fakes.homecoming import likeness
from tests.fakes.shop import make_shop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dbcustody.contract import JobRequest, JobResult

pytestmark = pytest.mark.postgres
_COMMENTS = "select datname, shobj_description(oid, 'pg_database') from pg_database"
MARK = "RestoreRequest web/again 0123456789ab"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server with the database `shop`."""
    with PostgresServer(17) as started:
        make_shop(started)
        started.execute("create role keeper", "alter table empty owner to keeper", database="shop")
        yield started


@dataclass
class Requester:
    """Asks for restores of what *custodian* took; into *database*, for *mark*."""

    custodian: Custodian
    database: str
    mark: str = MARK
    terms: dict[str, Any] = field(default_factory=dict)

    def request(self, verb: Verb, **terms: Any) -> JobRequest:
        """Return the request of a Job that does *verb*."""
        wanted = {"database": self.database, "mark": self.mark, "parallelism": 2} | self.terms | terms
        basis = self.custodian.request()
        assert basis.storage is not None
        storage = replace(basis.storage, access_mode=AccessMode.READ_ONLY)
        return replace(basis, verb=verb, storage=storage, options=None, restore=RestoreTerms(**wanted))

    def ask(self, verb: Verb, **terms: Any) -> JobResult:
        """Return the Job's result; raises what it raises."""
        return restore_job.run(self.request(verb, **terms), self.custodian.tools())

    def refusal(self, verb: Verb, **terms: Any) -> DbcustodyError:
        """Return why the Job did nothing."""
        with pytest.raises(DbcustodyError) as caught:
            self.ask(verb, **terms)
        return caught.value

    def comment(self) -> str | None:
        """Return the new database's comment; None when there is no database, or no comment."""
        return dict(self.custodian.server.execute(_COMMENTS)).get(self.database)

    def exists(self) -> bool:
        """Return whether the new database is there."""
        return self.database in dict(self.custodian.server.execute(_COMMENTS))


@pytest.fixture
def requester(server: PostgresServer, tmp_path: Path) -> Requester:
    """Return who may restore the backup `nightly`, and whose database does not exist yet."""
    folder = tmp_path / "storage"
    folder.mkdir()
    custodian = Custodian(server=server, open_store=in_volume(folder))
    assert custodian.take().reason is Reason.SUCCEEDED
    return Requester(custodian, f"again-{abs(hash(tmp_path))}")


def test_a_plan_tells_what_will_be_done_and_makes_nothing(requester: Requester) -> None:
    """Which backup, from where, how big, under which hash; the storage is only read."""
    result = requester.ask(Verb.PLAN_RESTORE)

    facts = result.restore
    assert (result.reason, result.exit_code) == (Reason.TARGET_SAFE, ExitCode.DONE)
    assert facts is not None
    assert facts.backup is not None
    assert facts.plan is not None
    (listed,) = requester.custodian.stock().live
    assert (facts.backup.name, facts.backup.backup_id) == ("nightly", listed.manifest.backup_id)
    assert (facts.backup.manifest_sha256, facts.backup.custody_id) == (listed.manifest_sha256, CUSTODY)
    assert facts.backup.location.endswith(f"/{CUSTODY}/backups/{facts.backup.backup_id}")
    assert (facts.plan.obstacles, len(facts.plan.hash)) == ((), 16)
    assert not requester.exists()


def test_what_was_planned_is_restored_and_remembered(requester: Requester) -> None:
    """Afterwards the database says for whom it was made, and whoever asks the same again finds it done, at every door."""
    planned = requester.ask(Verb.PLAN_RESTORE).restore
    assert planned is not None
    assert planned.plan is not None
    result = requester.ask(Verb.RESTORE, plan_hash=planned.plan.hash)

    facts = result.restore
    assert result.reason is Reason.RESTORED
    assert facts is not None
    assert facts.checks is not None
    assert (facts.is_handed_over, facts.checks.tables > 0, facts.checks.rows is not None) == (True, True, True)
    assert (requester.comment() or "").endswith(f" for {MARK}")
    stages = list(dict.fromkeys(one.stage for one in requester.custodian.told if one.stage in set(RestoreStage)))
    assert stages == list(RestoreStage)[1:7]
    again = [requester.ask(verb) for verb in (Verb.PLAN_RESTORE, Verb.RESTORE, Verb.SETTLE_RESTORE)]
    assert [one.reason for one in again] == [Reason.ADOPTED, Reason.ADOPTED, Reason.RESTORED]
    assert all(one.restore is not None and one.restore.is_handed_over for one in again)


def test_another_request_does_not_take_it_for_its_own(requester: Requester) -> None:
    """The name is taken, whoever asks; neither a plan nor a settling run touches it."""
    requester.ask(Verb.RESTORE)
    other = replace(requester, mark="RestoreRequest web/other 0")
    plan, settled = other.ask(Verb.PLAN_RESTORE), other.ask(Verb.SETTLE_RESTORE)

    assert (plan.reason, plan.exit_code) == (Reason.TARGET_EXISTS, ExitCode.REFUSED)
    assert plan.restore is not None
    assert plan.restore.plan is not None
    assert [one.reason for one in plan.restore.plan.obstacles] == ["TargetExists"]
    assert (settled.reason, settled.exit_code) == (Reason.JOB_LOST, ExitCode.DONE)
    assert other.refusal(Verb.RESTORE).reason is Reason.TARGET_EXISTS
    assert (requester.comment() or "").endswith(f" for {MARK}")


def leave_half_done(requester: Requester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore, and die when the rows are to be loaded, without a chance to tidy up."""
    with monkeypatch.context() as patched:
        patched.setattr(_Restoration, "_load_rows", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        patched.setattr(newdatabase, "_take_away", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt):
            requester.ask(Verb.RESTORE)
    assert requester.exists()


def test_a_run_after_a_killed_one_begins_anew(requester: Requester, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the killed one left is dropped: its rows would be there twice, or never all."""
    planned = requester.ask(Verb.PLAN_RESTORE).restore
    assert planned is not None
    assert planned.plan is not None
    leave_half_done(requester, monkeypatch)
    assert requester.ask(Verb.PLAN_RESTORE).reason is Reason.TARGET_SAFE
    assert requester.ask(Verb.RESTORE, plan_hash=planned.plan.hash).reason is Reason.RESTORED


def test_settling_drops_what_is_half_done(requester: Requester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever still works in it is thrown out; another one's half-done database is left alone."""
    leave_half_done(requester, monkeypatch)
    other = replace(requester, mark="RestoreRequest web/other 0")
    assert other.ask(Verb.SETTLE_RESTORE).message.endswith("nothing was made")
    assert other.refusal(Verb.RESTORE).reason is Reason.TARGET_EXISTS
    assert requester.exists()
    result = requester.ask(Verb.SETTLE_RESTORE)
    assert (result.reason, result.exit_code) == (Reason.JOB_LOST, ExitCode.DONE)
    assert result.message.endswith("what was half-done is dropped")
    assert not requester.exists()


def test_what_bears_no_comment_yet_is_told_by_its_limit(requester: Requester) -> None:
    """Killed between the creation and the comment: whoever asks again knows it as his own, and nobody else does."""
    server, limit = requester.custodian.server, birthmark(requester.mark)
    other = replace(requester, mark="RestoreRequest web/other 0")

    def create() -> None:
        server.execute(f'create database "{requester.database}" allow_connections false connection limit {limit}')

    create()
    assert other.refusal(Verb.RESTORE).reason is Reason.TARGET_EXISTS
    assert other.ask(Verb.SETTLE_RESTORE).message.endswith("nothing was made")
    assert requester.ask(Verb.RESTORE).reason is Reason.RESTORED
    server.execute(f'drop database "{requester.database}" with (force)')
    create()
    assert requester.ask(Verb.SETTLE_RESTORE).message.endswith("what was half-done is dropped")
    assert not requester.exists()


def test_another_plan_than_the_told_one_is_not_carried_out(requester: Requester) -> None:
    """Nothing is made for a plan that nobody has seen."""
    error = requester.refusal(Verb.RESTORE, plan_hash="0123456789abcdef")
    assert (error.reason, requester.exists()) == (Reason.PLAN_CHANGED, False)


def test_two_at_once_do_not_write_into_one_database(requester: Requester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both plans were good; the server lets one of them make the database."""
    other = replace(requester, mark="RestoreRequest web/other 0")

    def beaten(*given: Any, **named: Any) -> int:
        with monkeypatch.context() as patched:
            patched.setattr("dbcustody.jobs.newdatabase.create_database", create_database)
            assert other.ask(Verb.RESTORE).reason is Reason.RESTORED
        return create_database(*given, **named)

    monkeypatch.setattr("dbcustody.jobs.newdatabase.create_database", beaten)
    assert requester.refusal(Verb.RESTORE).reason is Reason.TARGET_EXISTS
    assert (requester.comment() or "").endswith(other.mark)


def test_the_newest_good_backup_of_a_policy_is_found(requester: Requester) -> None:
    """Without an id the storage decides; a time before the first backup, and a policy without one, find nothing."""
    requester.custodian.take("later")
    found = requester.ask(Verb.PLAN_RESTORE).restore
    assert found is not None
    assert found.backup is not None
    assert found.backup.name == "later"
    first = requester.custodian.stock().live[0].manifest
    named = requester.ask(Verb.PLAN_RESTORE, backup_id=first.backup_id).restore
    assert named is not None
    assert named.backup is not None
    assert named.backup.name == "nightly"
    for terms in (
        {"policy": "weekly"},
        {"before_time": first.started.replace(year=2020)},
        {"backup_id": "20200101T000000Z-x-0"},
    ):
        assert requester.refusal(Verb.PLAN_RESTORE, **terms).reason is Reason.BACKUP_NOT_FOUND


def test_an_empty_bucket_is_told_as_such(requester: Requester, tmp_path: Path) -> None:
    """Nothing is made in a storage that nobody used: perhaps its name is wrong."""
    empty = tmp_path / "empty"
    empty.mkdir()
    elsewhere = replace(requester, custodian=replace(requester.custodian, open_store=in_volume(empty)))
    error = elsewhere.refusal(Verb.PLAN_RESTORE)
    assert (error.reason, list(empty.iterdir())) == (Reason.BACKUP_NOT_FOUND, [])
    assert "check bucket, prefix or volume" in error.message


def test_the_erased_do_not_come_back(requester: Requester) -> None:
    """A ledger that is newer than the backup stops the plan already."""
    store = requester.custodian.open_store()
    store.put_once(ledger_entry_key(CUSTODY, 1), b"{}")
    assert requester.refusal(Verb.PLAN_RESTORE).reason is Reason.ERASURES_PENDING
    assert requester.refusal(Verb.RESTORE).reason is Reason.ERASURES_PENDING
    assert not requester.exists()


def test_missing_roles_are_told_with_everything_else(requester: Requester) -> None:
    """The plan has all obstacles; with leave to create them it names the roles."""
    with PostgresServer(17) as fresh:
        moved = replace(requester, custodian=replace(requester.custodian, server=fresh))
        plan = moved.ask(Verb.PLAN_RESTORE)
        allowed = moved.ask(Verb.PLAN_RESTORE, missing_roles=MissingRoles.CREATE).restore
    assert plan.reason is Reason.ROLES_MISSING
    assert allowed is not None
    assert allowed.plan is not None
    assert allowed.plan.roles_to_create


def questions(**asked: tuple[str, str]) -> tuple[Assertion, ...]:
    """Return the assertions by name, each a query and what it is to answer."""
    return tuple(Assertion(name=name, query=query, expect=expect) for name, (query, expect) in asked.items())


def test_questions_are_answered_before_it_is_handed_over(requester: Requester) -> None:
    """Numbers, truth values, several lines, a semicolon, a comment and percent signs: as people write them."""
    asked = questions(
        count=("select count(*) from sales.customer;", "300"),
        true=("-- all of them\nselect every(name like 'customer %')\nfrom sales.customer -- so it is", "true"),
        who=("current_user", "postgres"),
    )
    result = requester.ask(Verb.RESTORE, assertions=asked)
    assert result.restore is not None
    assert result.restore.checks is not None
    assert result.restore.checks.assertions == 3


@pytest.mark.parametrize(
    ("query", "says"),
    [
        pytest.param("select 299", "answered otherwise than expected: count", id="another value"),
        pytest.param("select null", "answered otherwise than expected: count", id="null"),
        pytest.param("select name from sales.customer", "check count: more than one row", id="many rows"),
        pytest.param("select 1 from nowhere", "(SQLSTATE 42P01)", id="no such table"),
        pytest.param("select 1); drop table empty; select (300", "(SQLSTATE 42601)", id="several statements"),
        pytest.param("select nextval('sales.customer_id_seq')", "read-only transaction", id="writes"),
        pytest.param("select lo_create(0)", "read-only transaction", id="makes something"),
        pytest.param("delete from empty returning 1", "(SQLSTATE 42601)", id="no question"),
    ],
)
def test_a_question_answered_otherwise_is_no_success(requester: Requester, query: str, says: str) -> None:
    """Nothing is handed over and nothing is left; the message names the question and no value."""
    error = requester.refusal(Verb.RESTORE, assertions=questions(count=(query, "300")))
    assert (error.reason, requester.exists()) == (Reason.CHECKS_FAILED, False)
    assert says in error.message
    assert "299" not in error.message


@pytest.mark.parametrize("major", [14, 16, 18])
def test_the_least_privileged_role_restores_equal(tmp_path: Path, major: int) -> None:
    """CREATEDB and membership of the owner are enough: managed servers give no more. Owners, rights and content are what they were."""
    folder = tmp_path / "storage"
    folder.mkdir()
    with PostgresServer(major) as server:
        shop = Shop(server, "shop_x")
        shop.build()
        shop.execute("create statistics of_orders (ndistinct) on customer, total from orders")
        owner = Custodian(
            server=server, open_store=in_volume(folder), database="shop_x", user="shop_x", password=shop.password
        )
        assert owner.take().reason is Reason.SUCCEEDED
        role = replace(owner, user=shop.restorer["username"], password=shop.restorer["password"])
        requester = Requester(role, "shop_again")
        who = questions(who=("select current_user || (select count(*) from orders)", "shop_x2000"))
        assert requester.ask(Verb.RESTORE, assertions=who).reason is Reason.RESTORED
        before, after = likeness(server, "shop_x"), likeness(server, "shop_again")
    without_comment = [[(*row[:5], *row[6:]) for row in one.facts] for one in (before, after)]
    assert without_comment[0] == without_comment[1]
    assert replace(after, facts=before.facts) == before


def test_a_request_without_terms_is_refused(requester: Requester) -> None:
    """An operator that forgot what it wanted does nothing."""
    request = replace(requester.request(Verb.RESTORE), restore=None)
    with pytest.raises(InvalidSpecError, match="restore: is missing"):
        restore_job.run(request, requester.custodian.tools())


def test_the_terms_say_what_comes_and_what_is_known(requester: Requester) -> None:
    """The plan that is told is the one that is carried out: some tables, other owners, sizes; another choice makes another plan."""
    requester.terms = {
        "tables": Patterns(include=("sales.customer", "empty")),
        "owner_map": (OwnerMapping(from_="keeper", to="postgres"),),
        "acknowledge": (SideEffect.SKIPPED_OBJECTS,),
    }
    planned = requester.ask(Verb.PLAN_RESTORE).restore
    assert planned is not None
    assert planned.plan is not None
    assert planned.plan.server_bytes is not None
    assert "postgres takes the place of keeper" in planned.plan.remarks
    result = requester.ask(Verb.RESTORE, plan_hash=planned.plan.hash)
    assert result.restore is not None
    assert result.restore.checks is not None
    assert result.restore.checks.tables == 2
    again = replace(requester, database="other").refusal(
        Verb.RESTORE, plan_hash=planned.plan.hash, tables=Patterns(include=("empty",))
    )
    assert again.reason is Reason.PLAN_CHANGED
