"""`kubectl dbcustody restore --replace` and `--undo`: what is confirmed, what is created, and what is told when it is over."""

from __future__ import annotations

import signal
import sys
from typing import Any

import click
import pytest

from dbcustody.adapters.kube import ours
from dbcustody.api.meta import Kind
from dbcustody.api.restore import Mode, RestoreRequest, SideEffect
from dbcustody.cli.side_effects import SIDE_EFFECTS
from dbcustody.codec import format_time
from tests.fakes.counter import Counter
from tests.fakes.glances import backup, body, policy, said
from tests.fakes.seen import ago

REQUESTS = ours("restorerequests")
READY = said("Ready", "True", "Ready")
NAME = "replace-shop-20260131-120000"
UNDO = "undo-back-20260131-120000"
OLD = {"name": "shop_replaced_0a1b", "keptTime": format_time(ago(60)), "dropAfter": format_time(ago(-86_400))}
SWAPPED = (said("Finished", "True", "Succeeded"), said("Succeeded", "True", "Succeeded", "shop is what was restored"))


def replaced(name: str, **status: Any) -> dict[str, Any]:
    """Return a RestoreRequest that took the place of `shop`."""
    spec = {"mode": "Replace", "source": {"backupRef": {"name": "monday"}}, "target": {"databaseRef": {"name": "shop"}}}
    return body(Kind.RESTORE_REQUEST, name, *SWAPPED, spec=spec, **status)


@pytest.fixture
def counter() -> Counter:
    """Return a counter before a cluster with one Database, whose server is known, and a backup of it."""
    made = Counter()
    server = {"version": "17.1", "majorVersion": 17, "systemIdentifier": "7412"}
    spec = {"workloads": [{"kind": "Deployment", "name": "web"}]}
    made.kube.have(
        body(Kind.DATABASE, "shop", READY, spec=spec, server=server, oid=16384, inspectedTime=format_time(ago(60))),
        policy(),
        backup("monday"),
    )
    return made


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what the person at the terminal answers, one after another."""
    said: list[str] = []
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(click.termui, "visible_prompt_func", lambda _: said.pop(0))
    return said


def made(counter: Counter, name: str) -> RestoreRequest:
    """Return what was created, as the operator reads it."""
    found = counter.kube.peek(REQUESTS, "team", name)
    assert found is not None
    return RestoreRequest.from_body(found)


def test_side_effects_are_those_of_the_api() -> None:
    """Written out, so that nothing is loaded for a help text."""
    assert [one.value for one in SideEffect] == list(SIDE_EFFECTS)


def test_what_is_confirmed_is_filed(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """Everything that was typed is what the operator reads; nothing else is written over."""
    words = ("--acknowledge", "foreignservers", "--keep-old", "60", "--no-safety-backup", "--approval")
    assert counter.type("restore", "monday", "--replace", "shop", "--confirm", "shop@7412/16384", *words) == 0
    spec = made(counter, capsys.readouterr().out.strip()).spec
    assert (spec.mode, spec.confirm, spec.target.database) == (Mode.REPLACE, "shop@7412/16384", None)
    assert (spec.target.database_ref.name, spec.undo_of) == ("shop", None)
    assert spec.source is not None
    assert spec.source.backup_ref is not None
    assert (spec.acknowledge, spec.keep_old_seconds) == ((SideEffect.FOREIGN_SERVERS,), 60)
    assert (spec.safety_backup, spec.approval.required) == (False, True)


def test_what_was_not_said_is_as_the_crd_has_it(counter: Counter) -> None:
    """A safety backup, and a day."""
    assert counter.type("restore", "--policy", "nightly", "--replace", "shop", "--confirm", "shop@7412/16384") == 0
    spec = made(counter, NAME).spec
    assert (spec.safety_backup, spec.keep_old_seconds, spec.approval.required) == (True, 86_400, False)


def test_a_person_types_what_is_meant(counter: Counter, answers: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """What will happen stands above the question."""
    answers += ["shop@7412/16384"]
    assert counter.type("restore", "monday", "--replace", "shop") == 0
    told = capsys.readouterr().err
    assert told.splitlines()[:4] == [
        "this replaces the database of Database shop in team by backup monday",
        "  a safety backup is taken first",
        "  stopped meanwhile: Deployment web",
        "  what runs now is put aside, shut, for 24 h, and then dropped",
    ]
    assert made(counter, NAME).spec.confirm == "shop@7412/16384"


@pytest.mark.parametrize("typed", ["yes", "shop@7413/16384", "shop@7412/16385", "shop@7412", "shop"])
def test_another_text_files_nothing(counter: Counter, answers: list[str], typed: str) -> None:
    """At the terminal and on the command line."""
    answers += [typed]
    assert counter.type("restore", "monday", "--replace", "shop") == 1
    assert counter.type("restore", "monday", "--replace", "shop", "--confirm", typed) == 1
    assert counter.kube.all(REQUESTS) == []


def test_nobody_is_there_to_be_asked(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """The text is told: a script that repeats it has read which server it is."""
    assert counter.type("restore", "monday", "--replace", "shop") == 64
    assert (
        "nobody can be asked; this replaces the database of Database shop in team by backup monday: --confirm shop@7412/16384"
        in (capsys.readouterr().err)
    )
    assert counter.kube.all(REQUESTS) == []


def test_ctrl_c_at_the_question(counter: Counter, answers: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one is enough, and nothing was filed."""

    def interrupted(_: str) -> str:
        signal.raise_signal(signal.SIGINT)
        return "shop@7412/16384"

    assert answers == []
    monkeypatch.setattr(click.termui, "visible_prompt_func", interrupted)
    assert counter.type("restore", "monday", "--replace", "shop") == 130
    assert counter.kube.all(REQUESTS) == []


def test_a_server_that_nobody_knows(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be compared cannot be asked for; what is given is for the Job to judge."""
    counter.kube.have(body(Kind.DATABASE, "shop", READY))
    assert counter.type("restore", "monday", "--replace", "shop") == 1
    assert "does not show status.server.systemIdentifier" in capsys.readouterr().err
    assert counter.type("restore", "monday", "--replace", "shop", "--confirm", "shop@9") == 0
    assert counter.type("restore", "monday", "--replace", "none", "--confirm", "none@9") == 1


def test_the_number_alone_is_told_the_right_words(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """It would go for every later swap too."""
    assert counter.type("restore", "monday", "--replace", "shop", "--confirm", "shop@7412") == 1
    told = capsys.readouterr().err
    assert "confirmed is shop@7412, which would go for every later swap too" in told
    assert "this one is confirmed with shop@7412/16384" in told


@pytest.mark.parametrize(("ended", "oid"), [(60, 16390), (61, 16384), (5, 16390)])
def test_a_swap_that_nobody_has_looked_at_since_is_known(counter: Counter, *, ended: int, oid: int) -> None:
    """What is confirmed is the database that took the place, as its request tells, until the Database itself is looked at again."""
    over = said("Finished", "True", "Succeeded", since=ended)
    target = {"databaseRef": {"name": "shop"}}
    spec = {"mode": "Replace", "source": {"backupRef": {"name": "monday"}}, "target": target}
    elsewhere = {**spec, "target": {"databaseRef": {"name": "other"}}}
    counter.kube.have(
        body(Kind.RESTORE_REQUEST, "done", over, spec=spec, oid=16390),
        body(Kind.RESTORE_REQUEST, "running", said("Finished", "False", "Running", since=1), spec=spec, oid=2),
        body(Kind.RESTORE_REQUEST, "silent", spec=spec, oid=3),
        body(Kind.RESTORE_REQUEST, "failed", said("Finished", "True", "JobLost", since=1), spec=spec),
        body(Kind.RESTORE_REQUEST, "elsewhere", said("Finished", "True", "Succeeded", since=1), spec=elsewhere, oid=4),
    )
    assert counter.type("restore", "monday", "--replace", "shop", "--confirm", f"shop@7412/{oid}") == 0
    assert made(counter, NAME).spec.confirm == f"shop@7412/{oid}"


def test_it_is_followed_through_every_stage(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """And in the end it is told what can be put back, and how."""
    stages = ("SafetyBackup", "Loading", "StoppingWorkloads", "Swapping", "ResumingWorkloads")

    def at(stage: str) -> None:
        running = (said("Finished", "False", "Running"), said("Succeeded", "Unknown", "Running"))
        counter.says(Kind.RESTORE_REQUEST, NAME, conditions=list(running), progress={"stage": stage, "summary": stage})

    counter.events = [lambda stage=stage: at(stage) for stage in stages]  # type: ignore[misc]
    counter.events += [
        lambda: counter.says(Kind.RESTORE_REQUEST, NAME, conditions=list(SWAPPED), oldDatabase=OLD),
    ]
    words = ("restore", "monday", "--replace", "shop", "--confirm", "shop@7412/16384", "--approval", "--wait")
    assert counter.type(*words) == 0
    assert capsys.readouterr().err.splitlines() == [
        f"waits for somebody else: kubectl dbcustody approve {NAME} -n team",
        "safety backup", "loading", "stopping workloads", "swapping", "resuming workloads",
        f"restorerequest {NAME}: Succeeded: shop is what was restored",
        f"shop_replaced_0a1b is kept until 2026-02-01T12:00:00Z; to put it back: kubectl dbcustody restore --undo {NAME} -n team --wait",
    ]  # fmt: skip


def test_a_failure_keeps_nothing(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """1, and no word of what can be put back."""
    over = [said("Finished", "True", "SessionsHeld"), said("Succeeded", "False", "SessionsHeld", "held by x")]
    counter.events = [lambda: counter.says(Kind.RESTORE_REQUEST, NAME, conditions=over)]
    assert counter.type("restore", "monday", "--replace", "shop", "--confirm", "shop@7412/16384", "--wait") == 1
    assert "put it back" not in capsys.readouterr().err


def test_a_swap_is_undone(counter: Counter, answers: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The request knows its Database; nothing is restored."""
    counter.kube.have(replaced("back", oldDatabase=OLD))
    answers += ["shop@7412/16384"]
    assert counter.type("restore", "--undo", "back", "--no-safety-backup") == 0
    spec = made(counter, UNDO).spec
    assert spec.undo_of is not None
    assert (spec.undo_of.name, spec.source, spec.mode, spec.confirm) == ("back", None, Mode.REPLACE, "shop@7412/16384")
    told = capsys.readouterr().err
    assert "this replaces the database of Database shop in team by shop_replaced_0a1b" in told
    assert "no safety backup is taken" in told


@pytest.mark.parametrize(
    ("status", "says"),
    [
        ({}, "put no database away"),
        (
            {"oldDatabase": {**OLD, "droppedTime": format_time(ago(5))}},
            "had shop_replaced_0a1b put away, which is dropped since",
        ),
    ],
)
def test_nothing_to_undo(
    counter: Counter, capsys: pytest.CaptureFixture[str], status: dict[str, Any], says: str
) -> None:
    """It is found out before anything is filed."""
    counter.kube.have(replaced("back", **status))
    assert counter.type("restore", "--undo", "back", "--confirm", "shop@7412/16384") == 1
    assert says in capsys.readouterr().err
    assert counter.kube.peek(REQUESTS, "team", UNDO) is None


def test_a_request_for_a_place_can_be_waited_for(counter: Counter) -> None:
    """It names no new database, and is read all the same."""
    counter.kube.have(replaced("back"))
    assert counter.type("wait", "restorerequest/back", "--timeout", "0") == 0


def test_who_approves_sees_whose_place_is_taken(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """And what was accepted."""
    pending = said("Approved", "Unknown", "ApprovalPending", "somebody else must agree")
    plan = {"hash": "abc", "sideEffects": [{"kind": "CronJobs", "names": ["clean"]}]}
    spec = {"mode": "Replace", "target": {"databaseRef": {"name": "shop"}}}
    counter.kube.have(body(Kind.RESTORE_REQUEST, "back", pending, spec=spec, plan=plan, source="monday", target="shop"))
    counter.type("approve", "back")
    told = capsys.readouterr().err
    assert "  takes the place of the database that runs there, which is put aside, shut" in told
    assert "  CronJobs, accepted: clean" in told
