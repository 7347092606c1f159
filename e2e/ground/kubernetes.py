"""A complete Kubernetes on this machine: control plane, node, DNS; several at once, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from ground import cgroup, nodeconfig, register
from ground.archive import pause_image
from ground.cache import GroundError, run, say
from ground.certificate import Authority
from ground.kubebuild import programs
from ground.network import Network
from ground.node import clear_node, import_images
from ground.package import CLUSTER_PROGRAMS, require
from ground.process import Daemon
from ground.secondnode import SecondNode

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

COMPONENTS: Final = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "containerd",
    "kubelet",
    "kube-proxy",
    "coredns",
)


@dataclass
class Cluster:
    """One cluster by *name*; a context manager. With *keep* it outlives the process that started it."""

    name: str
    keep: bool = False
    index: int = field(default=0, init=False)
    authority: Authority = field(init=False, repr=False)
    """Signs what is to be trusted in the cluster; there once it was started."""

    @property
    def folder(self) -> Path:
        """Everything of this cluster but sockets."""
        return register.cluster_folder(self.name)

    @property
    def network(self) -> Network:
        """The cluster's addresses."""
        return Network(self._title, self.index)

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig; works from this machine, inside and outside the namespace."""
        return self._keys / "admin.kubeconfig"

    @property
    def server(self) -> str:
        """The API server's address."""
        return f"https://{self.network.node_address}:6443"

    @property
    def environment(self) -> dict[str, str]:
        """What a shell needs to use kubectl on this cluster."""
        return {
            "KUBECONFIG": str(self.kubeconfig),
            "KUBECACHEDIR": str(
                self.folder / "kubectl"
            ),  # another cluster of this address may have served other resources
            "PATH": f"{programs()}:{os.environ['PATH']}",
        }

    def __enter__(self) -> Self:
        require(CLUSTER_PROGRAMS)
        if register.is_busy(self.name):
            raise GroundError(f"cluster {self.name!r} is in use by another process; take another name")
        register.remove_abandoned(_take_down_abandoned)
        take_down(self.name)
        self.index = register.claim(self.name, keep=self.keep)
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.keep:
            self.stop()

    def daemon(self, component: str) -> Daemon:
        """Return a component's process, for those who want to stop, freeze or kill it."""
        return Daemon(self.folder / "processes", component)

    def freeze_api(self) -> None:
        """Stop the API server without ending it: connections stay open and nothing answers."""
        self.daemon("kube-apiserver").send(signal.SIGSTOP)

    def thaw_api(self) -> None:
        """Let the API server go on."""
        self.daemon("kube-apiserver").send(signal.SIGCONT)

    def restart(self, component: str) -> None:
        """Stop and start one component."""
        self.daemon(component).stop(patience_seconds=3)  # etcd waits for its clients, which do not leave
        self._launch(component)
        if component in {"etcd", "kube-apiserver"}:
            self._wait_api()

    def kubectl(self, *words: str, stdin: str | None = None, check: bool = True) -> str:
        """Run kubectl and return its output; raises GroundError when it fails and *check* is set."""
        done = subprocess.run(
            [str(programs() / "kubectl"), *words],
            env={**os.environ, **self.environment},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode != 0:
            raise GroundError(f"kubectl {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout if done.returncode == 0 else done.stdout + done.stderr

    def get(self, *words: str) -> Any:
        """Return what `kubectl get ... -o json` says."""
        return json.loads(self.kubectl("get", *words, "-o", "json"))

    def kubeconfig_for(self, service_account: str, namespace: str) -> Path:
        """Return a kubeconfig that has only the rights of a ServiceAccount."""
        token = self.kubectl("create", "token", service_account, "-n", namespace, "--duration=24h").strip()
        path = self._keys / f"{namespace}-{service_account}.kubeconfig"
        path.write_text(
            nodeconfig.kubeconfig(self.server, self._keys / "ca.crt", {"token": token}, namespace=namespace)
        )
        return path

    def load(self, archive: Path) -> None:
        """Put the images of a docker-archive on the node."""
        import_images(self._socket, archive)

    def run(self, command: Sequence[str | Path]) -> str:
        """Run *command* inside the cluster's network, where the service addresses are reachable too; returns its output."""
        return run([*self.network.enter, *command], environment=self.environment)

    def stop(self) -> None:
        """End everything and remove every trace; safe to call for a cluster that is half there.

        Nobody needs this cluster again, so nothing is asked to end in good order: what runs in its namespace and its cgroups is killed.
        """
        SecondNode(self).stop()
        for component in ("kubelet", *COMPONENTS):  # the kubelet first, because it would start its containers again
            self.daemon(component).stop(first=signal.SIGKILL)
        clear_node(self._title, self.network, self.folder, self._run_folder)

    @property
    def _keys(self) -> Path:
        return self.folder / "keys"

    @property
    def _run_folder(self) -> Path:
        return Path("/run") / self._title

    @property
    def _socket(self) -> Path:
        return self._run_folder / "containerd.sock"

    @property
    def _title(self) -> str:
        return f"dbcustody-{self.name}"

    def _start(self) -> None:
        programs()
        started = time.monotonic()
        for name in ("processes", "cni", "etcd", "kubelet", "addresses", "pod-logs", "volume-plugins"):
            (self.folder / name).mkdir()
        self._run_folder.mkdir()
        self.network.create()
        cgroup.make(self._title)
        self._write_keys()
        self._write_configs()
        self._launch("etcd")
        self._launch("containerd")
        self._launch("kube-apiserver")
        self.daemon("containerd").wait_ready(self._socket.is_socket, 30)
        self.load(pause_image())
        self._wait_api()
        for component in ("kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "coredns"):
            self._launch(component)
        self._wait_node()
        say(f"cluster {self.name}: node Ready after {time.monotonic() - started:.1f} s")

    def _write_keys(self) -> None:
        self.authority = Authority(self._keys)
        authority, node = self.authority, self.network.node_address
        api_names = [
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "localhost",
            "10.96.0.1",
            "127.0.0.1",
            node,
        ]
        authority.issue("apiserver", "kube-apiserver", names=api_names)
        authority.issue("apiserver-kubelet", "kube-apiserver-kubelet-client", organization="system:masters")
        authority.issue(
            "kubelet-server", "system:node:node", organization="system:nodes", names=["node", "127.0.0.1", node]
        )
        authority.issue("front", "front-proxy")
        authority.issue("sa", "service-accounts")
        clients = {
            "admin": ("admin", "system:masters"),
            "controllers": ("system:kube-controller-manager", None),
            "scheduler": ("system:kube-scheduler", None),
            "kubelet": ("system:node:node", "system:nodes"),
            "proxy": ("system:kube-proxy", None),
        }
        for name, (common_name, organization) in clients.items():
            certificate, key = authority.issue(name, common_name, organization=organization)
            user = {"client-certificate": str(certificate), "client-key": str(key)}
            (self._keys / f"{name}.kubeconfig").write_text(nodeconfig.kubeconfig(self.server, authority.path, user))

    def _write_configs(self) -> None:
        texts = {
            "kubelet.yaml": nodeconfig.kubelet_config(
                self.folder, self.network, socket=self._socket, cgroup_root=f"/{self._title}"
            ),
            "proxy.yaml": nodeconfig.proxy_config(self._keys, self.network.pod_range, "node"),
            "containerd.toml": nodeconfig.containerd_config(
                self.folder, socket=self._socket, run_folder=self._run_folder
            ),
            "cni/10-pods.conflist": nodeconfig.network_config(self.folder, self.network.pod_range),
            "Corefile": nodeconfig.dns_config(self._keys, self.network),
        }
        for name, text in texts.items():
            (self.folder / name).write_text(text)

    def _launch(self, component: str) -> None:
        program = "containerd" if component == "containerd" else programs() / component
        self.daemon(component).start([*self.network.enter, program, *self._flags(component)])

    def _flags(self, component: str) -> list[str]:
        folder, keys = self.folder, self._keys
        local = "http://127.0.0.1:"
        return {
            "etcd": [
                f"--data-dir={folder}/etcd", f"--listen-client-urls={local}2379", f"--advertise-client-urls={local}2379",
                f"--listen-peer-urls={local}2380", "--unsafe-no-fsync=true",
            ],
            "kube-apiserver": nodeconfig.apiserver_flags(keys, self.network),
            "kube-controller-manager": nodeconfig.controller_flags(self.folder),
            "kube-scheduler": nodeconfig.scheduler_flags(keys),
            "containerd": ["-c", f"{folder}/containerd.toml"],
            "kubelet": nodeconfig.kubelet_flags(folder, "node", self.network.node_address),
            "kube-proxy": [f"--config={folder}/proxy.yaml"],
            "coredns": ["-conf", f"{folder}/Corefile"],
        }[component]  # fmt: skip

    def _wait_api(self) -> None:
        context = ssl.create_default_context(cafile=str(self._keys / "ca.crt"))
        context.load_cert_chain(self._keys / "admin.crt", self._keys / "admin.key")

        def ready() -> bool:
            try:
                with urllib.request.urlopen(f"{self.server}/readyz", context=context, timeout=2) as answer:  # noqa: S310 - our own server
                    return bool(answer.status == 200)
            except (urllib.error.URLError, OSError):
                return False

        self.daemon("kube-apiserver").wait_ready(ready, 120)

    def _wait_node(self) -> None:
        def ready() -> bool:
            node = self.kubectl(
                "get", "node", "node", "-o", "jsonpath={.status.conditions[?(@.type=='Ready')].status}", check=False
            )
            account = self.kubectl("get", "serviceaccount", "default", "-o", "name", check=False)
            return node.strip() == "True" and account.strip() == "serviceaccount/default"

        self.daemon("kubelet").wait_ready(ready, 120)


def take_down(name: str) -> None:
    """Stop the cluster *name*, whoever started it; nothing happens when there is none."""
    cluster = Cluster(name)
    if cluster.folder.exists():
        cluster.index = register.index_of(cluster.folder)
        cluster.stop()


def _take_down_abandoned(name: str) -> None:
    say(f"removing cluster {name}, whose starter is gone")
    take_down(name)
