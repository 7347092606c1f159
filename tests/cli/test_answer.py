"""With `--json` every verb writes one object on standard output, whatever happens to it; people read the same as without."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import click
import pytest

from dbcustody.cli.answer import answer, answering
from dbcustody.cli.ending import Exit
from dbcustody.cli.main import dbcustody_command
from dbcustody.errors import InterruptedRunError, RefusedError
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOBODY: Final = "postgresql://app:c4nary@127.0.0.1:1/shop?sslmode=disable"
"""Where nothing listens."""
FILE: Final = "20261101_120000_begin"
WORDS: Final = {
    "migrate status": (),
    "migrate plan": (),
    "migrate lint": (),
    "migrate deploy": (),
    "migrate rollback": ("--to", "base"),
    "migrate resolve": ("--applied", FILE, "--reason", "by hand"),
    "migrate accept-drift": ("0" * 32, "--reason", "for auditors"),
    "migrate new": ("!!!",),
    "migrate adopt": ("--dir", "flyway"),
    "migrate dev": (),
    "migrate diff": ("--from", "env:DATABASE_URL", "--to", "empty"),
    "migrate reset": ("--yes",),
    "seed": (),
    "backups list": (),
    "restore": ("--list",),
}
"""Every verb that knows `--json`, in words that fail because nobody answers, or nothing can be made of them."""


def verbs_with_json(group: click.Group, before: str = "") -> Iterator[str]:
    """Yield every command that takes `--json`."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from verbs_with_json(command, f"{before}{name} ")
        elif any("--json" in one.opts for one in command.params):
            yield f"{before}{name}"


def test_no_verb_is_forgotten() -> None:
    """A new one is to be tried below, too."""
    assert set(verbs_with_json(dbcustody_command)) == set(WORDS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with migrations, those of another tool, and a seed."""
    for name, text in {
        f"migrations/{FILE}.sql": "create table people (id int);\n",
        "flyway/V1__people.sql": "create table people (id int);\n",
        "seeds/first.sql": "insert into people values (1);\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize("verb", WORDS)
def test_what_fails_is_one_object(verb: str, folder: Path) -> None:
    """With the exit code and the words of people on standard error, and no password."""
    words = (*verb.split(), *WORDS[verb])
    plain, told = run(folder, *words), run(folder, *words, "--json")
    error = json.loads(told.stdout)["error"]
    assert (told.returncode, plain.stdout) == (plain.returncode, "")
    assert told.returncode != 0
    assert numberless(told.stderr) == numberless(plain.stderr)
    assert error["reason"] in {one.value for one in Reason}
    assert error["message"]
    assert "c4nary" not in told.stdout + told.stderr


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Return how `dbcustody *words*` ends where the server is gone."""
    environ = {"DATABASE_URL": NOBODY, "PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin"}
    argv = [sys.executable, "-m", "dbcustody", *words]
    return subprocess.run(
        argv, cwd=folder, env=environ, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )


def numberless(text: str) -> str:
    """Return *text* without the numbers in it: two tries take other times."""
    return re.sub(r"\d+", "N", text)


@pytest.mark.parametrize(
    ("error", "reason", "message"),
    [
        (RefusedError("password=c4nary is wrong", reason=Reason.DRIFTED), "Drifted", "password=*** is wrong"),
        (InterruptedRunError("was told to stop"), "Interrupted", "was told to stop"),
        (click.Abort(), "Cancelled", "cancelled"),
        (KeyboardInterrupt(), "Cancelled", "cancelled"),
        (ValueError("c4nary"), "InternalError", "ValueError at "),
    ],
)
def test_whatever_is_raised_is_told_and_raised(
    error: BaseException, reason: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The end of the process is another's business; what nobody foresaw is told without its text, which may hold values."""

    def work() -> int:
        raise error

    with pytest.raises(type(error)) as raised:
        answering(work, as_json=True)
    content: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert raised.value is error
    assert content["error"]["reason"] == reason
    assert content["error"]["message"].startswith(message)
    assert "c4nary" not in content["error"]["message"]

    with pytest.raises(type(error)):
        answering(work, as_json=False)
    assert capsys.readouterr().out == ""


def test_what_went_well_is_answered_once(capsys: pytest.CaptureFixture[str]) -> None:
    """By the verb itself, for programs or for people."""
    assert answering(lambda: answer({"a": 1}, "one", "two", as_json=True), as_json=True) is Exit.DONE
    assert json.loads(capsys.readouterr().out) == {"a": 1}
    answer({"a": 1}, "one", "two", as_json=False)
    assert capsys.readouterr().out == "one\ntwo\n"
