"""A storage that has to be asked again is told of by every command, on standard error, whether it succeeds or not."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ground import fault
from ground.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ground.s3 import S3Server
    from tests.cli.conftest import Outcome, Person

pytestmark = [pytest.mark.postgres, pytest.mark.s3]
EVERY_COMMAND = pytest.mark.parametrize(
    "words",
    [
        pytest.param(("backup", "--name", "second"), id="backup"),
        pytest.param(("backups", "list", "--json"), id="list"),
        pytest.param(("verify", "first"), id="verify"),
        pytest.param(("retention", "explain"), id="explain"),
        pytest.param(("hold", "first"), id="hold"),
        pytest.param(("release", "first"), id="release"),
    ],
)


@pytest.fixture
def proxy(s3: S3Server) -> Iterator[Proxy]:
    """Return a proxy in front of the S3 server."""
    with Proxy(s3.host, s3.port) as proxy:
        yield proxy


@pytest.fixture
def person(at_bucket: Person, proxy: Proxy) -> Person:
    """Return a person who has a backup in a bucket that is reached through the proxy."""
    person = replace(at_bucket, variables={**at_bucket.variables, "BACKUP_S3_ENDPOINT": proxy.url})
    done = person.run("backup", "--name", "first")
    assert done.code == 0, done.err
    return person


def notes(done: Outcome) -> list[str]:
    """Return what the command pointed out at its end."""
    return re.findall("^note: (.*)$", done.err, re.MULTILINE)


@EVERY_COMMAND
def test_repeats_are_told_once_at_the_end(person: Person, proxy: Proxy, words: tuple[str, ...]) -> None:
    """One note with number and cause; standard output keeps to the answer."""
    well = person.run(*words)
    proxy.add(fault.slow_down(times=2))
    sick = person.run(*words)

    assert (well.code, sick.code) == (0, 0), sick.err
    assert (notes(well), notes(sick)) == ([], ["2 storage requests were repeated (last: SlowDown)"])
    assert "repeated" not in sick.out
    if "--json" in words:
        assert json.loads(sick.out) == json.loads(well.out)


@EVERY_COMMAND
def test_command_that_gives_up_tells_how_often_it_tried(person: Person, proxy: Proxy, words: tuple[str, ...]) -> None:
    """The note stands before the error, which stays the last word."""
    proxy.add(fault.server_error(times=fault.FOR_EVER))
    done = person.run(*words)

    assert done.code == 1
    count = 8 if "backup" in words else 4  # a backup looks once more for what it had stored, to take it along
    assert notes(done) == [f"{count} storage requests were repeated (last: InternalError)"]
    assert done.err.splitlines()[-1].startswith("error: StorageUnreachable: ")


def test_backup_says_on_the_way_who_is_waited_for(person: Person, proxy: Proxy) -> None:
    """Whoever watches sees why it takes long while it does."""
    proxy.add(fault.slow_down(times=2))
    done = person.run("backup", "--name", "second")

    said = "connecting, waiting for the storage: 2 storage requests were repeated (last: SlowDown)"
    assert said in done.err.splitlines()
