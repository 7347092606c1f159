"""Container images without a registry: a root file system becomes a docker-archive that containerd imports."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ground.cache import REPOSITORY, cached, run

if TYPE_CHECKING:
    from collections.abc import Sequence

PAUSE = "localhost/pause:3.10"


def write_image(path: Path, reference: str, layer: Path, *, entrypoint: Sequence[str] = ()) -> None:
    """Write a docker-archive of one *layer* (a tar) under the name *reference* to *path*."""
    digest = _sha256(layer)
    configuration: dict[str, Any] = {
        "architecture": "amd64",
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {
            "Entrypoint": list(entrypoint),
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    raw = json.dumps(configuration).encode()
    config_name = f"{hashlib.sha256(raw).hexdigest()}.json"
    manifest = [{"Config": config_name, "RepoTags": [reference], "Layers": [f"{digest}/layer.tar"]}]
    with tarfile.open(path, "w") as archive:
        archive.add(layer, f"{digest}/layer.tar")
        for name, content in ((config_name, raw), ("manifest.json", json.dumps(manifest).encode())):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


def pause_image() -> Path:
    """Return the docker-archive of the pause image."""
    return cached("pause.tar", _make_pause, doing="making the pause image")


def _make_pause(draft: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        program, layer = Path(folder) / "pause", Path(folder) / "layer.tar"
        run(["gcc", "-static", "-Os", "-s", "-o", program, REPOSITORY / "e2e/kube/pause.c"])
        with tarfile.open(layer, "w") as archive:
            archive.add(program, "pause")
        write_image(draft, PAUSE, layer, entrypoint=["/pause"])


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
