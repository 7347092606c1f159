"""`kubectl dbcustody plan` and `timeline`: the SQL that would run, what is risky about it, and what happened so far."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from dbcustody.adapters.kube import CONFIG_MAPS, EVENTS, ours
from dbcustody.api.migration import SeverityClass, StatedFinding
from dbcustody.api.migration_error import StatedError
from dbcustody.api.migration_source import InlineFile, MigrationSource, SourceImage
from dbcustody.api.restore import StatedObstacle
from dbcustody.migration.digest import file_digest, source_digest
from dbcustody.reason import Reason
from tests.fakes import seen
from tests.fakes.counter import Counter
from tests.fakes.migration_plane import ALL_IN, FILE, PENDING, TO_DO, MigrationPlane, looked, migration, told
from tests.gitops.bodies import body_of

if TYPE_CHECKING:
    from pathlib import Path

    from dbcustody.facts import MigrationFacts

SQL = "select 1;\ndrop table people where name = 'x'"
DROP = "alter table people\n    drop column age"
FINDING = StatedFinding(
    migration=f"{FILE}.sql", rule="change-type", severity=SeverityClass.ERROR, message="nobody can write; do it", line=1
)


def counter(facts: MigrationFacts = TO_DO, *, text: str = "select 1") -> Counter:
    """Return a person before a resource of which *facts* were told, and its ConfigMap with *text*."""
    found = Counter()
    found.kube.have(body_of(looked(facts).migration))
    files = {f"{FILE}.sql": text, "README.md": "for people"}
    found.kube.keep(CONFIG_MAPS, {"metadata": {"name": "shop-migrations", "namespace": "team"}, "data": files})
    return found


def test_the_sql_that_would_run_is_shown_with_its_locks(capsys: pytest.CaptureFixture[str]) -> None:
    """And with the hash that one agrees to, and what it waits for."""
    assert counter(text=DROP).type("plan", "pgmig/shop") == 2
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        f"{FILE}: Safe",
        "  AccessExclusiveLock on people for a moment: readers and writers wait",
        "    alter table people",
        "        drop column age;",
        f"plan: {PENDING.hash}",
        "Ready=Unknown Running: migrations to be carried out: 1",
    ]
    assert err == "note: the files are others than those that were planned\n"


def test_what_is_risky_is_shown_with_sql_that_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    """Status has no SQL: the recipe comes from the file, by the finding's rule and line."""
    obstacle = StatedObstacle(reason="LintFailed", message="too risky")
    unknown = replace(FINDING, rule="no-longer-known", line=None, waived=True)
    stated = replace(
        PENDING,
        findings=(FINDING, unknown, replace(FINDING, migration="another.sql")),
        refused=1,
        obstacles=(obstacle,),
    )
    text = "alter table orders alter column amount type bigint"
    assert counter(replace(TO_DO, plan=stated, pending=3), text=text).type("plan", "shop") == 3
    out = capsys.readouterr().out
    assert "  line 1: Error change-type: nobody can write; do it\n" in out
    assert "      -- 1 of " in out
    assert "add column amount_new bigint" in out
    assert "  Error no-longer-known: nobody can write; do it (waived)\n" in out
    assert "and 2 more\nin the way: LintFailed: too risky\n" in out
    assert out.count("change-type") == 1


def test_a_file_that_is_gone_is_said_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    """As when the ConfigMap was deleted since."""
    found = Counter()
    found.kube.have(body_of(looked().migration))
    assert found.type("plan", "shop") == 2
    out, err = capsys.readouterr()
    assert "  its file is not in the source any more\n" in out
    assert "note: ConfigMap shop-migrations: is not there\n" in err


def test_inline_files_are_read_too(capsys: pytest.CaptureFixture[str]) -> None:
    """They stand in the resource."""
    source = MigrationSource(inline=(InlineFile(name=f"{FILE}.sql", sql="select 42"),))
    found = Counter()
    found.kube.have(body_of(looked(of=migration(source=source)).migration))
    found.type("plan", "shop")
    out, err = capsys.readouterr()
    assert ("    select 42;\n" in out, err) == (True, "")


def test_what_was_refused_last_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Below the plan, and in its place in the timeline."""
    words = {"message": "already there \x1b[2J", "constraint": "one_each"}
    error = StatedError(sqlstate="23505", revision=FILE, line=3, time=seen.NOW, **words)
    line = f"{FILE}: line 3: already there  [2J (SQLSTATE 23505, constraint one_each)"
    found = counter(replace(TO_DO, last_error=error))
    found.type("plan", "shop")
    assert capsys.readouterr().out.splitlines()[-2] == f"refused last: {line}"
    found.type("timeline", "shop")
    assert ["refused", line] in [row.split(maxsplit=2)[1:] for row in capsys.readouterr().out.splitlines()]


def test_nothing_pending_is_in_sync(capsys: pytest.CaptureFixture[str]) -> None:
    """With exit code 0."""
    assert counter(ALL_IN).type("plan", "shop") == 0
    assert capsys.readouterr().out.startswith("nothing is pending\nReady=True Applied: ")


def test_a_plan_that_was_not_told_yet_is_no_plan(capsys: pytest.CaptureFixture[str]) -> None:
    """Why is said where it is known."""
    fresh, failed = Counter(), Counter()
    fresh.kube.have(body_of(migration()))
    plane = MigrationPlane()
    plane.step()
    plane.ends(told(None, Reason.SOURCE_INVALID, "a.sql: line 3: no"))
    plane.step()
    failed.kube.have(body_of(plane.migration))
    assert [one.type("plan", "shop") for one in (fresh, failed)] == [1, 1]
    assert capsys.readouterr().err.splitlines() == [
        "error: shop: has told no plan yet",
        "error: shop: has told no plan yet: SourceInvalid: a.sql: line 3: no",
    ]


@pytest.mark.parametrize("verb", ["plan", "timeline"])
@pytest.mark.parametrize(("place", "code"), [("pgmig/other", 1), ("other", 1), ("backup/shop", 64)])
def test_what_is_no_migration_is_refused(verb: str, place: str, code: int) -> None:
    """Missing, or of another kind."""
    assert counter().type(verb, place) == code


def test_what_happened_is_told_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    """Attempts, conditions, Approvals, backups and Events; those of others are not."""
    found = counter()
    place = {"namespace": "team", "creationTimestamp": "2026-01-31T10:00:00Z"}
    about = {"kind": "DatabaseMigration", "name": "shop"}
    for name, kind in (("yes", "DatabaseMigration"), ("other", "RestoreRequest")):
        spec = {"requestRef": {**about, "kind": kind}, "planHash": "abcdef", "decision": "Approve", "approver": "ivan"}
        found.kube.keep(ours("approvals"), {"metadata": {"name": name, **place}, "spec": spec})
    labels = {"dbcustody.dev/request": "shop"}
    backup = {"metadata": {"name": "b", "labels": labels, **place}, "status": {"finishTime": "2026-01-31T10:05:00Z"}}
    found.kube.keep(ours("backups"), backup)
    uid = looked().migration.metadata.uid
    event: dict[str, Any] = {
        "metadata": {"name": "e", **place},
        "involvedObject": {"uid": uid},
        "reason": "Planned",
        "message": "line\x1b[2J one",
        "lastTimestamp": "2026-01-31T10:01:00Z",
    }
    found.kube.keep(EVENTS, event)
    assert found.type("timeline", "shop") == 0
    lines = [line.split(None, 2) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["TIME", "WHAT", "WORDS"]
    told = [line for line in lines if line[0] < "2026-01-31T11"]
    assert told == [
        ["2026-01-31T10:00:00Z", "Approve", "Approval yes of plan abcdef by ivan"],
        ["2026-01-31T10:00:00Z", "backup", "Backup b is asked for"],
        ["2026-01-31T10:01:00Z", "Planned", "line [2J one"],
        ["2026-01-31T10:05:00Z", "backup", "Backup b is over"],
    ]
    assert any(line[1] == "Running" for line in lines)


def test_of_an_image_the_sql_comes_from_a_checkout(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Which is held against the digest of what was planned; without one it is said where the files lie."""
    image = SourceImage(reference="example.org/shop:1", path="/app/migrations")
    files = [(f"{FILE}.sql", file_digest(b"select 41;\n"))]
    facts = replace(TO_DO, source_digest=source_digest(files))
    found = Counter()
    found.kube.have(body_of(looked(facts, of=migration(source=MigrationSource(image=image))).migration))
    assert found.type("plan", "shop") == 2
    assert (
        "note: the files lie in the image example.org/shop:1, below /app/migrations; `--dir`" in capsys.readouterr().err
    )
    (tmp_path / "README.md").write_text("for people")
    (tmp_path / f"{FILE}.sql").write_text("select 41;\n")
    assert found.type("plan", "shop", "--dir", str(tmp_path)) == 2
    out, err = capsys.readouterr()
    assert ("    select 41;\n" in out, err) == (True, "")
    (tmp_path / f"{FILE}.sql").write_text("select 42;\n")
    assert found.type("plan", "shop", "--dir", str(tmp_path)) == 2
    assert "note: the files are others than those that were planned" in capsys.readouterr().err


def test_a_checkout_of_what_is_in_a_config_map_may_have_its_text_for_people(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """It counts there, as every key does, whether the folder beside has it or not."""
    (tmp_path / "README.md").write_text("for people")
    (tmp_path / f"{FILE}.sql").write_text("select 1")
    for files in ([f"{FILE}.sql"], [f"{FILE}.sql", "README.md"]):
        body = body_of(looked().migration)
        pairs = ((name, file_digest((tmp_path / name).read_bytes())) for name in files)
        body["status"]["sourceDigest"] = source_digest(pairs)
        found = Counter()
        found.kube.have(body)
        assert found.type("plan", "shop", "--dir", str(tmp_path)) == 2
        assert capsys.readouterr().err == ""
