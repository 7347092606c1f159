"""The executable of the one-machine Kubernetes: built once from its Go modules, with progress, and kept in the cache."""

from __future__ import annotations

import hashlib
import os
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Final

from ground.cache import REPOSITORY, GroundError, cached, say
from ground.golang import go

if TYPE_CHECKING:
    from pathlib import Path

VERSION: Final = "1.37.1"
SOURCE: Final = REPOSITORY / "e2e" / "kube"
NAMES: Final = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "coredns",
    "kubectl",
)
_STAMP: Final = {
    "k8s.io/component-base/version.gitVersion": f"v{VERSION}",
    "k8s.io/component-base/version.gitMajor": VERSION.split(".")[0],
    "k8s.io/component-base/version.gitMinor": VERSION.split(".")[1],
    "k8s.io/component-base/version.gitTreeState": "clean",
    "k8s.io/component-base/version.gitCommit": "unknown",
    "k8s.io/component-base/version.buildDate": "2026-01-01T00:00:00Z",
    "k8s.io/client-go/pkg/version.gitVersion": f"v{VERSION}",
}
_EXPECTED_DOWNLOADS: Final = 330
_BEAT_SECONDS: Final = 20


def programs() -> Path:
    """Return a folder in which every Kubernetes component stands under its own name."""
    return cached(
        f"kube-v{VERSION}-{_digest()}",
        _build,
        doing=f"building Kubernetes {VERSION} (6 minutes the first time, on 2 cores)",
    )


def _digest() -> str:
    content = b"".join((SOURCE / name).read_bytes() for name in ("go.mod", "go.sum", "main.go"))
    return hashlib.sha256(content).hexdigest()[:12]


def _build(draft: Path) -> None:
    draft.mkdir()
    flags = "-s -w " + " ".join(f"-X {name}={value}" for name, value in _STAMP.items())
    tags = "selinux,notest,grpcnotrace,providerless"
    command = [
        str(go()),
        "build",
        "-trimpath",
        "-mod=readonly",
        "-tags",
        tags,
        "-ldflags",
        flags,
        "-o",
        str(draft / "kube"),
        ".",
    ]
    environment = {**os.environ, "GOWORK": "off", "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false"}
    with subprocess.Popen(
        command, cwd=SOURCE, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        lines = _watch(process)
    if process.returncode != 0:
        raise GroundError("building Kubernetes: " + "".join(lines[-30:]))
    for name in NAMES:
        (draft / name).symlink_to("kube")


def _watch(process: subprocess.Popen[str]) -> list[str]:
    """Return all output of the build; say every now and then how far it is."""
    lines: list[str] = []
    done = threading.Event()

    def beat() -> None:
        started = time.monotonic()
        while not done.wait(_BEAT_SECONDS):
            fetched = sum("downloading" in line for line in lines)
            say(
                f"... Kubernetes: {time.monotonic() - started:.0f} s, {fetched} of about {_EXPECTED_DOWNLOADS} modules fetched"
            )

    teller = threading.Thread(target=beat, daemon=True)
    teller.start()
    lines.extend(process.stdout or ())
    process.wait()
    done.set()
    teller.join()
    return lines
