"""SIGKILL of the operator at each stage of a reconcile: the next one finds what was written down, and nothing is done twice.

The operator runs on this machine here, and its way to the API server passes a proxy that stops at a chosen request.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple

import pytest
import yaml

from ground.kubebuild import programs
from ground.process import Daemon, wait_until
from ground.proxy import Fault, Proxy, Where
from ground.scratch import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from scene.deployment import Deployment
    from scene.tenant import Tenant

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]


class Stage(NamedTuple):
    """Before a request reaches the API server, or after it was carried out and before the operator hears of it."""

    pattern: str
    where: Where


STAGES = {
    "before-the-attempt-is-written-down": Stage(r"PATCH .*/backups/run/status", Where.REQUEST),
    "after-the-attempt-is-written-down": Stage(r"PATCH .*/backups/run/status", Where.ANSWER),
    "before-the-job-is-created": Stage(r"POST .*/jobs ", Where.REQUEST),
    "after-the-job-is-created": Stage(r"POST .*/jobs ", Where.ANSWER),
    "while-the-pods-are-looked-at": Stage(r"GET .*/pods\?", Where.REQUEST),
    "while-the-log-is-read": Stage(r"GET .*/pods/run-.*/log", Where.ANSWER),
    "before-the-job-is-let-go": Stage(r"PATCH .*/jobs/run-", Where.REQUEST),
    "after-the-job-is-let-go": Stage(r"PATCH .*/jobs/run-", Where.ANSWER),
}


@pytest.fixture(scope="module")
def gate(deployment: Deployment) -> Iterator[Proxy]:
    """Yield a proxy in front of the API server while no operator runs in the cluster; `kubectl proxy` behind it takes care of TLS."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    daemon = Daemon(scratch_folder("gate"), "kubectl-proxy")
    kubeconfig = f"--kubeconfig={deployment.cluster.kubeconfig}"
    deployment.scale(0)
    try:
        daemon.start([programs() / "kubectl", kubeconfig, "proxy", f"--port={port}", "--disable-filter=true"])
        daemon.wait_ready(lambda: _listens(port), 20)
        with Proxy("127.0.0.1", port) as proxy:
            yield proxy
    finally:
        daemon.stop()
        deployment.scale(2)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def local_operator(gate: Proxy, tenant: Tenant, image: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Yield the process of an operator that serves the tenant's namespace alone; killed at the end if it still runs."""
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump({
        "apiVersion": "v1", "kind": "Config", "current-context": "gate",
        "clusters": [{"name": "gate", "cluster": {"server": gate.url}}],
        "users": [{"name": "nobody", "user": {}}],
        "contexts": [{"name": "gate", "context": {"cluster": "gate", "user": "nobody", "namespace": tenant.name}}],
    }))  # fmt: skip
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "KUBECONFIG": str(kubeconfig), "DBCUSTODY_IMAGE": image,
        "DBCUSTODY_NAMESPACES": tenant.name, "POD_NAMESPACE": tenant.name, "DBCUSTODY_HOST": "127.0.0.1", "DBCUSTODY_PORT": "0",
        "DBCUSTODY_LEASE_NAME": f"lease-{secrets.token_hex(4)}",
    }  # fmt: skip
    with (folder / "operator.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "dbcustody", "operator"], env=environment, stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("name", [pytest.param(name, id=name) for name in STAGES])
def test_operator_killed(
    gate: Proxy,
    deployment: Deployment,
    tenancy: Callable[[], AbstractContextManager[Tenant]],
    tmp_path: Path,
    *,
    name: str,
) -> None:
    """One Job was made, whose result is told; what was written down before its death is what the next operator goes by."""
    stage, image = STAGES[name], deployment.image.reference
    with ExitStack() as stack:
        tenant = stack.enter_context(tenancy())
        first = stack.enter_context(local_operator(gate, tenant, image, tmp_path))
        tenant.database()
        tenant.storage()
        tenant.until_ready()
        fault = gate.add(Fault(stage.pattern, where=stage.where, holds=True))
        tenant.backup("run")
        assert fault.struck.wait(100), (tmp_path / "operator.log").read_text()[-3000:]
        first.send_signal(signal.SIGKILL)
        first.wait()
        fault.release.set()
        stack.enter_context(local_operator(gate, tenant, image, tmp_path))
        body = tenant.succeeded("run")
        assert wait_until(lambda: _is_let_go(tenant), 60)

        assert len(body["status"]["attempts"]) == 1
        assert len(tenant.jobs("backup")) == 1


def _is_let_go(tenant: Tenant) -> bool:
    return all("ttlSecondsAfterFinished" in job["spec"] for job in tenant.jobs("backup"))
