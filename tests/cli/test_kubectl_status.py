"""`kubectl dbcustody status`: the table, what needs a person below it, and an exit code that scripts can act on."""

from __future__ import annotations

import json

import pytest

from dbcustody.api.meta import Kind
from dbcustody.codec import format_time
from tests.fakes.counter import Counter
from tests.fakes.glances import backup, body, kept, policy, replacement, said
from tests.fakes.seen import ago

READY = said("Ready", "True", "Ready")


@pytest.fixture
def counter() -> Counter:
    """Return a counter before a cluster where all is well."""
    made = Counter()
    shop = body(Kind.DATABASE, "shop", READY, lastBackup={"name": "a", "time": format_time(ago(3600))})
    made.kube.have(shop, policy(nextScheduleTime=format_time(ago(-50_400))), backup("a"))
    return made


def test_an_estate_that_works(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """One line for each Database, and 0."""
    assert counter.type("status") == 0
    assert capsys.readouterr().out.splitlines() == [
        "DATABASE  READY  LAST-BACKUP  VERIFIED  NEXT-RUN  STORAGE  RECOVERY-POINT",
        "shop      True   60m          60m       in 14h    main     True",
        "",
        "nothing needs a person",
    ]


def test_everywhere_is_every_namespace(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """With the namespace in front; without -A the others are not looked at."""
    counter.kube.have(body(Kind.DATABASE, "theirs", READY, namespace="other"))
    assert counter.type("status", "-A") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[:3]] == [
        ["NAMESPACE", "DATABASE"],
        ["other", "theirs"],
        ["team", "shop"],
    ]
    assert counter.type("status") == 0
    assert "theirs" not in capsys.readouterr().out


def test_what_needs_a_person_is_told_with_the_command(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """And 2 is returned."""
    waits = said("RetentionEnforced", "False", "RetentionNeedsConfirmation", "nothing is deleted: 5 of 9 would go")
    counter.kube.have(policy("weekly", READY, waits, pruneHash="abc123"))
    assert counter.type("status") == 2
    told = capsys.readouterr().out.split("\n\n")[1]
    assert told.splitlines() == [
        "1 thing needs a person:",
        "- backuppolicies.dbcustody.dev/weekly in team: RetentionNeedsConfirmation (for 24h)",
        "  nothing is deleted: 5 of 9 would go",
        "  what helps: confirm with the annotation `dbcustody.dev/confirm-prune` that the message quotes",
        "  $ kubectl annotate backuppolicies.dbcustody.dev/weekly -n team dbcustody.dev/confirm-prune=abc123 --overwrite",
    ]


def test_a_message_obeys_nobody(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing in it steers the terminal, and a password in it is blotted out, in both formats."""
    message = "\x1b[2Jfailed\nat postgresql://app:hunter2@db/shop"
    counter.kube.have(body(Kind.DATABASE, "bad", said("Ready", "False", "HostUnreachable", message)))
    assert counter.type("status") == 2
    text = capsys.readouterr().out
    assert " [2Jfailed at postgresql://" in text
    assert counter.type("status", "-o", "json") == 2
    (need,) = json.loads(machine := capsys.readouterr().out)["needs"]
    assert need["message"].startswith("\x1b[2Jfailed\nat postgresql://")
    assert "\x1b" not in text + machine
    assert "hunter2" not in text + machine


def test_machines_read_json(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """The same facts, as times and not as ages."""
    counter.kube.have(backup("b", good=False, ended=60))
    assert counter.type("status", "-o", "json") == 2
    read = json.loads(capsys.readouterr().out)
    (row,), (need,) = read["databases"], read["needs"]
    assert (row["name"], row["lastBackup"], row["recoveryPoint"]) == ("shop", "2026-01-31T11:00:00Z", "True")
    assert (need["resource"], need["reason"]) == ("backups.dbcustody.dev/b", "DumpFailed")
    assert need["command"] == "kubectl describe backups.dbcustody.dev/b -n team"


def test_a_resource_that_cannot_be_read_hides_no_other(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told, and the table stands."""
    counter.kube.have(body(Kind.BACKUP, "odd", finishTime="yesterday"), backup("b", good=False, ended=60))
    assert counter.type("status") == 2
    out = capsys.readouterr().out
    assert "2 things need a person:" in out
    assert "- backups.dbcustody.dev/odd in team: Unreadable\n  status.finishTime: must be a time" in out
    assert "shop      True" in out


def test_an_empty_namespace_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Perhaps the wrong one was named."""
    assert Counter().type("status", "-n", "typo") == 0
    assert capsys.readouterr().out.startswith("no Database in namespace typo\n")


def test_what_can_be_put_back_is_told_and_needs_nobody(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """With the command; 0 all the same. Machines get it, too."""
    over = (said("Finished", "True", "Succeeded"), said("Succeeded", "True", "Succeeded"))
    counter.kube.have(replacement("back", *over, oldDatabase=kept()))
    assert counter.type("status") == 0
    assert capsys.readouterr().out.splitlines()[3:] == [
        "nothing needs a person",
        "",
        "old databases that can be put back:",
        "- shop in team, until 2026-02-01T12:00:00Z (in 24h): shop_replaced_0",
        "  $ kubectl dbcustody restore --undo back -n team --wait",
    ]
    assert counter.type("status", "-o", "json") == 0
    (one,) = json.loads(capsys.readouterr().out)["kept"]
    assert (one["name"], one["until"]) == ("shop_replaced_0", "2026-02-01T12:00:00Z")
