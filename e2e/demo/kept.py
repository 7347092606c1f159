"""What `make demo KEEP=1` leaves on this machine, written down so that another command can take it down without a trace."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from ground.cache import cache_folder
from ground.kubernetes import take_down
from ground.process import Daemon

if TYPE_CHECKING:
    from demo.narration import Narrator
    from demo.server import Servers
    from ground.kubernetes import Cluster


def _note() -> Path:
    return cache_folder() / "demo-kept.json"


def leave(narrator: Narrator, servers: Servers, cluster: Cluster) -> None:
    """Write down what stays, release it from this process, and tell how to use and how to stop it."""
    folders = [servers.folder, servers.postgres.folder, *(server.folder for server in servers.s3)]
    for folder in (*folders, cluster.folder):
        (folder / "owner").write_text("")  # belongs to nobody: the next user of the test ground leaves it alone
    _note().write_text(json.dumps({"cluster": cluster.name, "folders": [str(folder) for folder in folders]}))
    narrator.chapter("The cluster stays")
    print(f"export KUBECONFIG={cluster.kubeconfig}")
    print(f"export PATH={cluster.environment['PATH'].split(':')[0]}:$PATH")
    print("kubectl get backups")
    print("\nWhen you have seen enough: make demo-stop")


def stop() -> bool:
    """Take down what was left; returns whether there was anything."""
    try:
        note = json.loads(_note().read_text())
    except FileNotFoundError:
        return False
    take_down(note["cluster"])
    for folder in map(Path, note["folders"]):
        for pid_file in folder.glob("*.pid"):
            Daemon(folder, pid_file.stem).stop()
        shutil.rmtree(folder, ignore_errors=True)
    _note().unlink()
    return True
