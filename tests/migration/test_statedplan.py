"""What status tells of a plan: names, risks, what stands in the way, and no SQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from dbcustody.api.migration import (
    FailOn,
    LikenessClass,
    RiskClass,
    SeverityClass,
    StatedMigrationPlan,
    Way,
)
from dbcustody.api.migration_error import StatedError
from dbcustody.codec import encode
from dbcustody.migration.aim import Aim, Declaration
from dbcustody.migration.directive import Waiver
from dbcustody.migration.drift import Drift, Likeness
from dbcustody.migration.history import History, compare
from dbcustody.migration.ledger import Attempt, State
from dbcustody.migration.lint import judge
from dbcustody.migration.planned import Policy, Prospect, make_plan
from dbcustody.migration.script import SourceFile, read_scripts
from dbcustody.migration.statedplan import (
    MOST_OBSTACLES,
    stated_attempts,
    stated_drift,
    stated_error,
    stated_plan,
)

A, B = "20260101_000000_a", "20260102_000000_b"
FILES = {
    f"{A}.sql": "create table a (id int)",
    f"{A}.down.sql": "drop table a",
    f"{B}.sql": "select 1;\ngrant select on t to public;\nupdate t set email = 'jane@example.org' where b;\ndrop table b",
    f"{B}.down.sql": "create table b ()",
}


def history(files: dict[str, str] = FILES, *attempts: Attempt) -> History:
    """Return how a database with *attempts* stands to *files*."""
    source = read_scripts(SourceFile(name=name, content=text.encode()) for name, text in files.items())
    assert source.faults == ()
    return compare(source.scripts, attempts)


def stated(found: History, policy: Policy | None = None, aim: Aim | None = None) -> StatedMigrationPlan:
    """Return what is told of what *found* has pending, or of what *aim* says."""
    policy, aim = policy or Policy(), aim or Aim(forth=found.pending)
    prospect = Prospect(history=found, aim=aim)
    return stated_plan(make_plan(judge(aim.forth, {}, waivers=policy.waivers), prospect, policy), found)


def attempt(state: State, *, checksum: str | None = None) -> Attempt:
    """Return what the ledger says of the first migration."""
    return Attempt(ordinal=1, revision="20260101_000000", name=A, state=state, checksum=checksum)


def test_each_migration_is_told_with_its_risk() -> None:
    """What destroys is irreversible though it has a way back, and what has none is, too."""
    found = stated(history())
    assert [(one.name, one.risk, one.irreversible) for one in found.migrations] == [
        (A, RiskClass.SAFE, False),
        (B, RiskClass.DESTRUCTIVE, True),
    ]
    assert (found.risk, found.irreversible) == (RiskClass.DESTRUCTIVE, True)
    alone = stated(history({f"{A}.sql": FILES[f"{A}.sql"]}))
    assert [one.irreversible for one in alone.migrations] == [True]


def test_nothing_to_do_has_no_risk() -> None:
    """An empty plan has a hash all the same."""
    found = stated(history({}))
    assert (found.migrations, found.risk, found.irreversible, found.obstacles) == ((), None, False, ())
    assert len(found.hash) == 16


def test_what_is_too_risky_stands_in_the_way() -> None:
    """The worst first, each with its line; what is only a warning is told, and notes are not."""
    found = stated(history())
    assert [(one.rule, one.severity, one.line) for one in found.findings] == [
        ("drop-table", SeverityClass.ERROR, 4),
        ("grant-public", SeverityClass.WARNING, 2),
    ]
    assert found.refused == 1
    assert [one.reason for one in found.obstacles] == ["LintFailed"]
    assert found.obstacles[0].message.startswith(f"{B}.sql: line 4: Error drop-table: ")


def test_what_is_waived_is_told_and_does_not_stand_in_the_way() -> None:
    """After everything that is not."""
    found = stated(history(), Policy(waivers=(Waiver("drop-table", "nobody needs it"),)))
    assert [(one.rule, one.waived) for one in found.findings] == [("grant-public", False), ("drop-table", True)]
    assert (found.refused, found.obstacles) == (0, ())
    strict = stated(history(), Policy(fail_on=FailOn.WARNING))
    assert (strict.refused, len(strict.obstacles)) == (2, 2)


def test_nothing_that_files_hold_stands_in_it() -> None:
    """Literals, and the SQL of recipes, stay where the files are."""
    told = str(encode(stated(history(), Policy(waivers=(Waiver("drop-table", "of jane@example.org"),)))))
    assert "jane" not in told
    assert "email" not in told


def test_differences_come_first_and_not_more_than_there_is_room() -> None:
    """A file that was edited, and two dozen that destroy."""
    files = {f"20260103_0000{number:02}_c.sql": f"drop table c{number}" for number in range(24)}
    found = stated(history(FILES | files, attempt(State.APPLIED, checksum="0" * 64)))
    assert [one.reason for one in found.obstacles] == ["HistoryBroken", *["LintFailed"] * (MOST_OBSTACLES - 1)]
    assert found.refused == 25
    half = stated(history(FILES, attempt(State.PARTIAL)))
    assert [one.reason for one in half.obstacles] == ["NeedsResolution", "LintFailed"]


def test_which_statements_are_in_stands_right_behind_what_is_in_in_part() -> None:
    """Before all that is only pending, for which there may be no room."""
    found = history(FILES, attempt(State.PARTIAL))
    prospect = Prospect(history=found, aim=Aim(forth=found.pending))
    plan = make_plan(judge(found.pending, {}, waivers=()), prospect, Policy())
    obstacles = stated_plan(plan, found, unfinished=["a: statement 1 of 1 (line 3) ran to its end"]).obstacles
    assert [(one.reason, one.message[:14]) for one in obstacles[1:2]] == [("NeedsResolution", "a: statement 1")]
    assert obstacles[2].reason == "LintFailed"


def test_a_database_that_is_ahead_has_no_obstacles() -> None:
    """An older image came back."""
    known = replace(attempt(State.APPLIED), revision="20260102_000000", name=B, ordinal=0)
    found = stated(history({f"{B}.sql": FILES[f"{B}.sql"]}, known, attempt(State.APPLIED)))
    assert (found.ahead, found.obstacles) == (True, ())


def test_what_is_to_be_undone_is_told_by_what_its_way_back_destroys() -> None:
    """Nobody judges it: to destroy is what it is for."""
    found = history()
    told = stated(found, aim=Aim(back=found.pending[::-1]))
    assert (told.way, told.findings, told.obstacles) == (Way.BACK, (), ())
    assert [(one.name, one.risk, one.irreversible) for one in told.migrations] == [
        (B, RiskClass.SAFE, False),
        (A, RiskClass.DESTRUCTIVE, True),
    ]
    assert (told.risk, told.irreversible) == (RiskClass.DESTRUCTIVE, True)
    code = history({f"{A}.py": "def upgrade():\n    run()\n\ndef downgrade():\n    undo()\n"}).pending
    assert stated(found, aim=Aim(back=code)).risk is RiskClass.CAUTION
    without = stated(found, aim=Aim(back=(replace(found.pending[0], down=None),)))
    assert without.risk is RiskClass.DESTRUCTIVE


def test_what_is_declared_and_what_is_in_the_way_of_it() -> None:
    """Both by name."""
    told = stated(history(), aim=Aim(declared=(Declaration(name=A, state=State.RESOLVED_APPLIED, reason="r"),)))
    assert (told.resolutions, told.migrations) == ((A,), ())
    shut = stated(history(), aim=Aim(obstacles=("targetRevision x: is not among the files",)))
    assert [(one.reason, one.message) for one in shut.obstacles] == [
        ("TargetUnreachable", "targetRevision x: is not among the files")
    ]


def test_another_tools_history_and_drift_stand_in_the_way_of_what_runs() -> None:
    """Of what does not run, drift does not."""
    found = history()
    drift = Drift(likeness=Likeness.DRIFTED, found="0" * 32, expected="1" * 32)
    prospect = Prospect.forth(found)
    plan = make_plan(judge(found.pending, {}), prospect, Policy(fail_on=FailOn.NEVER))
    told = stated_plan(plan, found, heritage=("Prisma (t): has 3 rows",), drift=drift)
    assert [one.reason for one in told.obstacles] == ["Drifted", "HistoryForeign"]
    assert "0" * 32 in told.obstacles[0].message
    empty = Prospect.forth(history({}))
    assert stated_plan(make_plan((), empty, Policy()), empty.history, drift=drift).obstacles == ()
    stated_as = stated_drift(drift)
    assert stated_as is not None
    assert (stated_as.likeness, stated_as.fingerprint) == (LikenessClass.DRIFTED, "0" * 32)
    assert stated_drift(None) is None


def test_attempts_are_told_by_name() -> None:
    """The last ones, with how they ended."""
    assert [(one.name, one.state) for one in stated_attempts(history(FILES, attempt(State.FAILED)))] == [(A, "Failed")]


def test_the_error_of_the_last_attempt_is_told_as_the_ledger_keeps_it() -> None:
    """Of one in part as of one that left nothing; once anything else was tried, it is history."""
    moment = datetime(2026, 1, 31, tzinfo=UTC)
    for state in (State.FAILED, State.PARTIAL):
        last = replace(attempt(state), sqlstate="23505", finished=moment, reason="MigrationFailed")
        assert stated_error(history(FILES, last)) == StatedError(sqlstate="23505", revision=A, time=moment)
        for later in (State.APPLIED, State.STARTED, State.FAILED, State.RESOLVED_APPLIED):
            assert stated_error(history(FILES, last, replace(attempt(later), ordinal=2))) is None


def test_what_did_not_fail_by_the_servers_word_has_no_error() -> None:
    """Nothing was tried; it is in; the server said nothing; it was cut short because the run was to stop."""
    applied = replace(attempt(State.APPLIED), sqlstate="00000")
    stopped = replace(attempt(State.FAILED), sqlstate="57014", reason="Interrupted")
    assert stated_error(history()) is None
    assert [stated_error(history(FILES, one)) for one in (applied, attempt(State.FAILED), stopped)] == [None] * 3
