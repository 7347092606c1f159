"""Histories of Flyway, golang-migrate and Atlas on a real server: read, verified, written into our ledger as a whole, and gone on with."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from dbcustody.adapters.postgres import BACKUP_LOCKS, DatabaseLock, connect
from dbcustody.adapters.postgres.foreign_history import find_predecessors
from dbcustody.errors import DbcustodyError
from dbcustody.jobs.adoption import AdoptionOrder, adopt, survey
from dbcustody.jobs.migration import look, migrate
from dbcustody.jobs.reversal import roll_back
from dbcustody.migration import atlas, flyway
from dbcustody.migration.adoption import Adoption, Proof
from dbcustody.migration.foreign_folder import lay_out
from dbcustody.migration.history import Kind
from dbcustody.migration.layout import LaidFile, Layout, Tool
from dbcustody.migration.predecessor import Mark
from dbcustody.reason import Reason
from ground.postgres import PostgresServer
from tests.fakes.forerunner import ATLAS, FIRST, FLYWAY, GOLANG_MIGRATE, Forerunner
from tests.fakes.migrator import CUSTODY, Migrator

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dbcustody.jobs.migration import MigrationOrder

pytestmark = pytest.mark.postgres
V_FILES = {
    "V1__people.sql": "create table people (id int);\n",
    "V2__age.sql": "alter table people add column age int;\n",
    "U2__age.sql": "alter table people drop column age;\n",
    "V3__name.sql": "alter table people add column name text;\n",
    "U3__name.sql": "alter table people drop column name;\n",
}
M_FILES = {
    "000001_people.up.sql": V_FILES["V1__people.sql"],
    "000002_age.up.sql": V_FILES["V2__age.sql"],
    "000002_age.down.sql": V_FILES["U2__age.sql"],
    "000010_name.up.sql": V_FILES["V3__name.sql"],
}
A_FILES = {
    "20230101120000_people.sql": V_FILES["V1__people.sql"],
    "20230102120000_age.sql": V_FILES["V2__age.sql"],
    "20230103120000_name.sql": V_FILES["V3__name.sql"],
}


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server."""
    with PostgresServer(17) as started:
        started.execute("create role reader login password 'reader'")
        yield started


@pytest.fixture
def before(server: PostgresServer) -> Iterator[Forerunner]:
    """Return who has migrated a new database."""
    server.execute("create database shop")
    yield Forerunner(server=server)
    server.execute("drop database shop with (force)")


def layout_of(tool: Tool, files: Mapping[str, str]) -> Layout:
    """Return what the folder of *tool* holds."""
    return lay_out(tool, [LaidFile(path=path, content=text.encode()) for path, text in files.items()])


def ours(before: Forerunner, layout: Layout | None = None, **changes: object) -> MigrationOrder:
    """Return what is to be done in the database."""
    scripts = () if layout is None else layout.scripts
    return Migrator.of(before.server, {}).order(**({"scripts": scripts} | changes))


def ordered(before: Forerunner, layout: Layout, table: str | None = None, **changes: object) -> AdoptionOrder:
    """Return what is to be taken over."""
    return AdoptionOrder(migration=ours(before, layout, **changes), layout=layout, table=table)


def refused(order: AdoptionOrder) -> DbcustodyError:
    """Return why nothing is taken over."""
    with pytest.raises(DbcustodyError) as error:
        adopt(order)
    return error.value


def proofs(found: Adoption) -> dict[str, Proof]:
    """Return what is known of each that is in."""
    return {entry.script.name: entry.proof for entry in found.entries}


def columns(before: Forerunner) -> list[str]:
    """Return the columns of the table."""
    words = "select attname::text from pg_attribute where attrelid = to_regclass('public.people') and attnum > 0 and not attisdropped"
    return [name for (name,) in before.server.execute(words, database=before.database)]


def written(before: Forerunner) -> list[tuple[object, ...]]:
    """Return what our ledger has of others."""
    words = "select a.name, o.ended_at::text, o.reason from dbcustody.attempt a join dbcustody.outcome o on o.attempt = a.id order by 1"
    return before.server.execute(words, database=before.database)


def flyway_was_here(before: Forerunner, *versions: int) -> Layout:
    """Let Flyway carry out *versions*."""
    before.make(FLYWAY)
    for version, (name, text) in enumerate(((n, t) for n, t in V_FILES.items() if n[0] == "V"), start=1):
        if version in versions:
            before.run(text)
            before.flyway(str(version), name, int(flyway.checksum(text.encode())))
    return layout_of(Tool.FLYWAY, V_FILES)


def test_flyway_is_adopted_and_gone_on_with(before: Forerunner) -> None:
    """Verified, once, with its times; then deployed and undone in its folder, by its names, and deployed again."""
    layout = flyway_was_here(before, 1, 2)
    first, second = adopt(ordered(before, layout)), adopt(ordered(before, layout))
    deployed = migrate(ours(before, layout))
    after = columns(before)
    undone = roll_back(ours(before, layout), "V1__people")
    again = migrate(ours(before, layout))

    assert proofs(first) == {"V1__people": Proof.VERIFIED, "V2__age": Proof.VERIFIED}
    assert (len(first.new), second.new, second.pending) == (2, (), ("V3__name",))
    assert (deployed.applied, after) == (("V1__people", "V2__age", "V3__name"), ["id", "age", "name"])
    assert (undone.applied, again.applied) == (("V1__people",), ("V1__people", "V2__age", "V3__name"))
    checksum = flyway.checksum(V_FILES["V1__people.sql"].encode())
    assert written(before)[0] == (
        "V1__people",
        f"{FIRST:%Y-%m-%d} 12:01:00+00",
        f"history of Flyway (public.flyway_schema_history), checksum {checksum}: verified",
    )


def test_every_kind_of_row_that_flyway_writes(before: Forerunner) -> None:
    """Schema, baseline, undo, deletion, Java, repeatable."""
    before.make(FLYWAY)
    before.flyway("0", "<< Flyway Schema Creation >>", None, kind="SCHEMA")
    before.flyway("1", "<< Flyway Baseline >>", None, kind="BASELINE")
    before.flyway("2", "V2__age.sql", 5)
    before.flyway("2", "U2__age.sql", 6, kind="UNDO_SQL")
    before.flyway("2.5", "V2_5__gone.sql", 7)
    before.flyway("2.5", "V2_5__gone.sql", 7, kind="DELETE")
    before.flyway("3", "db.V3__name", None, kind="JDBC")
    before.flyway(None, "R__view.sql", 8)
    with connect(ours(before).target) as session:
        (found,) = find_predecessors(session)

    assert [(row.key, row.mark) for row in found.rows or ()] == [
        ("0", Mark.ASIDE), ("1", Mark.UP_TO), ("2", Mark.IN), ("2", Mark.OUT), ("2.5", Mark.IN), ("2.5", Mark.OUT), ("3", Mark.IN),
        ("R__view.sql", Mark.ASIDE),
    ]  # fmt: skip
    told = survey(ordered(before, layout_of(Tool.FLYWAY, V_FILES), allows_out_of_order=True))
    assert (proofs(told), told.pending) == ({"V1__people": Proof.COVERED, "V3__name": Proof.NOT_KEPT}, ("V2__age",))


def test_a_failed_row_of_flyway(before: Forerunner) -> None:
    """Is told with what helps, and makes no ledger."""
    layout = flyway_was_here(before, 1)
    before.flyway("2", "V2__age.sql", 5, success=False)
    error = refused(ordered(before, layout))
    assert (error.reason, "Partial: V2__age.sql: " in error.message, "flyway repair" in error.message) == (
        Reason.NEEDS_RESOLUTION,
        True,
        True,
    )
    assert before.server.execute("select to_regnamespace('dbcustody')::text", database="shop") == [(None,)]


def test_golang_migrate_is_adopted_and_gone_on_with(before: Forerunner) -> None:
    """Of its one number; nothing to be verified, and no time."""
    layout = layout_of(Tool.GOLANG_MIGRATE, M_FILES)
    before.make(GOLANG_MIGRATE)
    before.run(V_FILES["V1__people.sql"])
    before.golang_migrate(1)
    first = adopt(ordered(before, layout))
    before.run(V_FILES["V2__age.sql"])
    before.golang_migrate(2)
    with pytest.raises(DbcustodyError) as twice:
        migrate(ours(before, layout))
    second = adopt(ordered(before, layout))
    deployed = migrate(ours(before, layout))

    assert (proofs(first), twice.value.reason) == ({"000001_people": Proof.NOT_KEPT}, Reason.HISTORY_FOREIGN)
    assert "000002_age: carried out or begun by golang-migrate (public.schema_migrations)" in twice.value.message
    assert ([entry.script.name for entry in second.new], columns(before)) == (["000002_age"], ["id", "age", "name"])
    assert deployed.applied == ("000001_people", "000002_age", "000010_name")
    assert before.server.execute("select * from schema_migrations", database="shop") == [(2, False)]


def test_what_the_other_tool_began_after_it_was_adopted(before: Forerunner) -> None:
    """Half of it may be in: it is not run a second time, and what else is pending waits until somebody has looked."""
    layout = flyway_was_here(before, 1)
    adopt(ordered(before, layout))
    before.flyway("2", "V2__age.sql", 5, success=False)
    with pytest.raises(DbcustodyError) as error:
        migrate(ours(before, layout))
    elsewhere = layout_of(Tool.FLYWAY, {name: text for name, text in V_FILES.items() if "2" not in name})
    with pytest.raises(DbcustodyError) as other:
        migrate(ours(before, elsewhere))

    assert (error.value.reason, other.value.reason) == (Reason.HISTORY_FOREIGN, Reason.HISTORY_FOREIGN)
    assert ("V2__age: carried out or begun" in error.value.message, columns(before)) == (True, ["id"])
    assert "V2__age.sql: carried out or begun" in other.value.message


def test_a_dirty_row_of_golang_migrate(before: Forerunner) -> None:
    """The version it stands at was begun."""
    before.make(GOLANG_MIGRATE)
    before.golang_migrate(2, is_dirty=True)
    error = refused(ordered(before, layout_of(Tool.GOLANG_MIGRATE, M_FILES)))
    assert (error.reason, "migrate force VERSION" in error.message) == (Reason.NEEDS_RESOLUTION, True)


def test_a_table_of_somebody_else_by_the_same_name(before: Forerunner) -> None:
    """Rails and dbmate count in texts."""
    before.run("create table schema_migrations (version varchar primary key)")
    error = refused(ordered(before, layout_of(Tool.GOLANG_MIGRATE, M_FILES)))
    assert (error.reason, "no history of golang-migrate in this database" in error.message) == (
        Reason.SOURCE_INVALID,
        True,
    )


def test_atlas_is_adopted_and_gone_on_with(before: Forerunner) -> None:
    """From the schema that it makes for itself, with its own row left aside."""
    layout = layout_of(Tool.ATLAS, A_FILES)
    before.schema = "atlas_schema_revisions"
    before.run("create schema atlas_schema_revisions")
    before.make(ATLAS)
    before.atlas(".atlas_cloud_identifier", "")
    for version in ("20230101120000", "20230102120000"):
        name = next(name for name in A_FILES if name.startswith(version))
        before.run(A_FILES[name])
        before.atlas(version, min(atlas.chained([one.up for one in layout.migrations])[version]))
    found = adopt(ordered(before, layout))
    deployed = migrate(ours(before, layout))

    assert set(proofs(found).values()) == {Proof.VERIFIED}
    assert found.predecessor.table == "atlas_schema_revisions.atlas_schema_revisions"
    assert (len(deployed.applied), columns(before)) == (3, ["id", "age", "name"])


@pytest.mark.parametrize("how", [{"error": "it broke"}, {"applied": 0}])
def test_a_row_of_atlas_that_is_not_whole(before: Forerunner, how: dict[str, object]) -> None:
    """With an error, or with fewer statements than there are; a baseline before it is none."""
    before.make(ATLAS)
    before.atlas("20230101120000", "", kind=1)
    before.insert(
        "atlas_schema_revisions",
        **(
            {
                "version": "20230102120000", "description": "", "applied": 1, "total": 1, "executed_at": FIRST,
                "execution_time": 1, "hash": "x", "operator_version": "",
            } | how
        ),
    )  # fmt: skip
    told = survey(ordered(before, layout_of(Tool.ATLAS, A_FILES)))
    assert [(one.kind, one.name) for one in told.differences] == [(Kind.PARTIAL, "20230102120000")]
    assert proofs(told) == {"20230101120000_people": Proof.COVERED}


def test_where_the_history_lies(before: Forerunner) -> None:
    """In another schema it is found; of two somebody says which; by another name it is named."""
    layout = flyway_was_here(before, 1)
    before.run("create schema other")
    before.schema = "other"
    before.make(FLYWAY)
    two = refused(ordered(before, layout))
    named = survey(ordered(before, layout, "other.flyway_schema_history"))
    before.run("alter table other.flyway_schema_history rename to my_history")
    odd = survey(ordered(before, layout, "my_history"))
    nowhere = refused(ordered(before, layout, "other.nothing"))

    assert (two.reason, "public.flyway_schema_history" in two.message) == (Reason.SOURCE_INVALID, True)
    assert (named.entries, odd.predecessor.table) == ((), "other.my_history")
    assert "no history of Flyway in other.nothing" in nowhere.message


def test_only_reading_is_needed_of_the_other_table(before: Forerunner) -> None:
    """Without that right it is told what to grant, also by who would only deploy."""
    layout = flyway_was_here(before, 1)
    before.server.execute("grant create on database shop to reader")
    before.run("alter table people owner to reader")
    target = replace(ours(before).target, user="reader", password="reader")
    error = refused(ordered(before, layout, target=target))
    with pytest.raises(DbcustodyError) as deploying:
        migrate(ours(before, layout, target=target))
    before.run("grant select on flyway_schema_history to reader")
    found = adopt(ordered(before, layout, target=target))

    assert (error.reason, "GRANT SELECT ON public.flyway_schema_history" in error.message) == (
        Reason.PRIVILEGES_MISSING,
        True,
    )
    assert (deploying.value.reason, "GRANT SELECT ON" in deploying.value.message) == (Reason.HISTORY_FOREIGN, True)
    assert len(found.new) == 1


def test_all_of_it_or_nothing(before: Forerunner) -> None:
    """When the server refuses the last row, the first is not in either; the next try takes both."""
    layout = flyway_was_here(before, 1, 2)
    migrate(ours(before))
    before.run("alter table dbcustody.attempt add constraint broken check (name <> 'V2__age')")
    error = refused(ordered(before, layout))
    after = written(before)
    before.run("alter table dbcustody.attempt drop constraint broken")

    assert (error.reason, after) == (Reason.MIGRATION_FAILED, [])
    assert len(adopt(ordered(before, layout)).new) == 2


def test_two_at_once_take_it_over_once(before: Forerunner) -> None:
    """Whoever comes second finds it done."""
    layout = flyway_was_here(before, 1, 2)
    threads = [threading.Thread(target=adopt, args=(ordered(before, layout),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [name for name, *_ in written(before)] == ["V1__people", "V2__age"]


def test_a_dump_is_waited_for(before: Forerunner) -> None:
    """As every migration does."""
    layout = flyway_was_here(before, 1)
    with (
        connect(ours(before).target) as dumping,
        DatabaseLock(dumping, custody_id=CUSTODY, maintenance_database="postgres") as lock,
    ):
        lock.acquire(BACKUP_LOCKS, wait_seconds=0, stop=threading.Event())
        assert refused(ordered(before, layout, lock_wait_seconds=0)).reason is Reason.DATABASE_BUSY
    assert len(adopt(ordered(before, layout)).new) == 1


def test_another_application_in_the_same_database(before: Forerunner) -> None:
    """Its history is not ours to adopt: somebody says so once, and is not asked again."""
    flyway_was_here(before, 1)
    migrator = Migrator.of(before.server, {"20261101_120000_begin.sql": "create table begun (id int);\n"})
    with pytest.raises(DbcustodyError) as error:
        migrator.migrate()
    migrator.migrate(accepts_heritage=True)
    migrator.files["20261102_120000_more.sql"] = "create table more (id int);\n"

    assert error.value.reason is Reason.HISTORY_FOREIGN
    assert migrator.migrate().applied == ("20261101_120000_begin", "20261102_120000_more")


def test_a_history_that_was_never_used_stands_in_nobodys_way(before: Forerunner) -> None:
    """Its table is empty."""
    before.make(FLYWAY)
    assert look(ours(before, layout_of(Tool.FLYWAY, V_FILES))).applied == ()
    assert len(migrate(ours(before, layout_of(Tool.FLYWAY, V_FILES))).applied) == 3


def test_what_cannot_run_is_told_before_anything_runs(before: Forerunner) -> None:
    """Neither forth nor back."""
    files = V_FILES | {"V3__name.sql": "begin;\nselect 1;\n", "U2__age.sql": "commit;\n"}
    layout = flyway_was_here(before, 1)
    adopt(ordered(before, layout))
    with pytest.raises(DbcustodyError) as forth:
        migrate(ours(before, layout_of(Tool.FLYWAY, files)))
    del files["V3__name.sql"], files["U3__name.sql"]
    migrate(ours(before, layout_of(Tool.FLYWAY, files)))
    with pytest.raises(DbcustodyError) as back:
        roll_back(ours(before, layout_of(Tool.FLYWAY, files)), "V1__people")

    assert (forth.value.reason, "V3__name.sql: line 1" in forth.value.message) == (Reason.SOURCE_INVALID, True)
    assert (back.value.reason, "U2__age.sql: line 1" in back.value.message) == (Reason.SOURCE_INVALID, True)
    assert columns(before) == ["id", "age"]


def test_nobody_reads_what_is_no_table(before: Forerunner) -> None:
    """A view by that name may do anything."""
    before.run("create view schema_migrations as select 1::bigint as version, false as dirty")
    with connect(ours(before).target) as session:
        assert find_predecessors(session) == ()
