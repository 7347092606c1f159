"""Where somebody sits who types a document: the repository before him, programs by their usual names, a cluster of his own."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ground import helm
from ground.cache import REPOSITORY
from ground.root import client_folder
from scene.document import Reader

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ground.image import Image
    from ground.kubernetes import Cluster

INSTALLED: Final = Path(sys.executable).parent
"""Where pip put `dbcustody` and `kubectl-dbcustody`, beside Python."""
IMAGE: Final = "registry.example.com/dbcustody"
"""What the documents call our image."""
PUSHED: Final = f"image.repository={IMAGE}"
"""How they hand it to Helm."""
IN_MANIFEST: Final = f"{IMAGE}:0.1.0"
"""How they put it into the manifest."""


def lay_out(folder: Path) -> None:
    """Put into *folder* what a reader has who was given the repository, and Helm by its usual name."""
    for name in ("charts", "deploy", "examples"):
        shutil.copytree(REPOSITORY / name, folder / name)
    (folder / "bin").mkdir()
    (folder / "bin" / "helm").symlink_to(helm.program())


def sit_down(folder: Path, cluster: Cluster, image: Image, values: Mapping[str, str]) -> Reader:
    """Return somebody at the laid out *folder* who administers *cluster*; *values* are put in beside the address of *image*."""
    environment = {
        **os.environ,
        **cluster.environment,
        "PATH": f"{folder / 'bin'}:{INSTALLED}:{client_folder(17)}:{cluster.environment['PATH']}",
        "HOME": str(folder),
    }
    repository, tag = image.reference.rsplit(":", 1)
    pushed = {IN_MANIFEST: image.reference, PUSHED: f"image.repository={repository},image.tag={tag}"}
    return Reader(folder=folder, environment=environment, values={**pushed, **values})
