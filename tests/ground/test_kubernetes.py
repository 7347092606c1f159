"""The one-machine Kubernetes: it is complete, several stand side by side, and nothing of it outlives it, however it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ground import register
from ground.archive import PAUSE
from ground.cache import REPOSITORY, GroundError
from ground.image import Image, application_image
from ground.kubernetes import COMPONENTS, Cluster, take_down
from ground.postgres import PostgresServer
from ground.process import start_time, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

RESTRICTED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
POD = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


@pytest.fixture(scope="module")
def image() -> Image:
    """Return our image; built once for all tests, which may run while somebody edits the code."""
    return application_image()


@pytest.fixture(scope="module")
def cluster(image: Image) -> Iterator[Cluster]:
    """Yield one cluster with our image on its node."""
    with Cluster("ground-tests") as started:
        started.load(image.archive)
        yield started


def footprint(name: str) -> dict[str, set[str]]:
    """Return what this machine has of the cluster *name*: processes, mounts, cgroups, namespaces, cables, files."""
    title, folder = f"dbcustody-{name}", f"/clusters/{name}/"
    index = register.index_of(register.cluster_folder(name))
    links = subprocess.run(["/usr/sbin/ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    return {
        "processes": {pid.name for pid in Path("/proc").glob("[0-9]*") if _belongs(pid, title, folder)},
        "mounts": {
            line for line in Path("/proc/mounts").read_text().splitlines() if f"/{title}/" in line or folder in line
        },
        "cgroups": {str(path) for path in Path("/sys/fs/cgroup").glob(f"*/{title}")},
        "namespaces": {
            path.name for path in Path("/run/netns").glob("*") if path.name == title or path.name.startswith("cni-")
        },
        "cables": {line.split(": ")[1] for line in links.splitlines() if f"dbc{index}o@" in line},
        "folders": {str(path) for path in (Path("/run") / title, register.cluster_folder(name)) if path.exists()},
    }


def _belongs(process: Path, title: str, folder: str) -> bool:
    """Return whether a process runs in the cluster's cgroups or was started with its paths."""
    try:
        words = (process / "cmdline").read_bytes().decode(errors="replace")
        groups = (process / "cgroup").read_text()
        return start_time(int(process.name)) is not None and (
            f"/{title}/" in groups or f"/{title}/" in words or folder in words
        )
    except OSError:
        return False


def job(name: str, *, image: str, command: list[str]) -> str:
    """Return a Job that the `restricted` profile admits."""
    container = {"name": "main", "image": image, "command": command, "securityContext": RESTRICTED}
    template = {"spec": {"restartPolicy": "Never", "securityContext": POD, "containers": [container]}}
    return json.dumps(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name},
            "spec": {"backoffLimit": 0, "template": template},
        }
    )


def run_python(cluster: Cluster, image: Image, name: str, program: str) -> str:
    """Run *program* in a pod of our image to its end and return its output."""
    cluster.kubectl("apply", "-f", "-", stdin=job(name, image=image.reference, command=["python3", "-c", program]))
    assert wait_until(lambda: _ended(cluster.get("job", name)), 60), cluster.kubectl("describe", "pod", check=False)
    return cluster.kubectl("logs", f"job/{name}")


def _ended(job_object: dict[str, Any]) -> bool:
    return any(item["type"] in {"Complete", "Failed"} for item in job_object.get("status", {}).get("conditions", ()))


def start_pause(cluster: Cluster, name: str) -> None:
    """Start a pod that stays, and wait until it runs."""
    cluster.kubectl(
        "run", name, f"--image={PAUSE}", "--overrides", json.dumps({"spec": {"securityContext": {"runAsUser": 65532}}})
    )
    cluster.kubectl("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=60s")


def test_a_stopped_cluster_leaves_nothing() -> None:
    """Everything that a cluster with a running pod has on this machine is gone after its end."""
    with Cluster("short-lived") as short_lived:
        start_pause(short_lived, "stays")
        during = footprint("short-lived")
    after = footprint("short-lived")

    assert len(during["processes"]) >= len(COMPONENTS) + 2  # the pod's two and its shim
    assert {name for name, found in during.items() if found} == set(during)
    assert {name: found for name, found in after.items() if found} == {}


def test_a_killed_harness_is_cleaned_up_after() -> None:
    """Components and pods outlive a harness that was killed; the next start of any cluster removes them."""
    program = (
        "import json, time\nfrom ground.kubernetes import Cluster\nfrom ground.archive import PAUSE\n"
        "cluster = Cluster('orphan').__enter__()\n"
        "cluster.kubectl('run', 'stays', '--image=' + PAUSE)\n"
        "cluster.kubectl('wait', 'pod/stays', '--for=condition=Ready', '--timeout=60s')\n"
        "print('up', flush=True)\ntime.sleep(600)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "e2e")}
    with subprocess.Popen(
        [sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True
    ) as harness:
        try:
            assert (harness.stdout or sys.stdin).readline() == "up\n"
        finally:
            harness.send_signal(signal.SIGKILL)
    left = footprint("orphan")

    register.remove_abandoned(take_down)

    assert len(left["processes"]) >= len(COMPONENTS) + 2
    assert {name: found for name, found in footprint("orphan").items() if found} == {}


def test_clusters_side_by_side_know_nothing_of_each_other(cluster: Cluster) -> None:
    """Each has its own addresses and objects, and ending one does not touch the other."""
    start_pause(cluster, "here")
    with Cluster("second") as second:
        start_pause(second, "there")
        addresses = {one.get("pod", name)["status"]["podIP"] for one, name in ((cluster, "here"), (second, "there"))}
        names = [item["metadata"]["name"] for item in second.get("pods")["items"]]

    assert names == ["there"]
    assert len(addresses) == 2
    assert cluster.get("pod", "here")["status"]["phase"] == "Running"
    assert cluster.server != second.server


def test_a_name_in_use_is_refused(cluster: Cluster) -> None:
    """Another process cannot take the name of a cluster whose starter lives, and so cannot end it."""
    words = [sys.executable, "-m", "ground", "up", cluster.name]
    done = subprocess.run(
        words, env={**os.environ, "PYTHONPATH": str(REPOSITORY / "e2e")}, capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "is in use by another process" in done.stderr
    assert cluster.kubectl("get", "--raw", "/readyz") == "ok"


def test_our_image_runs_as_the_restricted_profile_wants(cluster: Cluster, image: Image) -> None:
    """Non-root on a read-only root, with both clients, and without pip, wheels or a compiler."""
    program = (
        "import glob, os, shutil, subprocess\n"
        "versions = [subprocess.check_output([p, '--version'], text=True).split()[2].split('.')[0]"
        " for p in sorted(glob.glob('/usr/lib/postgresql/*/bin/pg_dump'))]\n"
        "tools = [name for name in ('pip', 'pip3', 'gcc', 'cc', 'postgres', 'initdb', 'apt-key') if shutil.which(name)]\n"
        "wheels = [file for top in ('/usr', '/opt', '/var', '/build') for _, _, files in os.walk(top) for file in files"
        " if file.endswith('.whl')]\n"
        "print(os.getuid(), versions, tools, wheels, os.access('/', os.W_OK))\n"
    )

    assert run_python(cluster, image, "inside", program).strip() == "65532 ['17', '18'] [] [] False"


def test_the_image_is_small(image: Image) -> None:
    """Unpacked it stays below what the README says."""
    assert image.archive.stat().st_size <= 350_000_000


@pytest.mark.slow
@pytest.mark.timeout(900)  # the first time its base is made, package by package, while others use the machine too
def test_the_image_variant_has_one_client(cluster: Cluster, image: Image) -> None:
    """Without client 18 there is only 17, under a name of its own."""
    variant = application_image(clients=(17,))
    cluster.load(variant.archive)
    cluster.kubectl(
        "apply", "-f", "-", stdin=job("variant", image=variant.reference, command=["ls", "/usr/lib/postgresql"])
    )
    cluster.kubectl("wait", "job/variant", "--for=condition=complete", "--timeout=60s")

    assert variant.reference != image.reference
    assert cluster.kubectl("logs", "job/variant").split() == ["17"]


def test_pods_reach_servers_of_this_machine_and_names_of_the_cluster(cluster: Cluster, image: Image) -> None:
    """A PostgreSQL on the cable's outer end answers a pod, and the cluster's DNS knows its Services."""
    with PostgresServer(17, host=cluster.network.machine_address) as server:
        program = (
            f"import psycopg, socket\nprint(psycopg.connect({server.url()!r}).execute('select 42').fetchone())\n"
            "print(socket.gethostbyname('kubernetes.default.svc.cluster.local'))\n"
        )
        output = run_python(cluster, image, "reaches", program)

    assert output.split("\n")[:2] == ["(42,)", "10.96.0.1"]


def test_a_frozen_api_server_answers_nothing_until_it_thaws(cluster: Cluster) -> None:
    """Requests hang while it is frozen, and go on as if nothing had been afterwards."""
    cluster.freeze_api()
    try:
        with pytest.raises(GroundError, match=r"Client\.Timeout|deadline|request canceled"):
            cluster.kubectl("get", "--raw", "/readyz", "--request-timeout=1s")
    finally:
        cluster.thaw_api()

    assert wait_until(lambda: cluster.kubectl("get", "--raw", "/readyz", check=False) == "ok", 60)


@pytest.mark.parametrize(
    "component", [pytest.param(name, id=name) for name in ("etcd", "kube-apiserver", "containerd", "kubelet")]
)
def test_objects_and_pods_survive_the_restart_of(cluster: Cluster, component: str) -> None:
    """After the restart the objects are there, running pods run on, and new ones start."""
    start_pause(cluster, f"before-{component}")
    before = cluster.get("pod", f"before-{component}")["status"]["containerStatuses"][0]["containerID"]

    cluster.restart(component)

    assert wait_until(lambda: "created" in _try_to_run(cluster, f"after-{component}"), 60)
    cluster.kubectl("wait", f"pod/after-{component}", "--for=condition=Ready", "--timeout=60s")
    assert cluster.get("pod", f"before-{component}")["status"]["containerStatuses"][0]["containerID"] == before


def _try_to_run(cluster: Cluster, name: str) -> str:
    return cluster.kubectl("run", name, f"--image={PAUSE}", check=False)


def test_a_service_account_has_only_its_own_rights(cluster: Cluster) -> None:
    """Its kubeconfig reads what its role allows and is refused everything else."""
    cluster.kubectl("create", "serviceaccount", "reader")
    cluster.kubectl("create", "role", "reader", "--verb=get,list", "--resource=pods")
    cluster.kubectl("create", "rolebinding", "reader", "--role=reader", "--serviceaccount=default:reader")
    kubeconfig = f"--kubeconfig={cluster.kubeconfig_for('reader', 'default')}"

    assert cluster.kubectl(kubeconfig, "get", "pods", check=False).startswith(("NAME", "No resources"))
    with pytest.raises(GroundError, match="Forbidden"):
        cluster.kubectl(kubeconfig, "get", "secrets")
