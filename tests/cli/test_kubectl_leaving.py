"""`kubectl dbcustody uninstall --release-finalizers`: only ours goes, only when a person wants it, and not beside a living operator."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from dbcustody.adapters.kube import LEASES, Resource, ours
from dbcustody.api.meta import Kind
from dbcustody.cli.kubectl.doctor import DEPLOYMENTS
from dbcustody.errors import ConflictError, RefusedError
from dbcustody.naming import FINALIZER
from dbcustody.reason import Reason
from tests.fakes.counter import Counter, FakeServer
from tests.fakes.glances import body, said

BACKUPS = ours("backups")
NOT_OVER = (
    "web/restorerequest/again: it is not over, and its database may be shut: `dbcustody restore --recover` opens it"
)
LET_GO = ("uninstall", "--release-finalizers")
FORBIDDEN = RefusedError("leases is forbidden", reason=Reason.POD_NOT_CREATED)


@dataclass
class Leaving(FakeServer):
    """An API server that says which kinds it serves; before each of *conflicts* patches somebody else was quicker."""

    served: tuple[str, ...] = tuple(kind.plural for kind in Kind)
    conflicts: list[Callable[[], None]] = field(default_factory=list)

    async def read(self, path: str) -> Any:
        """Return the kinds that are served."""
        if not path.startswith("/apis/"):
            return await super().read(path)
        return {"resources": [{"name": name} for name in self.served]} if self.served else None

    async def patch(self, resource: Resource, namespace: str | None, name: str, operations: Any, **more: Any) -> Any:
        """Return the object after the patch, which holds for the version that it names."""
        if self.conflicts:
            self.conflicts.pop(0)()
            raise ConflictError(f"{name}: was modified", reason=Reason.NAME_TAKEN)
        found = await self.get(resource, namespace, name)
        assert found is not None
        assert operations["metadata"].pop("resourceVersion") == found["metadata"]["resourceVersion"]
        return await super().patch(resource, namespace, name, operations, **more)


def kept(kind: Kind, name: str, *finalizers: str, namespace: str = "team", **status: Any) -> dict[str, Any]:
    """Return a resource with our finalizer and *finalizers*."""
    found = body(kind, name, namespace=namespace, **status)
    found["metadata"]["finalizers"] = [FINALIZER, *finalizers]
    return found


@pytest.fixture
def counter() -> Counter:
    """Return a counter before a cluster without an operator, with two resources that wait for one."""
    made = Counter()
    made.kube = Leaving(now=lambda: made.now)
    doomed = kept(Kind.BACKUP, "doomed", "a/b", artefact={"location": "s3://b/x", "stored": "1Mi"})
    doomed["metadata"]["deletionTimestamp"] = "2026-01-31T11:00:00Z"
    workloads = [{"kind": "Deployment", "name": "web\x1b[2J", "replicas": 2}]
    made.kube.have(doomed, kept(Kind.RESTORE_REQUEST, "again", namespace="web", workloads=workloads))
    made.kube.have(body(Kind.BACKUP, "plain", said("Ready", "True", "Succeeded")), body(Kind.DATABASE, "shop"))
    return made


def server(counter: Counter) -> Leaving:
    """Return the counter's API server."""
    assert isinstance(counter.kube, Leaving)
    return counter.kube


def finalizers(counter: Counter) -> dict[str, list[str]]:
    """Return what every resource of ours carries."""
    return {
        one["metadata"]["name"]: one["metadata"].get("finalizers") or []
        for kind in Kind
        for one in counter.kube.all(ours(kind.plural))
    }


UNTOUCHED = {"doomed": [FINALIZER, "a/b"], "again": [FINALIZER], "plain": [], "shop": []}


def test_only_our_finalizer_goes_and_what_stays_is_told(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each; nothing is deleted, and somebody else's finalizer stays."""
    assert counter.type(*LET_GO, "-A", "--yes") == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == ["team/backup/doomed", "web/restorerequest/again"]
    assert err.splitlines() == [
        "team/backup/doomed: goes at once; the data stays in s3://b/x: nobody deletes it with the resource",
        f"{NOT_OVER}; scale back by hand: Deployment web [2J (2)",
    ]
    assert finalizers(counter) == {**UNTOUCHED, "doomed": ["a/b"], "again": []}
    assert {call.verb for call in counter.kube.calls} <= {"get", "list", "patch"}


def test_one_namespace_alone(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """The context's, as everywhere."""
    assert counter.type(*LET_GO, "--yes") == 0
    assert capsys.readouterr().out == "team/backup/doomed\n"
    assert finalizers(counter) == {**UNTOUCHED, "doomed": ["a/b"]}


def test_nobody_is_asked_without_a_terminal(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """Then it has to be said, and nothing was touched."""
    assert counter.type(*LET_GO, "-A") == 64
    assert "--yes: must be given where nobody can be asked" in capsys.readouterr().err
    assert finalizers(counter) == UNTOUCHED


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 130), ("\n", 130)])
def test_a_person_is_asked(counter: Counter, monkeypatch: pytest.MonkeyPatch, *, answer: str, code: int) -> None:
    """No is what silence means."""
    reading, writing = os.pipe()
    os.write(writing, answer.encode())
    os.close(writing)
    with os.fdopen(reading) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
        assert counter.type(*LET_GO, "-A") == code
    assert (finalizers(counter) == UNTOUCHED) == (code != 0)


def test_what_is_done_has_to_be_said(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """`uninstall` alone could be taken for more."""
    assert counter.type("uninstall", "--yes") == 64
    assert "goes with `helm uninstall`" in capsys.readouterr().err


def have_operator(
    counter: Counter, *, namespace: str = "dbcustody", name: str = "dbcustody-operator", age: int = 2
) -> None:
    """Have an operator hold its Lease since *age* seconds."""
    spec = {
        "holderIdentity": "op-1_a",
        "renewTime": f"2026-01-31T11:59:{60 - age:02}.000000Z" if age < 60 else "2026-01-31T11:00:00Z",
    }
    counter.kube.keep(LEASES, {"metadata": {"name": name, "namespace": namespace}, "spec": spec})


@pytest.mark.parametrize("place", [{}, {"namespace": "ops"}, {"namespace": "ops", "name": "mine-dbcustody-operator"}])
def test_a_living_operator_is_not_gone_behind(
    counter: Counter, capsys: pytest.CaptureFixture[str], place: dict[str, str]
) -> None:
    """Wherever it runs; --force goes on."""
    have_operator(counter, **place)
    assert counter.type(*LET_GO, "-A", "--yes") == 1
    said_so = capsys.readouterr().err
    assert "an operator is alive (Lease " in said_so
    assert "op-1_a, renewed 2 s ago" in said_so
    assert finalizers(counter) == UNTOUCHED
    assert counter.type(*LET_GO, "-A", "--yes", "--force") == 0


def test_an_operator_of_any_name_is_found_by_its_deployment(counter: Counter) -> None:
    """Which says how its Lease is called."""
    have_operator(counter, namespace="ops", name="other")
    assert counter.type(*LET_GO, "-A", "--yes", "--operator-namespace", "x") == 0
    counter.kube.have(kept(Kind.BACKUP, "doomed-too"))
    container = {"name": "operator", "env": [{"name": "DBCUSTODY_LEASE_NAME", "value": "other"}]}
    labels = {"app.kubernetes.io/name": "dbcustody", "app.kubernetes.io/component": "operator"}
    metadata = {"name": "a", "namespace": "ops", "labels": labels}
    counter.kube.keep(DEPLOYMENTS, {"metadata": metadata, "spec": {"template": {"spec": {"containers": [container]}}}})
    assert counter.type(*LET_GO, "-A", "--yes") == 1
    assert finalizers(counter)["doomed-too"] == [FINALIZER]


def test_an_operator_that_is_gone_stands_in_nobodys_way(counter: Counter) -> None:
    """Its Lease stays behind, and somebody else's Lease is none of ours."""
    have_operator(counter, age=3600)
    have_operator(counter, name="kube-controller-manager", namespace="kube-system")
    assert counter.type(*LET_GO, "-A", "--yes") == 0


def test_without_a_look_nobody_goes_on(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever may not see Leases has to say that he knows."""
    counter.kube.refusals["list", "leases"] = FORBIDDEN
    assert counter.type(*LET_GO, "-A", "--yes") == 1
    assert "could not be looked at: leases is forbidden; --force" in capsys.readouterr().err
    assert finalizers(counter) == UNTOUCHED
    assert counter.type(*LET_GO, "-A", "--yes", "--force") == 0


def test_kinds_that_are_not_served_have_no_resources(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """An older release, or CRDs that are gone."""
    server(counter).served = ("backups",)
    assert counter.type(*LET_GO, "-A", "--yes") == 0
    assert finalizers(counter) == {**UNTOUCHED, "doomed": ["a/b"]}
    server(counter).served = ()
    assert counter.type(*LET_GO, "-A", "--yes") == 0
    assert "nothing carries dbcustody.dev/finalizer in any namespace" in capsys.readouterr().err


def test_what_somebody_wrote_meanwhile_is_read_again(counter: Counter) -> None:
    """And its other finalizers are those that stand there then."""

    def write(found: dict[str, Any]) -> None:
        found["metadata"]["finalizers"] = ["late", FINALIZER]

    server(counter).conflicts.append(lambda: counter.kube.change(BACKUPS, "team", "doomed", write))
    assert counter.type(*LET_GO, "--yes") == 0
    assert finalizers(counter)["doomed"] == ["late"]


def test_what_is_gone_meanwhile_needs_nothing(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """Somebody else took the finalizer off, or the resource away."""

    def write(found: dict[str, Any]) -> None:
        found["metadata"]["finalizers"] = ["late"]

    server(counter).conflicts.append(lambda: counter.kube.change(BACKUPS, "team", "doomed", write))
    assert counter.type(*LET_GO, "--yes") == 0
    assert capsys.readouterr().out == "team/backup/doomed\n"
    assert finalizers(counter)["doomed"] == ["late"]


def test_who_never_gets_a_turn_says_so(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """One that could not be released does not keep the others."""
    server(counter).conflicts += [lambda: None] * 3
    assert counter.type(*LET_GO, "-A", "--yes") == 1
    out, err = capsys.readouterr()
    assert out == "web/restorerequest/again\n"
    assert "team/backup/doomed: still carries dbcustody.dev/finalizer" in err


def test_the_same_under_the_name_of_the_program() -> None:
    """`dbcustody uninstall` is that very command: its help, its options, its exit codes."""
    program = [sys.executable, "-m", "dbcustody", "uninstall"]
    shown = subprocess.run([*program, "--help"], capture_output=True, text=True, check=True).stdout
    assert shown.startswith("Usage: dbcustody uninstall [OPTIONS]")
    assert "--release-finalizers" in shown
    refused = subprocess.run([*program, "-A", "--yes"], capture_output=True, text=True, check=False)
    assert (refused.returncode, "helm uninstall" in refused.stderr) == (64, True)
