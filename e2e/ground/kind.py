"""A cluster by kind (https://kind.sigs.k8s.io), where a Docker engine and kind are at hand: nothing is built for it.

Not verified: the machines on which this project is tested have no Docker engine that may run privileged containers. What is tested is
which commands are given.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ground.cache import GroundError, cache_folder, run, say
from ground.image import application_image

if TYPE_CHECKING:
    from pathlib import Path

PROGRAMS: Final = ("docker", "kind", "kubectl")
_WAIT: Final = "120s"


@dataclass(frozen=True)
class KindCluster:
    """The cluster that kind calls `dbcustody-NAME`."""

    name: str

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig; the one of the user is left alone."""
        return cache_folder() / f"kind-{self.name}.kubeconfig"

    @property
    def environment(self) -> dict[str, str]:
        """What a shell needs to use kubectl on this cluster."""
        return {"KUBECONFIG": str(self.kubeconfig)}

    def start(self) -> None:
        """Create the cluster and put our image on its node; raises GroundError when something for it is missing."""
        _require_programs()
        say(f"cluster {self._title}: made by kind, which this project's own tests do not use")
        run(
            ["kind", "create", "cluster", f"--name={self._title}", f"--kubeconfig={self.kubeconfig}", f"--wait={_WAIT}"]
        )
        image = application_image()
        run(["kind", "load", "image-archive", image.archive, f"--name={self._title}"])

    def stop(self) -> None:
        """Delete the cluster; nothing happens when there is none."""
        _require_programs()
        run(["kind", "delete", "cluster", f"--name={self._title}", f"--kubeconfig={self.kubeconfig}"])
        self.kubeconfig.unlink(missing_ok=True)

    @property
    def _title(self) -> str:
        return f"dbcustody-{self.name}"


def _require_programs() -> None:
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        raise GroundError(
            f"PROVIDER=kind: {', '.join(missing)} not found on the PATH; install what is missing, or leave PROVIDER out: then a "
            "complete Kubernetes is built for this machine, without Docker"
        )
