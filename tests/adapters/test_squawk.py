"""squawk itself: that it is there, what it finds, and what is said when it cannot look."""

from __future__ import annotations

import subprocess
from functools import partial
from pathlib import Path

import pytest

from dbcustody.adapters.squawk import Report, ask_squawk, find_squawk
from dbcustody.migration.body import Body, read_body
from dbcustody.migration.squawk import MOOT, OURS, read_report

TEXT = "alter table t alter a drop not null;\nselect 'ä'; alter table t alter b drop not null;\n"


@pytest.fixture
def program() -> str:
    """Return where it is; it comes with dbcustody."""
    found = find_squawk()
    assert found is not None
    return found


def body() -> Body:
    """Return a file."""
    found = read_body("20260101_000000_x.sql", TEXT.encode(), is_down=False).body
    assert found is not None
    return found


def script(folder: Path, text: str) -> str:
    """Return a program that stands in for it."""
    path = folder / "squawk"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_what_it_finds_is_understood(program: str) -> None:
    """Each finding at the statement that it is about."""
    report = ask_squawk(TEXT, program=program, major=14, in_transaction=True)
    found = read_report(report.text, body())
    assert [(one.rule, one.line, one.statement) for one in found] == [
        ("squawk-ban-drop-not-null", 1, 1),
        ("squawk-ban-drop-not-null", 2, 3),
    ]


def test_the_rules_that_are_left_out_are_its_rules(program: str) -> None:
    """One that was renamed would come back as a finding of its own; it refuses to leave out a rule that it does not have."""
    for rules, code in ((sorted(MOOT | OURS), 0), (["no-such-rule"], 2)):
        words = [program, "--exclude", ",".join(rules)]
        assert subprocess.run(words, input=b"select 1;", capture_output=True, check=False).returncode == code


def test_that_it_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not there, not to be run, ended otherwise than it should: each has its words."""
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    assert find_squawk(str(tmp_path)) is None
    ask = partial(ask_squawk, TEXT, major=None, in_transaction=False)
    absent = ask(program=None)
    assert absent == Report(why_not="the program squawk is not on this machine")
    assert find_squawk(str(Path(script(tmp_path, "exit 2")).parent)) == str(tmp_path / "squawk")
    assert ask(program=str(tmp_path)).why_not == "it did not run (PermissionError)"
    assert ask(program=str(tmp_path / "squawk")).why_not == "it ended with exit code 2"


def test_it_sees_no_credential(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given the text, and nothing of our environment."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://secret")
    asked = script(tmp_path, 'cat; echo "$@"; env')
    said = ask_squawk("select 1;\n", program=asked, major=18, in_transaction=True).text
    assert said.startswith("select 1;\n--reporter json --pg-version=18.0 --assume-in-transaction\n")
    assert "secret" not in said
