"""`kubectl dbcustody backup now`, `restore`, `cancel` and `wait`: what is created, what is waited for, and how each ends."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING, Any

import pytest

from dbcustody.adapters.kube import ours
from dbcustody.api.meta import Kind
from dbcustody.errors import RefusedError, UnavailableError
from tests.fakes.counter import Counter
from tests.fakes.glances import backup, body, policy, request, said

if TYPE_CHECKING:
    from collections.abc import Iterator

BACKUPS, REQUESTS = ours("backups"), ours("restorerequests")
NAME = "shop-20260131-120000"
READY = said("Ready", "True", "Ready")
RUNNING = (said("Finished", "False", "Running"), said("Succeeded", "Unknown", "Running"))


@pytest.fixture
def counter() -> Counter:
    """Return a counter before a cluster with one Database and one policy."""
    made = Counter()
    made.kube.have(body(Kind.DATABASE, "shop", READY), policy())
    return made


def over(status: str, reason: str, message: str = "") -> dict[str, Any]:
    """Return the status of what came to an end."""
    return {"conditions": [said("Finished", "True", reason), said("Succeeded", status, reason, message)]}


def test_a_backup_is_asked_for_and_its_name_printed(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """The name alone on standard output, for scripts."""
    assert counter.type("backup", "now", "shop") == 0
    assert capsys.readouterr() == (f"{NAME}\n", "")
    made = counter.kube.peek(BACKUPS, "team", NAME)
    assert made is not None
    assert made["spec"] == {"policyRef": {"name": "nightly"}, "databaseRef": {"name": "shop"}}


def test_two_in_one_second_are_two(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """A generated name that is taken is not an answer; one that was wished for is."""
    assert [counter.type("backup", "now", "shop"), counter.type("backup", "now", "shop")] == [0, 0]
    assert capsys.readouterr().out == f"{NAME}\n{NAME}-2\n"
    assert counter.type("backup", "now", "shop", "--name", NAME) == 1
    assert "the name is taken" in capsys.readouterr().err
    assert len(counter.kube.all(BACKUPS)) == 2


def test_of_several_policies_one_must_be_named(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is created by guessing."""
    counter.kube.have(policy("hourly"))
    assert counter.type("backup", "now", "shop") == 64
    assert "has 2 policies (hourly, nightly); one must be named with --policy" in capsys.readouterr().err
    assert counter.kube.all(BACKUPS) == []
    assert counter.type("backup", "now", "shop", "--policy", "hourly", "--name", "mine") == 0
    assert counter.kube.all(BACKUPS)[0]["spec"]["policyRef"] == {"name": "hourly"}


def test_what_is_not_there_is_told(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """With the namespace that was looked in."""
    assert counter.type("backup", "now", "shop", "-n", "elsewhere") == 1
    assert "Database shop: is not there in namespace elsewhere" in capsys.readouterr().err


def test_a_backup_is_waited_for(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """Each stage is told, and the end; an API server that is away for a second is asked again."""

    def dumps() -> None:
        counter.says(
            Kind.BACKUP, NAME, conditions=list(RUNNING), progress={"stage": "Dumping", "summary": "", "percent": 50}
        )

    def away() -> None:
        counter.kube.refusals[("get", "backups")] = UnavailableError("API server: away")

    def ends() -> None:
        counter.kube.refusals.clear()
        counter.says(Kind.BACKUP, NAME, **over("True", "Succeeded", "it is good"))

    counter.events = [dumps, away, ends]
    assert counter.type("backup", "now", "shop", "--wait") == 0
    out, err = capsys.readouterr()
    assert out == f"{NAME}\n"
    assert err.splitlines() == ["dumping, 50 %", f"backup {NAME}: Succeeded: it is good"]


def test_a_failure_is_told_with_what_helps(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """Reason, message, remedy, and exit code 1; a password in it is blotted out."""
    message = "quota postgresql://app:hunter2@db/shop"
    counter.events = [lambda: counter.says(Kind.BACKUP, NAME, **over("False", "PodNotCreated", message))]
    assert counter.type("backup", "now", "shop", "--wait") == 1
    err = capsys.readouterr().err
    assert f"error: backup {NAME}: PodNotCreated: quota" in err
    assert "(what helps: read the message: it quotes the quota, the policy or the missing ServiceAccount)" in err
    assert "hunter2" not in err


def test_waiting_has_an_end(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """2 says: not yet; a stage that nobody here knows does no harm."""
    new = {"stage": "StageOfNextYear", "summary": ""}
    counter.events = [lambda: counter.says(Kind.BACKUP, NAME, conditions=list(RUNNING), progress=new)]
    assert counter.type("backup", "now", "shop", "--wait", "--timeout", "3") == 2
    assert "not yet" in capsys.readouterr().err
    assert len(counter.kube.all(BACKUPS)) == 1


def test_a_restore_is_asked_for(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """A Backup knows its Database; what was typed is what the operator reads."""
    counter.kube.have(backup("monday"))
    words = ("--into", "shop_again", "--missing-roles", "create", "--parallelism", "4")
    assert counter.type("restore", "monday", *words) == 0
    name = capsys.readouterr().out.strip()
    assert name == "restore-shop-again-20260131-120000"
    made = counter.kube.peek(REQUESTS, "team", name)
    assert made is not None
    assert made["spec"]["source"] == {"backupRef": {"name": "monday"}}
    assert made["spec"]["target"] == {"databaseRef": {"name": "shop"}, "database": "shop_again"}
    assert (made["spec"]["missingRoles"], made["spec"]["parallelism"]) == ("Create", 4)


def test_a_restore_by_policy_and_time(counter: Counter) -> None:
    """The policy knows its Database; --on names another one."""
    words = ("restore", "--policy", "nightly", "--before", "2026-01-30T12:00:00+01:00", "--into", "x", "--name")
    assert [counter.type(*words, "a"), counter.type(*words, "b", "--on", "other")] == [0, 0]
    first, second = (made["spec"] for made in counter.kube.all(REQUESTS))
    assert first["source"] == {"policyRef": {"name": "nightly"}, "beforeTime": "2026-01-30T11:00:00Z"}
    assert [spec["target"]["databaseRef"]["name"] for spec in (first, second)] == ["shop", "other"]


def test_a_restore_of_a_bare_storage(counter: Counter) -> None:
    """Nothing else is asked of the cluster."""
    words = ("--storage", "main", "--custody", "team.shop", "--backup-id", "abc", "--on", "shop", "--into", "x")
    assert counter.type("restore", *words) == 0
    (made,) = counter.kube.all(REQUESTS)
    assert made["spec"]["source"] == {"storageRef": {"name": "main"}, "custodyId": "team.shop", "backupId": "abc"}
    assert [call.verb for call in counter.kube.calls] == ["create"]


@pytest.mark.parametrize(
    "words",
    [
        ("restore", "monday"),
        ("restore", "monday", "--into", "x", "--replace", "shop"),
        ("restore", "monday", "--into", "x", "--confirm", "shop@7"),
        ("restore", "monday", "--into", "x", "--keep-old", "0"),
        ("restore", "monday", "--replace", "shop", "--on", "shop"),
        ("restore", "monday", "--undo", "back"),
        ("restore", "--replace", "shop"),
        ("restore", "monday", "--replace", "shop", "--acknowledge", "Everything"),
        ("restore", "--into", "x"),
        ("restore", "monday", "--policy", "nightly", "--into", "x"),
        ("restore", "--policy", "nightly", "--before", "yesterday", "--into", "x"),
        ("restore", "--policy", "nightly", "--before", "2026-01-30T12:00:00", "--into", "x"),
        ("wait", "shop"),
        ("wait", "pod/shop"),
        ("backup", "now"),
        ("backup", "now", "shop", "--timeout", "3"),
        ("nonsense",),
    ],
)
def test_wrong_usage_is_told_and_nothing_is_done(counter: Counter, words: tuple[str, ...]) -> None:
    """64, as everywhere."""
    assert counter.type(*words) == 64
    assert counter.kube.calls == []


def test_a_backup_that_does_not_say_whose_it_is(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """Its policy is gone; --on helps."""
    counter.kube.have(backup("monday", spec={"policyRef": {"name": "gone"}}))
    assert counter.type("restore", "monday", "--into", "x") == 64
    assert "name one with --on" in capsys.readouterr().err


@pytest.fixture
def terminal() -> Iterator[None]:
    """Let SIGINT be heard as at a terminal; what a shell starts in its background begins with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("terminal")
def test_who_stops_waiting_stops_nothing(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C: the request goes on, and how to stop it is told."""
    counter.kube.have(backup("monday"))
    counter.events = [lambda: signal.raise_signal(signal.SIGINT)]
    assert counter.type("restore", "monday", "--into", "x", "--name", "again", "--wait") == 130
    made = counter.kube.peek(REQUESTS, "team", "again")
    assert made is not None
    assert made["spec"]["cancel"] is False
    assert "to stop it: kubectl dbcustody cancel again -n team" in capsys.readouterr().err


def test_a_restore_is_cancelled(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """The one field that may be changed; what is over cannot be stopped, what is not there either."""
    counter.kube.have(request("again", *RUNNING), request("done", *over("True", "Succeeded")["conditions"]))
    assert counter.type("cancel", "again") == 0
    assert counter.type("cancel", "done") == 1
    assert counter.type("cancel", "none") == 1
    cancelled = {one["metadata"]["name"]: one["spec"].get("cancel", False) for one in counter.kube.all(REQUESTS)}
    assert cancelled == {"again": True, "done": False}
    assert re.search("was over already.*\n.*is not there", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("conditions", "code"),
    [
        ((READY,), 0),
        ((said("Ready", "False", "InvalidSpec"), said("Stalled", "True", "InvalidSpec")), 1),
        ((said("Ready", "False", "HostUnreachable"),), 2),
    ],
)
def test_wait_tells_scripts_how_it_is(conditions: tuple[dict[str, Any], ...], code: int) -> None:
    """0, 1 or 2; with a timeout of 0 it looks once."""
    counter = Counter()
    counter.kube.have(body(Kind.DATABASE, "shop", *conditions))
    assert counter.type("wait", "pgdb/shop", "--timeout", "0") == code
    assert [call.verb for call in counter.kube.calls] == ["get"]


def test_wait_waits_for_what_is_not_there_yet(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """A hook may be faster than what it waits for."""
    counter.events = [lambda: None, lambda: counter.kube.have(backup("monday"))]
    assert counter.type("wait", "backup/monday", "--timeout", "60") == 0
    assert capsys.readouterr().err.count("is not there yet in namespace team") == 1
    assert counter.type("wait", "backup/tuesday", "--timeout", "5") == 2


def test_what_cannot_be_read_is_no_wrong_usage(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """1, and what helps."""
    counter.kube.have(body(Kind.BACKUP, "odd", finishTime="yesterday"))
    assert [counter.type("wait", "backup/odd"), counter.type("restore", "odd", "--into", "x")] == [1, 1]
    assert (
        capsys.readouterr().err.count("Backup odd: cannot be read by this version of dbcustody (status.finishTime: ")
        == 2
    )


def test_what_the_api_server_refuses_is_told(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """In its own words."""
    counter.kube.refusals[("create", "backups")] = RefusedError('backups is forbidden: User "eve" cannot create it')
    assert counter.type("backup", "now", "shop") == 1
    assert capsys.readouterr().err == 'error: backups is forbidden: User "eve" cannot create it\n'
