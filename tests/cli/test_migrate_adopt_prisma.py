"""A database that Prisma has migrated is adopted and gone on with, as people type it: its exact table, its checksums, its odd rows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ground.postgres import PostgresServer
from tests.fakes.forerunner import FIRST, PRISMA, Forerunner, sha256
from tests.fakes.typist import Shell

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.postgres
INIT, AGE, NAME = "20230101120000_init", "20230102120000_age", "20230103120000_name"
TEXTS = {
    INIT: '-- CreateTable\nCREATE TABLE "people" (\n    "id" INTEGER NOT NULL\n);\n',
    AGE: '-- AlterTable\nALTER TABLE "people" ADD COLUMN "age" INTEGER;\n',
    NAME: '-- AlterTable\nALTER TABLE "people" ADD COLUMN "name" TEXT;\n',
}
FOLDER = ("--dir", "prisma/migrations")


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server."""
    with PostgresServer(17) as started:
        yield started


class Project:
    """A project that Prisma migrated, and who types in it."""

    def __init__(self, server: PostgresServer, folder: Path) -> None:
        self.shell = Shell(server, folder)
        self.folder = folder / "prisma" / "migrations"
        self.before = Forerunner(server=server)
        self.folder.mkdir(parents=True)
        (self.folder / "migration_lock.toml").write_text('# do not edit\nprovider = "postgresql"\n')
        for name, text in TEXTS.items():
            self.write(name, text)

    def write(self, name: str, text: str, *, down: str | None = None) -> None:
        """Write a migration with the line ends of its text."""
        (self.folder / name).mkdir(exist_ok=True)
        (self.folder / name / "migration.sql").write_bytes(text.encode())
        if down is not None:
            (self.folder / name / "down.sql").write_text(down)

    def deployed(self, *names: str) -> None:
        """Let Prisma carry out *names*."""
        self.before.make(PRISMA)
        for name in names:
            self.before.prisma(name, TEXTS[name])

    def type(self, verb: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Type a command for its folder."""
        return self.shell.type(verb, *FOLDER, *words)

    def rows(self) -> list[tuple[object, ...]]:
        """Return everything in Prisma's table."""
        return self.shell.server.execute("select * from _prisma_migrations order by started_at", database="shop")

    def imported(self) -> list[tuple[object, ...]]:
        """Return what our ledger has taken over, in its order."""
        if not self.has_ledger():
            return []
        words = (
            "select a.name, o.state, o.ended_at::text, o.reason from dbcustody.attempt a "
            "join dbcustody.outcome o on o.attempt = a.id order by a.id"
        )
        return self.shell.server.execute(words, database="shop")

    def has_ledger(self) -> bool:
        """Return whether our schema is there."""
        return self.shell.server.execute("select to_regnamespace('dbcustody') is not null", database="shop") == [
            (True,)
        ]


@pytest.fixture
def project(server: PostgresServer, tmp_path: Path) -> Iterator[Project]:
    """Return a project, and a new database."""
    server.execute("create database shop")
    yield Project(server, tmp_path)
    server.execute("drop database shop with (force)")


def missing(told: subprocess.CompletedProcess[str], *words: str) -> list[str]:
    """Return those of *words* that were not said."""
    return [word for word in words if word not in told.stdout + told.stderr]


def test_adopted_once_and_gone_on_with(project: Project) -> None:
    """Verified byte by byte, nothing run, Prisma's table as it was; then status, plan, deploy and rollback in the same folder."""
    project.deployed(INIT, AGE)
    before = project.rows()
    adopted = project.type("adopt")
    again = project.type("adopt")
    status, planned = project.type("status"), project.type("plan")
    project.write(NAME, TEXTS[NAME], down="alter table people drop column name;\n")
    deployed = project.type("deploy")
    columns = project.shell.columns()
    undone = project.type("rollback", "--to", AGE, "--yes")

    assert adopted.stdout.splitlines() == [
        "MIGRATION            CHECKSUM  APPLIED AT",
        f"{INIT}  verified  2023-01-01T12:01:01Z",
        f"{AGE}   verified  2023-01-01T12:02:01Z",
        "Prisma (public._prisma_migrations): 2 adopted, 1 pending",
        f"  {NAME}: pending",
        "next: dbcustody migrate plan --dir prisma/migrations",
    ]
    assert (adopted.returncode, again.returncode) == (0, 0)
    assert missing(again, "0 adopted, 2 adopted before, 1 pending", "adopted before") == []
    assert (status.returncode, planned.returncode) == (2, 2)
    assert missing(status, f"{INIT}  Applied", f"{NAME}  Pending", "2 applied, 1 pending") == []
    assert (deployed.returncode, columns) == (0, ["id", "age", "name"])
    assert (undone.returncode, project.shell.columns()) == (0, ["id", "age"])
    assert project.rows() == before
    rows = project.imported()
    assert [row[:3] for row in rows[:2]] == [
        (INIT, "Imported", "2023-01-01 12:01:01+00"),
        (AGE, "Imported", "2023-01-01 12:02:01+00"),
    ]
    assert str(rows[0][3]).startswith("history of Prisma (public._prisma_migrations), checksum ")


def test_a_dry_run_writes_nothing(project: Project) -> None:
    """Not even a ledger."""
    project.deployed(INIT, AGE)
    told, as_json = project.type("adopt", "--dry-run"), project.type("adopt", "--dry-run", "--json")

    found = json.loads(as_json.stdout)
    assert (told.returncode, missing(told, "2 would be adopted, 1 pending", "next: dbcustody migrate adopt")) == (0, [])
    assert (found["tool"], found["table"], found["adopted"], found["pending"]) == (
        "prisma",
        "public._prisma_migrations",
        0,
        [NAME],
    )
    assert [(one["migration"], one["checksum"]) for one in found["migrations"]] == [
        (INIT, "verified"),
        (AGE, "verified"),
    ]
    assert not project.has_ledger()


def test_nothing_runs_twice_because_nobody_adopted(project: Project) -> None:
    """Status tells of the history, deploy refuses with it, both name the command; also when Prisma went on alone afterwards."""
    project.deployed(INIT)
    status, deployed = project.type("status"), project.type("deploy")
    columns = project.shell.columns()
    project.type("adopt")
    project.before.prisma(AGE, TEXTS[AGE])
    later, told = project.type("deploy"), project.type("status", "--json")
    project.type("adopt")
    last = project.type("deploy")

    assert (status.returncode, missing(status, "has 1 row", "dbcustody migrate adopt --from prisma")) == (2, [])
    assert (deployed.returncode, columns) == (4, ["id"])
    assert missing(deployed, "HistoryForeign: Prisma (public._prisma_migrations)", "migrate adopt --from prisma") == []
    assert (later.returncode, missing(later, f"{AGE}: carried out or begun by Prisma")) == (4, [])
    assert len(json.loads(told.stdout)["otherHistories"]) == 1
    assert (last.returncode, last.stdout, project.shell.columns()) == (
        0,
        f"1 migration applied, the last is {NAME}\n",
        ["id", "age", "name"],
    )


def test_a_checkout_on_windows_is_no_edit(project: Project) -> None:
    """Both ways round; and the same file checked out elsewhere is not edited afterwards either."""
    project.deployed()
    project.write(INIT, TEXTS[INIT].replace("\n", "\r\n"))
    project.before.prisma(INIT, TEXTS[INIT])
    windows = TEXTS[AGE].replace("\n", "\r\n")
    project.before.prisma(AGE, windows)
    adopted = project.type("adopt")
    project.write(INIT, TEXTS[INIT])
    project.write(AGE, windows)

    assert (adopted.returncode, adopted.stdout.count("verified")) == (0, 2)
    assert missing(project.type("status"), "2 applied, 1 pending") == []


def test_several_rows_of_one_name(project: Project) -> None:
    """Rolled back and applied again it is in; rolled back alone it is pending."""
    project.deployed(INIT)
    project.before.prisma(AGE, TEXTS[AGE].replace("INTEGER", "INTEGR"), end="rolled back")
    project.before.prisma(AGE, TEXTS[AGE])
    project.before.prisma(NAME, TEXTS[NAME], end="rolled back")
    adopted = project.type("adopt")

    assert (adopted.returncode, missing(adopted, "2 adopted, 1 pending", f"{NAME}: pending")) == (0, [])
    assert [row[0] for row in project.imported()] == [INIT, AGE]
    assert (project.type("deploy").returncode, project.shell.columns()) == (0, ["id", "age", "name"])


def test_behind_and_failed_and_edited_are_told_together(project: Project) -> None:
    """Prisma's status would end with the first of them, or say that all is well."""
    project.deployed(INIT)
    project.before.prisma("20230101130000_gone", "select 1;\n")
    project.before.prisma(AGE, TEXTS[AGE], end="failed")
    project.write(INIT, TEXTS[INIT] + "-- more\n")
    told, trial = project.type("adopt"), project.type("adopt", "--dry-run")

    assert (told.returncode, trial.returncode, project.has_ledger()) == (4, 4, False)
    assert missing(told, f"Partial: {AGE}: ", "prisma migrate resolve", f"Edited: {INIT}: ", "put back the text") == []
    assert missing(told, "Missing: 20230101130000_gone: ", "nothing was taken over", "NeedsResolution: ") == []
    assert project.imported() == []


def test_rows_that_no_file_is_of_are_not_up_to_date(project: Project) -> None:
    """Although nothing is pending."""
    project.deployed(INIT, AGE, NAME)
    project.before.prisma("20230104120000_unknown", "select 1;\n")
    told, as_json = project.type("adopt"), project.type("adopt", "--json")
    found = json.loads(as_json.stdout)

    assert (told.returncode, missing(told, "Missing: 20230104120000_unknown: ", "HistoryBroken: ")) == (7, [])
    assert (as_json.returncode, found["adopted"]) == (7, 0)
    assert [(one["kind"], one["migration"]) for one in found["differences"]] == [("Missing", "20230104120000_unknown")]
    assert project.imported() == []


def test_an_older_file_that_was_merged_late_is_refused(project: Project) -> None:
    """Prisma runs it without a word; here somebody has to say so, before and after it was adopted."""
    project.deployed(INIT, NAME)
    refused = project.type("adopt")
    adopted = project.type("adopt", "--out-of-order")
    deployed, allowed = project.type("deploy"), project.type("deploy", "--out-of-order")

    assert (refused.returncode, missing(refused, f"OutOfOrder: {AGE}: ")) == (7, [])
    assert (adopted.returncode, deployed.returncode, allowed.returncode) == (0, 7, 0)
    assert missing(deployed, f"OutOfOrder: {AGE}: ") == []
    assert sorted(project.shell.columns()) == ["age", "id", "name"]


def test_what_ran_is_not_refused_by_our_rules_and_what_is_to_run_is(project: Project) -> None:
    """Prisma runs `BEGIN` and several statements beside an index built concurrently; nobody can change what is in."""
    odd = 'BEGIN;\nCREATE TABLE "people" ("id" INTEGER NOT NULL);\nCOMMIT;\nVACUUM;\n'
    project.write(INIT, odd)
    project.deployed()
    project.before.run('CREATE TABLE "people" ("id" INTEGER NOT NULL)')
    project.before.prisma(INIT, "select 1;\n", checksum=sha256(odd))
    project.write(AGE, "BEGIN;\nALTER TABLE people ADD COLUMN age INTEGER;\nCOMMIT;\n")
    adopted, deployed, linted = project.type("adopt"), project.type("deploy"), project.type("lint")

    assert (adopted.returncode, missing(adopted, "1 adopted, 2 pending")) == (0, [])
    assert (deployed.returncode, linted.returncode) == (1, 1)
    assert missing(deployed, f"SourceInvalid: {AGE}/migration.sql: line 1", "BEGIN is not a migration's to say") == []
    assert f"{INIT}/migration.sql" not in deployed.stderr
    project.write(AGE, TEXTS[AGE])
    assert (project.type("deploy").returncode, project.shell.columns()) == (0, ["id", "age", "name"])


def test_a_ledger_that_says_otherwise_is_not_overruled(project: Project) -> None:
    """What was edited since it was adopted, and what Prisma has taken back since."""
    project.deployed(INIT, AGE)
    project.type("adopt")
    project.before.prisma_edits(AGE, rolled_back_at=FIRST)
    project.write(INIT, TEXTS[INIT] + "\n")
    project.before.prisma_edits(INIT, checksum=sha256(TEXTS[INIT] + "\n"))
    told = project.type("adopt")

    assert (told.returncode, missing(told, f"Unknown: {AGE}: was adopted", f"Edited: {INIT}: was ")) == (7, [])


def test_what_is_not_there_is_told(project: Project) -> None:
    """No history, no folder, a folder of nobody, one for another database system."""
    nothing = project.type("adopt")
    project.deployed(INIT)
    nowhere = project.shell.type("adopt", "--dir", "elsewhere")
    ours = project.shell.type("adopt")
    (project.folder / "migration_lock.toml").write_text('provider = "mysql"\n')
    other = project.type("status")

    assert (nothing.returncode, missing(nothing, "SourceInvalid: no history of Prisma", "--history-table")) == (1, [])
    assert (nowhere.returncode, ours.returncode, other.returncode) == (64, 1, 1)
    assert missing(ours, "SourceInvalid: migrations: is laid out as no tool does", "--from") == []
    assert missing(other, "migration_lock.toml: says that the migrations are for mysql") == []


def test_plan_and_lint_before_and_after(project: Project) -> None:
    """Before it was adopted they say so and go on; without a database what came before is not judged, nor are its faults."""
    project.deployed(INIT)
    project.write(INIT, "BEGIN;\n" + TEXTS[INIT])
    project.write(NAME, 'ALTER TABLE "people" DROP COLUMN "age";\n')
    planned, linted = project.type("plan"), project.type("lint")
    offline = project.type("lint", "--offline", "--since", INIT)
    broken = project.type("lint", "--offline")

    assert (planned.returncode, linted.returncode, offline.returncode, broken.returncode) == (3, 3, 3, 1)
    assert missing(planned, "note: Prisma (public._prisma_migrations): has 1 row", NAME) == []
    assert missing(linted, "note: Prisma (public._prisma_migrations): has 1 row", f"{NAME}/migration.sql: line 1") == []
    assert missing(offline, f"{NAME}/migration.sql: line 1: Error drop-column") == []
    assert missing(broken, f"{INIT}/migration.sql: line 1", "BEGIN is not a migration's to say") == []


def test_a_history_of_another_application_is_passed_by_once(project: Project) -> None:
    """Somebody has to say so; afterwards our ledger has a history of its own."""
    project.deployed(INIT)
    refused = project.shell.type("deploy")
    (project.shell.files / "20261101_120000_begin.sql").write_text("create table begun (id int);\n")
    (project.shell.files / "20261102_120000_age.sql").write_text("alter table begun add column age int;\n")
    (project.shell.files / "20261101_120000_begin.down.sql").unlink()
    passed = project.shell.type("deploy", "--beside-other-history")
    project.shell.write("20261103_120000_more", "create table more (id int);\n")
    later = project.shell.type("deploy")

    assert (refused.returncode, missing(refused, "HistoryForeign: ", "--beside-other-history")) == (4, [])
    assert (passed.returncode, later.returncode) == (0, 0)


def test_a_new_one_is_laid_out_as_prisma_does(project: Project) -> None:
    """So that Prisma would know it, too."""
    project.write("20991231235959_far", "select 1;\n")
    made = project.type("new", "add more", "--down")
    assert made.stdout.split() == [
        f"prisma/migrations/21000101000000_add_more/{name}" for name in ("migration.sql", "down.sql")
    ]
