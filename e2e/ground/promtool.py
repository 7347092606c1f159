"""Prometheus' own judge of alert rules, from Debian's package, of which nothing but that program is kept."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from ground.cache import GroundError, cached, run
from ground.root import mirror


def program() -> Path:
    """Return `promtool`; raises GroundError where Debian's packages cannot be fetched."""
    return cached("promtool", _fetch, doing="fetching promtool from Debian's package of Prometheus (20 s)")


def _fetch(draft: Path) -> None:
    mirror()  # says in plain words where a machine has no packages of Debian
    with tempfile.TemporaryDirectory(prefix="dbcustody-promtool-") as folder:
        run(["apt-get", "update", "-qq"])
        run(["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", "prometheus"], cwd=Path(folder))
        package = next(Path(folder).glob("prometheus_*.deb"), None)
        if package is None:
            raise GroundError("apt-get download prometheus: there is no package in the folder afterwards")
        run(["dpkg-deb", "-x", package, Path(folder) / "files"])
        shutil.copy(Path(folder) / "files" / "usr" / "bin" / "promtool", draft)
