"""What every node of a cluster on this machine has in common: how images get onto it, and how nothing is left of it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from ground import cgroup
from ground.cache import run
from ground.stray import remove_strays

if TYPE_CHECKING:
    from pathlib import Path

    from ground.network import Branch, Network


def import_images(socket: Path, archive: Path) -> None:
    """Give the images of a docker-archive to the containerd at *socket*."""
    run(["ctr", "-a", socket, "-n", "k8s.io", "images", "import", archive])


def clear_node(title: str, network: Network | Branch, folder: Path, run_folder: Path) -> None:
    """Kill what still runs in the network and the cgroups of a node whose components have ended, and remove every trace of it."""
    network.end_processes()
    cgroup.remove(title)
    remove_strays(folder, run_folder)
    network.remove()
    shutil.rmtree(run_folder, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
