"""Debian packages: installed once, only those that are missing, and a clear word where that is not possible."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Final

from ground.cache import GroundError, run, say

if TYPE_CHECKING:
    from collections.abc import Iterable

PROGRAMS: Final = {
    "containerd": "containerd",
    "runc": "runc",
    "ip": "iproute2",
    "nft": "nftables",
    "nsenter": "util-linux",
    "openssl": "openssl",
    "mmdebstrap": "mmdebstrap",
    "dockerd": "docker.io",
    "docker": "docker.io",
    "gcc": "gcc",
    "mvn": "maven",
    "pgbouncer": "pgbouncer",
    "git": "git",
    "faketime": "faketime",
}
"""Program -> the package that brings it."""

CLUSTER_PROGRAMS: Final = (
    "containerd",
    "runc",
    "ip",
    "nft",
    "nsenter",
    "openssl",
    "mmdebstrap",
    "dockerd",
    "docker",
    "gcc",
)
SERVER_PROGRAMS: Final = ("mvn", "mmdebstrap", "openssl", "pgbouncer")
CNI_PLUGIN: Final = "/usr/lib/cni/bridge"


def require(programs: Iterable[str]) -> None:
    """Install the packages of those *programs* that are missing; raises GroundError where that cannot be done."""
    missing = sorted({PROGRAMS[program] for program in programs if shutil.which(program, path=_path()) is None})
    if "containerd" in programs and not os.path.exists(CNI_PLUGIN):  # noqa: PTH110 - a constant, not a path to work with
        missing.append("containernetworking-plugins")
    if not missing:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise GroundError(
            f"these Debian packages are missing: {' '.join(missing)}. dbcustody's test ground needs a Debian-like machine with root "
            "(it installs them itself), or install them by hand"
        )
    say(f"installing {' '.join(missing)} (first time only, about a minute)")
    quiet = {
        "DEBIAN_FRONTEND": "noninteractive",
        "RUNLEVEL": "1",
    }  # in run level 1 packages do not start their services
    run(["apt-get", "update", "-qq"], environment=quiet)
    if "docker.io" in missing and run(["apt-cache", "search", "--names-only", "^docker-cli$"]):
        missing.append("docker-cli")  # newer releases of Debian have the client apart
    run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing], environment=quiet)
    _stop_services(missing)


def _stop_services(packages: Iterable[str]) -> None:
    """Stop what a package started: our daemons are started by ourselves, with settings of their own."""
    if shutil.which("systemctl") is None:
        return
    for service in ("docker", "docker.socket", "containerd", "pgbouncer"):
        if any(service.startswith(package.split(".")[0]) for package in packages):
            run(["sh", "-c", f"systemctl disable --now {service} >/dev/null 2>&1 || true"])


def _path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/local/go/bin"
