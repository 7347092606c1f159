"""The network of one cluster: a namespace of its own, joined to this machine by one cable."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ground.cache import GroundError, run
from ground.process import wait_until


class Namespace:
    """A network namespace by *name*, and what runs in it."""

    name: str

    @property
    def enter(self) -> list[str]:
        """The words before a command that is to run inside; `ip netns exec` would hide the cgroups."""
        return ["nsenter", f"--net=/run/netns/{self.name}"]

    def end_processes(self) -> None:
        """Kill whatever runs inside: the components, containerd's shims (which outlive it on purpose), and what tests started there."""
        if self._exists() and not wait_until(lambda: not self._killed(), 10):
            raise GroundError(f"network namespace {self.name}: its processes cannot be killed")

    def inside(self, *commands: str) -> None:
        """Run *commands* in the namespace."""
        for command in commands:
            run([*self.enter, *command.split()])

    def _exists(self) -> bool:
        return Path(f"/run/netns/{self.name}").exists()

    def _killed(self) -> bool:
        """Return whether there was something to kill."""
        pids = run(["ip", "netns", "pids", self.name]).split()
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        return bool(pids)


@dataclass(frozen=True)
class Network(Namespace):
    """The addresses of the cluster with *index* (1 to 200): all of them lie in ranges that only this machine knows."""

    name: str
    index: int

    @property
    def node_address(self) -> str:
        """The node's address: API server, kubelet, DNS."""
        return f"10.99.{self.index}.1"

    @property
    def machine_address(self) -> str:
        """This machine's end of the cable: servers that listen here can be reached from pods."""
        return f"10.99.{self.index}.254"

    @property
    def pod_range(self) -> str:
        """The pods' addresses."""
        return f"10.244.{self.index}.0/24"

    def create(self) -> None:
        """Make namespace, cable and routes."""
        outside, inside = f"dbc{self.index}o", f"dbc{self.index}i"
        for command in (
            f"ip netns add {self.name}",
            f"ip link add {outside} type veth peer name {inside} netns {self.name}",
            f"ip addr add {self.machine_address}/24 dev {outside}",
            f"ip link set {outside} up",
            f"ip route add {self.pod_range} via {self.node_address}",
        ):
            run(command.split())
        self.inside(
            "ip link set lo up",
            f"ip addr add {self.node_address}/24 dev {inside}",
            f"ip link set {inside} up",
            f"ip route add default via {self.machine_address}",
            "sysctl -qw net.ipv4.ip_forward=1",
        )

    def remove(self) -> None:
        """Remove the namespace; cable and routes go with it."""
        if self._exists():
            run(["ip", "netns", "del", self.name])
        subprocess.run(
            ["ip", "link", "del", f"dbc{self.index}o"], capture_output=True, check=False
        )  # its end may be gone already


@dataclass(frozen=True)
class Branch(Namespace):
    """The namespace of a second node, joined to that of the first one, *trunk*, by a cable of its own: all its ways lead through there."""

    name: str
    trunk: Network

    @property
    def node_address(self) -> str:
        """The second node's address."""
        return f"10.98.{self.trunk.index}.2"

    @property
    def pod_range(self) -> str:
        """The addresses of its pods."""
        return f"10.245.{self.trunk.index}.0/24"

    def create(self) -> None:
        """Make namespace, cable and routes."""
        run(["ip", "netns", "add", self.name])
        self.trunk.inside(
            f"ip link add {self._near} type veth peer name {self._far} netns {self.name}",
            f"ip addr add {self._gateway}/24 dev {self._near}",
            f"ip link set {self._near} up",
            f"ip route add {self.pod_range} via {self.node_address}",
        )
        self.inside(
            "ip link set lo up",
            f"ip addr add {self.node_address}/24 dev {self._far}",
            "sysctl -qw net.ipv4.ip_forward=1",
        )
        self.mend()
        for reached in (f"10.98.{self.trunk.index}.0/24", self.pod_range):
            run(["ip", "route", "add", reached, "via", self.trunk.node_address])

    def cut(self) -> None:
        """Cut the cable: nothing comes through any more, and nobody is told."""
        self.inside(f"ip link set {self._far} down")

    def mend(self) -> None:
        """Join what was cut; the way out has to be told again, because it went with the cable."""
        self.inside(f"ip link set {self._far} up", f"ip route replace default via {self._gateway}")

    def remove(self) -> None:
        """Remove the namespace with its cable and the ways to it; nothing happens when there is none."""
        if not self._exists():
            return
        run(["ip", "netns", "del", self.name])
        for reached in (f"10.98.{self.trunk.index}.0/24", self.pod_range):
            subprocess.run(["ip", "route", "del", reached], capture_output=True, check=False)

    @property
    def _near(self) -> str:
        return f"dbc{self.trunk.index}n"

    @property
    def _far(self) -> str:
        return f"dbc{self.trunk.index}f"

    @property
    def _gateway(self) -> str:
        return f"10.98.{self.trunk.index}.1"
