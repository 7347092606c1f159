"""A second node of a cluster, in a network of its own behind a cable that can be cut: what runs on it goes on, and nobody hears of it.

It is tainted, so that only who tolerates that gets there.
"""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from ground import cgroup, nodeconfig
from ground.archive import pause_image
from ground.kubebuild import programs
from ground.network import Branch
from ground.node import clear_node, import_images
from ground.process import Daemon

if TYPE_CHECKING:
    from types import TracebackType

    from ground.certificate import Authority
    from ground.kubernetes import Cluster

NAME: Final = "second"
TAINT: Final = "dbcustody.test/second"
_COMPONENTS: Final = ("kubelet", "kube-proxy", "containerd")


class SecondNode:
    """The node of *cluster*, which has to run; a context manager."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self.cluster.kubectl("delete", "node", NAME, "--ignore-not-found")

    @property
    def network(self) -> Branch:
        """Its addresses."""
        return Branch(self._title, self.cluster.network)

    def load(self, archive: Path) -> None:
        """Put the images of a docker-archive on the node."""
        import_images(self._socket, archive)

    def cut(self) -> None:
        """Cut the cable."""
        self.network.cut()

    def mend(self) -> None:
        """Mend the cable."""
        self.network.mend()

    def wait_ready(self, *, ready: bool = True, seconds: float = 60) -> None:
        """Wait until the node is Ready, or is not any more."""
        wanted = "True" if ready else "Unknown"
        path = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"

        def said() -> bool:
            return self.cluster.kubectl("get", "node", NAME, "-o", path, check=False).strip() == wanted

        self._daemon("kubelet").wait_ready(said, seconds)

    def stop(self) -> None:
        """End everything of the node and remove every trace; nothing happens when there is none."""
        for component in _COMPONENTS:
            self._daemon(component).stop(first=signal.SIGKILL)
        clear_node(self._title, self.network, self._folder, self._run_folder)

    @property
    def _title(self) -> str:
        return f"dbcustody-{self.cluster.name}-{NAME}"

    @property
    def _folder(self) -> Path:
        return self.cluster.folder / NAME

    @property
    def _run_folder(self) -> Path:
        return Path("/run") / self._title

    @property
    def _socket(self) -> Path:
        return self._run_folder / "containerd.sock"

    def _daemon(self, component: str) -> Daemon:
        return Daemon(self._folder / "processes", component)

    def _start(self) -> None:
        for name in ("processes", "cni", "kubelet", "addresses", "pod-logs", "volume-plugins"):
            (self._folder / name).mkdir(parents=True)
        self._run_folder.mkdir()
        self.network.create()
        cgroup.make(self._title)
        self._write_keys(self.cluster.authority)
        self._write_configs()
        self._launch("containerd", "-c", f"{self._folder}/containerd.toml")
        self._daemon("containerd").wait_ready(self._socket.is_socket, 30)
        self.load(pause_image())
        self._launch("kubelet", *nodeconfig.kubelet_flags(self._folder, NAME, self.network.node_address))
        self._launch("kube-proxy", f"--config={self._folder}/proxy.yaml")
        self.wait_ready()

    def _write_keys(self, authority: Authority) -> None:
        address, keys = self.network.node_address, self._folder / "keys"
        keys.mkdir()
        shutil.copy(authority.path, keys / "ca.crt")
        for name, common_name, organization, names in (
            ("kubelet-server", f"system:node:{NAME}", "system:nodes", [NAME, "127.0.0.1", address]),
            ("kubelet", f"system:node:{NAME}", "system:nodes", []),
            ("proxy", "system:kube-proxy", None, []),
        ):
            issued = authority.issue(f"{NAME}-{name}", common_name, organization=organization, names=names)
            for path, ending in zip(issued, ("crt", "key"), strict=True):
                shutil.move(path, keys / f"{name}.{ending}")
            user = {"client-certificate": f"{keys}/{name}.crt", "client-key": f"{keys}/{name}.key"}
            text = nodeconfig.kubeconfig(self.cluster.server, keys / "ca.crt", user)
            (keys / f"{name}.kubeconfig").write_text(text)

    def _write_configs(self) -> None:
        folder, socket = self._folder, self._socket
        kubelet = nodeconfig.kubelet_config(
            folder, self.cluster.network, socket=socket, cgroup_root=f"/{self._title}", taint=TAINT
        )
        texts = {
            "kubelet.yaml": kubelet,
            "proxy.yaml": nodeconfig.proxy_config(folder / "keys", self.network.pod_range, NAME),
            "containerd.toml": nodeconfig.containerd_config(folder, socket=socket, run_folder=self._run_folder),
            "cni/10-pods.conflist": nodeconfig.network_config(folder, self.network.pod_range),
        }
        for name, text in texts.items():
            (folder / name).write_text(text)

    def _launch(self, component: str, *flags: str) -> None:
        program = "containerd" if component == "containerd" else programs() / component
        self._daemon(component).start([*self.network.enter, program, *flags])
