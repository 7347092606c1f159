"""The operator with a fleet on its hands: 2000 Backups, half of them unfinished with Jobs, and 200 policies with CronJobs.

A real etcd and a real API server; the controllers that would start pods are stopped, because one node cannot run a thousand dumps, and the
Jobs are marked as running by hand. The operator is the process that is shipped, started cold; memory and processor time are the kernel's.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ground.cache import REPOSITORY
from ground.kubernetes import Cluster
from measure.figure import Figure
from scene.api import Api

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMESPACE: Final = "fleet"
POLICIES: Final = 200
BACKUPS: Final = 2000
MOST_RSS_BYTES: Final = 200 * 1024 * 1024
MOST_SECONDS: Final = 60.0
MOST_IDLE_CPU: Final = 0.02
IDLE_SECONDS: Final = 60.0
_PATIENCE_SECONDS: Final = 600.0
_WRITERS: Final = 16
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_WHEN: Final = "2026-01-31T02:00:00Z"
_RUNNING: Final = {"active": 1, "ready": 1, "startTime": _WHEN}
_GROUP: Final = "dbcustody.dev/v1"


def measure(*, rounds: int) -> list[Figure]:  # noqa: ARG001 - a cold start of this size is taken twice, and the second counts
    """Return memory, time to look at everything, and idle processor share of a cold start."""
    with Cluster("bench") as cluster:
        for component in ("kube-scheduler", "kubelet"):
            cluster.daemon(component).stop(first=signal.SIGKILL)
        for crd in sorted((REPOSITORY / "crds").glob("*.yaml")):
            cluster.kubectl("apply", "-f", str(crd))
        cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        api = Api(cluster)
        api.create("namespaces", {"metadata": {"name": NAMESPACE}})
        cluster.daemon("kube-controller-manager").stop(first=signal.SIGKILL)
        _fill(cluster, api)
        with _operator(cluster) as warm:
            _wait_settled(warm)
        _let_prunes_run(api)
        with _operator(cluster) as cold:
            taken = _wait_settled(cold)
            cpu = _idle_share(cold)
            peak, now = _memory(cold, "VmHWM"), _memory(cold, "VmRSS")
        cron_jobs = len(api.list("cronjobs", NAMESPACE))
        api.close()
    return [
        Figure("Backups", "objects", (float(BACKUPS),)),
        Figure("policies with CronJobs", "objects", (float(cron_jobs),)),
        Figure("cold start until everything was looked at", "s", (taken,), MOST_SECONDS, "most"),
        Figure("peak RSS of the operator", "bytes", (peak,), float(MOST_RSS_BYTES), "most"),
        Figure("RSS of the operator when idle", "bytes", (now,)),
        Figure("idle processor share", "cores", (cpu,), MOST_IDLE_CPU, "most"),
    ]


class _Running:
    """The operator's process and its port."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self._process, self._log = process, log
        self.pid, self.port, self.started = process.pid, port, time.monotonic()

    def check(self) -> None:
        """Raise RuntimeError with the end of its log when it has ended."""
        if self._process.poll() is not None:
            raise RuntimeError(f"the operator ended: {self._log.read_text()[-2000:]}")

    def metrics(self) -> str:
        """Return the metrics, or nothing while they are not served."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
                return str(answer.read().decode())
        except (urllib.error.URLError, OSError):
            return ""


@contextmanager
def _operator(cluster: Cluster) -> Iterator[_Running]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    variables = {
        "DBCUSTODY_IMAGE": "localhost/dbcustody:bench",
        "POD_NAMESPACE": NAMESPACE,
        "DBCUSTODY_HOST": "127.0.0.1",
        "DBCUSTODY_PORT": str(port),
    }
    command = [str(REPOSITORY / ".venv/bin/dbcustody"), "operator"]
    log = cluster.folder / "operator.log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, env={**os.environ, **cluster.environment, **variables}, stderr=file)
    try:
        yield _Running(process, port, log)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _wait_settled(running: _Running) -> float:
    """Return the seconds from the start until every resource was looked at and none waits."""
    wanted = BACKUPS + POLICIES + 2
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        running.check()
        text = running.metrics()
        looks = sum(
            float(count) for count in re.findall(r"^dbcustody_reconcile_total\{[^}]*\} (\S+)", text, re.MULTILINE)
        )
        waiting = re.search(r"^workqueue_depth\{[^}]*\} (\S+)", text, re.MULTILINE)
        if looks >= wanted and waiting is not None and float(waiting[1]) == 0:
            return time.monotonic() - running.started
        time.sleep(0.2)
    raise RuntimeError("the operator did not look at everything in time")


def _idle_share(running: _Running) -> float:
    """Return which share of a core the settled operator takes."""
    time.sleep(30)  # what the start-up left over is not idling
    before = _cpu_seconds(running.pid)
    time.sleep(IDLE_SECONDS)
    return (_cpu_seconds(running.pid) - before) / IDLE_SECONDS


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _memory(running: _Running, name: str) -> float:
    text = Path(f"/proc/{running.pid}/status").read_text()
    found = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"{name}: is not told")
    return float(found[1]) * 1024


def _fill(cluster: Cluster, api: Api) -> None:
    """Create the fleet, several writers at once."""
    _create_parties(api)
    local = [Api(cluster) for _ in range(_WRITERS)]
    with ThreadPoolExecutor(_WRITERS) as pool:
        list(pool.map(lambda number: _create_policy(local[number % _WRITERS], number), range(POLICIES)))
        list(pool.map(lambda number: _create_backup(local[number % _WRITERS], number), range(BACKUPS)))
    for one in local:
        one.close()


def _create_parties(api: Api) -> None:
    connection = {"secretRef": {"name": "shop-app"}}
    api.create("databases", _object("Database", "shop", {"connection": connection, "suspend": True}), NAMESPACE)
    storage = {"s3": {"bucket": "bench"}, "acknowledgeUnencrypted": True, "suspend": True}
    api.create("backupstorages", _object("BackupStorage", "main", storage), NAMESPACE)


def _create_policy(api: Api, number: int) -> None:
    spec = {"databaseRef": {"name": "shop"}, "storageRef": {"name": "main"}, "schedule": f"{number % 60} 2 * * *"}
    api.create("backuppolicies", _object("BackupPolicy", f"policy-{number}", spec), NAMESPACE)


def _create_backup(api: Api, number: int) -> None:
    """Create Backup *number* as a policy's run has it: every other one is over, the rest have a Job that is running."""
    name, policy = f"policy-{number % POLICIES}-{29_000_000 + number}", f"policy-{number % POLICIES}"
    labels = {"dbcustody.dev/policy": policy, "dbcustody.dev/database": "shop", "dbcustody.dev/storage": "main"}
    spec = {"origin": "Scheduled", "policyRef": {"name": policy}, "databaseRef": {"name": "shop"}}
    body = _object("Backup", name, spec)
    body["metadata"]["labels"] = labels
    created = api.create("backups", body, NAMESPACE)
    if number % 2:
        api.patch("backups", name, NAMESPACE, {"status": _finished()}, subresource="status")
        return
    job = _job(name, labels, created["metadata"]["uid"])
    api.create("jobs", job, NAMESPACE)
    api.patch("jobs", name, NAMESPACE, {"status": _RUNNING}, subresource="status")


def _let_prunes_run(api: Api) -> None:
    """Let the retention Jobs that the first start made run, as the backups' Jobs do: nobody is there to start their pods."""
    for job in api.list("jobs", NAMESPACE, labelSelector="dbcustody.dev/verb=prune"):
        api.patch("jobs", job["metadata"]["name"], NAMESPACE, {"status": _RUNNING}, subresource="status")


def _job(name: str, labels: dict[str, str], backup_uid: str) -> dict[str, Any]:
    marks = {
        "dbcustody.dev/verb": "backup",
        "dbcustody.dev/owner-kind": "BackupPolicy",
        "dbcustody.dev/owner-name": labels["dbcustody.dev/policy"],
        "dbcustody.dev/backup": name,
    }
    annotations = {
        "dbcustody.dev/backup-uid": backup_uid,
        "batch.kubernetes.io/cronjob-scheduled-timestamp": _WHEN,
    }
    request = {"name": "DBCUSTODY_REQUEST", "value": "x" * 2000}
    container = {"name": "job", "image": "localhost/dbcustody:bench", "env": [request]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels | marks, "annotations": annotations},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}},
    }


def _finished() -> dict[str, Any]:
    said = {"lastTransitionTime": _WHEN, "message": "6 tables, 345 000 rows, 5.6MiB stored", "observedGeneration": 1}
    answers = {
        "Ready": "Succeeded",
        "Finished": "Succeeded",
        "Succeeded": "Succeeded",
        "Captured": "Captured",
        "Uploaded": "Uploaded",
        "Verified": "Verified",
    }
    return {
        "observedGeneration": 1,
        "conditions": [{"type": kind, "status": "True", "reason": reason, **said} for kind, reason in answers.items()],
        "startTime": _WHEN,
        "finishTime": _WHEN,
        "snapshotTime": _WHEN,
        "durationSeconds": 12,
        "progress": {"stage": "Done", "summary": "Done", "percent": 100},
        "attempts": [{"ordinal": 1, "jobName": "gone", "verb": "backup", "reason": "Succeeded"}],
    }


def _object(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": _GROUP, "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}
