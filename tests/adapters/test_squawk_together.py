"""Many texts, one process of squawk: it says of each what it says of that one alone, and one that it cannot take spoils no other."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dbcustody.adapters.squawk import Report, ask_squawk, ask_together, find_squawk

RISKY = "alter table t alter a drop not null;\n"
TEXTS = (RISKY, "select 1;\n", "select 'ä';\n" + RISKY, "create table;\n", "", *(["select 2;\n"] * 6), RISKY * 2)
"""Twelve: by name, the tenth file comes before the second one."""
ask = partial(ask_together, major=17, in_transaction=True)
ask_alone = partial(ask_squawk, major=17, in_transaction=True)


def standing_in(folder: Path, several: str) -> str:
    """Return a program that is squawk for one text; when it is given files, which end its arguments, it does *several*."""
    path = folder / "squawk"
    single = f'exec {find_squawk()} "$@"'
    path.write_text(
        f'#!/bin/sh\necho "$@" >> {folder}/asked\nfor last; do :; done\ncase $last in *.sql) {several};; esac\n{single}\n'
    )
    path.chmod(0o755)
    return str(path)


def asked(folder: Path) -> list[str]:
    """Return the arguments of each process, in order."""
    return (folder / "asked").read_text().splitlines()


def findings(report: Report) -> list[dict[str, Any]]:
    """Return what a report says, but for the name of the file."""
    assert report.why_not == ""
    return [{name: value for name, value in one.items() if name != "file"} for one in json.loads(report.text)]


def test_it_says_of_each_what_it_says_of_it_alone(tmp_path: Path) -> None:
    """In the order in which they were given, whether they are risky, good, no SQL or nothing at all; by one process."""
    program = standing_in(tmp_path, ":")
    together = ask(TEXTS, program=program)
    (arguments,) = asked(tmp_path)
    alone = [findings(ask_alone(text, program=program)) for text in TEXTS]

    assert [findings(one) for one in together] == alone
    risks = [[one["rule_name"] for one in found].count("ban-drop-not-null") for found in alone]
    assert risks == [text.count(RISKY) for text in TEXTS]
    assert arguments.startswith("--reporter json --pg-version=17.0 --assume-in-transaction /")


def test_nothing_is_left_of_the_texts(tmp_path: Path) -> None:
    """The folder with the files is gone; it was the linter's alone."""
    program = standing_in(tmp_path, f'ls -ld "$(dirname "$last")" > {tmp_path}/folder')
    ask(TEXTS, program=program)
    (arguments,) = asked(tmp_path)
    folder = Path(arguments.split()[-1]).parent

    assert (tmp_path / "folder").read_text().startswith("drwx------")
    assert not folder.exists()


@pytest.mark.parametrize(
    "several",
    [
        "exit 2",
        "kill -9 $$",
        "echo no JSON; exit 0",
        "echo 7; exit 0",
        "echo '[1]'; exit 1",
        "echo '[{}]'; exit 1",
        'echo \'[{"file": "other.sql"}]\'; exit 1',
    ],
    ids=["refused", "killed", "no-json", "no-list", "no-entries", "no-file", "other-file"],
)
def test_where_it_cannot_look_at_all_of_them_each_is_asked_about_by_itself(several: str, tmp_path: Path) -> None:
    """What it says is not lost, and put to no file that it is not about."""
    program = standing_in(tmp_path, several)
    found = ask(TEXTS, program=program)

    assert len(asked(tmp_path)) == 1 + len(TEXTS)
    assert found == tuple(ask_alone(text, program=program) for text in TEXTS)
    assert findings(found[0]) != []


def test_one_text_is_given_as_one(tmp_path: Path) -> None:
    """Without a file; and of none nothing is asked."""
    program = standing_in(tmp_path, "exit 2")
    assert ask([], program=program) == ()
    assert not (tmp_path / "asked").exists()
    (found,) = ask([RISKY], program=program)
    assert (findings(found) != [], len(asked(tmp_path))) == (True, 1)


def test_without_the_program_that_is_said_of_each() -> None:
    """Not of the first one alone: each file's findings stand for themselves."""
    assert ask(TEXTS, program=None) == (Report(why_not="the program squawk is not on this machine"),) * len(TEXTS)


def test_a_program_that_cannot_be_run_is_told_of_each(tmp_path: Path) -> None:
    """As of one."""
    assert {one.why_not for one in ask(TEXTS, program=str(tmp_path))} == {"it did not run (PermissionError)"}
