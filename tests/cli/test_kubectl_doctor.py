"""`kubectl dbcustody doctor`: a healthy cluster passes, each illness is told in one line, and only failures fail."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from dbcustody.adapters.kube import LEASES
from dbcustody.api.meta import Kind
from dbcustody.cli.kubectl.doctor import CONFIG_MAPS, CRDS, DEPLOYMENTS
from dbcustody.errors import RefusedError, UnavailableError
from dbcustody.reason import Reason
from tests.fakes.counter import Counter
from tests.fakes.glances import body, said

ROOT = Path(__file__).parents[2]
READY = said("Ready", "True", "Ready")


def manifest(kind: str) -> dict[str, Any]:
    """Return the one object of *kind* in deploy/install.yaml."""
    documents = yaml.safe_load_all((ROOT / "deploy" / "install.yaml").read_text())
    found: dict[str, Any] = next(one for one in documents if one["kind"] == kind)
    return found


@pytest.fixture
def counter() -> Counter:
    """Return a counter before a cluster with what deploy/install.yaml brings, and an operator that leads."""
    made = Counter()
    for kind in Kind:
        made.kube.keep(CRDS, yaml.safe_load((ROOT / "crds" / f"{kind.plural}.yaml").read_text()))
    deployment = manifest("Deployment")
    deployment["status"] = {"readyReplicas": deployment["spec"]["replicas"]}
    made.kube.keep(DEPLOYMENTS, deployment)
    renewed = {"holderIdentity": "op-1", "renewTime": "2026-01-31T11:59:58.000000Z"}
    made.kube.keep(LEASES, {"metadata": {"name": "dbcustody-operator", "namespace": "dbcustody"}, "spec": renewed})
    shipped = yaml.safe_load((ROOT / "deploy" / "argocd" / "argocd-cm.yaml").read_text())
    made.kube.keep(CONFIG_MAPS, {"metadata": {"name": "argocd-cm", "namespace": "argocd"}, **shipped})
    made.kube.have(body(Kind.DATABASE, "shop", READY), body(Kind.BACKUP_STORAGE, "main", READY))
    return made


def bad(text: str) -> list[str]:
    """Return the lines that are not OK."""
    return [" ".join(line.split()) for line in text.splitlines() if not line.startswith("OK ")]


def test_a_healthy_cluster_passes(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """Each question has its line, and each is OK."""
    assert counter.type("doctor") == 0
    out = capsys.readouterr().out
    assert bad(out) == []
    for what in (
        "API server",
        "clock",
        "CRD backups",
        "short names",
        "operator",
        "leader",
        "may create backups",
        "shop",
    ):
        assert what in out
    assert out.splitlines()[-1] == "OK    Argo CD: has this version's health check"


def test_no_right_to_secrets_is_asked_for(counter: Counter) -> None:
    """Nor used: whoever asks for backups needs none."""
    assert counter.type("doctor") == 0
    assert "secrets" not in {call.plural for call in counter.kube.calls}


def test_warnings_fail_nothing(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """A viewer, a clock that is wrong, an Argo CD that does not know us."""
    counter.kube.denied = {("create", "backups")}
    counter.now += timedelta(minutes=10)
    counter.kube.keep(CONFIG_MAPS, {"metadata": {"name": "argocd-cm", "namespace": "argocd"}})
    assert counter.type("doctor") == 0
    said_bad = bad(capsys.readouterr().out)
    assert [line.split(":")[0] for line in said_bad] == [
        "WARN clock",
        "WARN may create backups in namespace team",
        "WARN Argo CD",
    ]


def test_failures_fail(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """An old Kubernetes, a CRD that is gone, an operator that nobody sees, a database that is away."""
    counter.kube.version = {"major": "1", "minor": "31", "gitVersion": "v1.31.0"}
    counter.kube.remove(CRDS, "", "backups.dbcustody.dev")
    counter.kube.have(body(Kind.DATABASE, "shop", said("Ready", "False", "HostUnreachable", "no route")))
    assert counter.type("doctor", "--operator-namespace", "elsewhere") == 1
    assert bad(capsys.readouterr().out) == [
        "FAIL API server: Kubernetes v1.31.0 (Kubernetes 1.32 or newer is needed)",
        "FAIL CRD backups: is not installed (apply the CRDs of this version: helm upgrade, or kubectl apply -f crds/)",
        "FAIL operator: no Deployment of dbcustody in namespace elsewhere (install it, or name where it runs with --operator-namespace)",
        "FAIL leader: no replica leads: nothing is done (read the operator's log)",
        "FAIL team/database/shop: HostUnreachable: no route (check host, port and network policies)",
    ]


def test_the_lease_is_the_one_that_the_deployment_names(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """A release of another name has another."""
    deployment = manifest("Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    (word,) = (one for one in container["env"] if one["name"] == "DBCUSTODY_LEASE_NAME")
    word["value"] = "other"
    counter.kube.keep(DEPLOYMENTS, {**deployment, "status": {"readyReplicas": 2}})
    assert counter.type("doctor") == 1
    assert [line.split(":")[0] for line in bad(capsys.readouterr().out)] == ["FAIL leader"]


def test_what_may_not_be_looked_at_is_no_failure(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """Developers seldom may list CRDs; what they ask for works all the same."""
    counter.kube.refusals[("list", CRDS.plural)] = RefusedError("is forbidden", reason=Reason.POD_NOT_CREATED)
    assert counter.type("doctor") == 0
    assert bad(capsys.readouterr().out) == ["WARN CRDs: could not be looked at: is forbidden"]


def test_a_cluster_that_is_away_is_told_once(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """The rest would be the same complaint again."""
    counter.kube.refusals[("get", "/version")] = UnavailableError("API server: no answer to get (refused)")
    assert counter.type("doctor") == 1
    assert capsys.readouterr().out == "FAIL  API server: API server: no answer to get (refused)\n"


def test_an_empty_cluster_is_told(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    """Everywhere, when that was asked; a resource that cannot be read is a warning."""
    assert counter.type("doctor", "-n", "empty") == 0
    assert "no Database and no BackupStorage in empty" in capsys.readouterr().out
    counter.kube.have(body(Kind.DATABASE, "odd", inspectedTime=1, lastBackup={"name": 7}))
    assert counter.type("doctor", "-A") == 0
    assert bad(capsys.readouterr().out)[0].startswith("WARN team/databases.dbcustody.dev/odd: status.lastBackup.name")
