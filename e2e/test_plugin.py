"""`kubectl dbcustody` as it is installed: a process of its own with the cluster's kubeconfig, found by kubectl itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dbcustody.api.meta import Kind
from ground.kubernetes import programs
from scene.evidence import OPERATOR_NAMESPACE, conditions
from scene.tenant import Tenant

if TYPE_CHECKING:
    from ground.kubernetes import Cluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]
INSTALLED = Path(sys.executable).parent
"""Where pip put `kubectl-dbcustody`, beside Python."""


@dataclass(frozen=True)
class Person:
    """Who types `kubectl dbcustody` in the tenant's namespace."""

    tenant: Tenant
    kubeconfig: Path

    def type(self, *words: str, expect: int = 0) -> tuple[str, str]:
        """Return what comes back on standard output and standard error; the exit code must be *expect*, and no secret be told."""
        done = subprocess.run(
            [str(programs() / "kubectl"), "dbcustody", *words, "-n", self.tenant.name],
            env={
                "PATH": f"{INSTALLED}:{os.environ['PATH']}",
                "HOME": "/nonexistent",
                "KUBECONFIG": str(self.kubeconfig),
            },
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        told = done.stdout + done.stderr
        assert done.returncode == expect, told
        assert self.tenant.shop.password not in told
        assert "Traceback" not in told
        return done.stdout, done.stderr


@pytest.fixture
def person(tenant: Tenant, cluster: Cluster) -> Person:
    """Return a person in a namespace whose Database, BackupStorage and BackupPolicy are Ready."""
    tenant.secret("shop-restorer", **tenant.shop.restorer)
    tenant.database(restored_by="shop-restorer")
    tenant.storage()
    tenant.until_ready()
    tenant.policy()
    tenant.wait("backuppolicies", "nightly", "Ready")
    return Person(tenant, cluster.kubeconfig)


def test_a_backup_now_comes_back_beside_what_runs(person: Person) -> None:
    """Asked for, watched to its end, restored, and shown: without a line of YAML."""
    tenant = person.tenant
    name = person.type("backup", "now", "shop", "--wait", "--timeout", "240")[0].strip()
    assert name.startswith("shop-")
    assert conditions(tenant.get("backups", name))["Succeeded"]["status"] == "True"

    new = f"{tenant.shop.name}_again"
    out, err = person.type("restore", name, "--into", new, "--wait", "--timeout", "240")
    assert "Succeeded" in err
    assert tenant.get("restorerequests", out.strip())["status"]["target"] == f"shop/{new}"
    rows = tenant.shop.server.execute("SELECT datname FROM pg_database ORDER BY 1")
    assert new in [found for (found,) in rows]

    read = json.loads(person.type("status", "-o", "json")[0])
    (row,) = read["databases"]
    assert (row["name"], row["ready"], row["storages"], read.get("needs", [])) == ("shop", "True", ["main"], [])
    assert "lastVerified" in row
    assert "nothing needs a person" in person.type("status")[0]


def test_a_failure_is_waited_for_and_told(person: Person) -> None:
    """A database that exists is never written into: 1, why, and what helps; then status names it and returns 2."""
    tenant = person.tenant
    name = person.type("backup", "now", "shop", "--policy", "nightly", "--name", "first", "--wait")[0].strip()
    _, err = person.type("restore", name, "--into", tenant.shop.name, "--name", "onto", "--wait", expect=1)
    assert "TargetExists" in err
    assert "what helps: choose another name" in err
    told, _ = person.type("status", expect=2)
    assert f"restorerequests.dbcustody.dev/onto in {tenant.name}: TargetExists" in told
    assert "was over already" in person.type("cancel", "onto", expect=1)[1]


def test_scripts_wait(person: Person) -> None:
    """0 for what came to its good end, 1 for what never will, 2 for what has not come in time."""
    tenant = person.tenant
    person.type("wait", "database/shop", "--timeout", "0")
    person.type("wait", "pgbp/nightly", "--timeout", "0")
    person.type("wait", "backup/none", "--timeout", "1", expect=2)
    tenant.policy("never", schedule="0 0 30 2 *")
    person.type("wait", "backuppolicies.dbcustody.dev/never", "--timeout", "60", expect=1)


def test_a_doctor_finds_nothing(person: Person) -> None:
    """The administrator of a cluster in which everything is installed; what a namespace lacks is told."""
    out, _ = person.type("doctor", "--operator-namespace", OPERATOR_NAMESPACE)
    bad = [line for line in out.splitlines() if not line.startswith("OK")]
    assert bad == []
    assert out.count("CRD ") == len(Kind)
    _, err = person.type("doctor", "--operator-namespace", "nowhere", expect=1)
    assert err == ""


def test_who_may_do_nothing_is_told_so(person: Person, cluster: Cluster) -> None:
    """The API server's own words, and no half-made resource."""
    tenant = person.tenant
    stranger = Person(tenant, cluster.kubeconfig_for("default", tenant.name))
    _, err = stranger.type("backup", "now", "shop", expect=1)
    assert "forbidden" in err
    out, _ = stranger.type("doctor", "--operator-namespace", OPERATOR_NAMESPACE, expect=0)
    assert f"WARN  may create backups in namespace {tenant.name}: no" in out
    assert tenant.names("backups") == []
