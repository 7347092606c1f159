"""pgbench of the machine's own PostgreSQL: the relocatable servers come without it, and any major's speaks to any server."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from ground.cache import GroundError, run, say

_PLACES: Final = Path("/usr/lib/postgresql")


def pgbench() -> Path:
    """Return the newest pgbench on this machine, installed with Debian's PostgreSQL if there is none."""
    if not _found():
        _install()
    if not (found := _found()):
        raise GroundError("no pgbench: Debian's package postgresql did not bring it")
    return found[-1]


def _found() -> list[Path]:
    return sorted(_PLACES.glob("*/bin/pgbench"), key=lambda program: float(program.parents[1].name))


def _install() -> None:
    if os.geteuid() != 0:
        raise GroundError("pgbench is missing: install Debian's package postgresql")
    say("installing postgresql for its pgbench (first time only)")
    quiet = {
        "DEBIAN_FRONTEND": "noninteractive",
        "RUNLEVEL": "1",
    }  # in run level 1 packages do not start their services
    run(["apt-get", "update", "-qq"], environment=quiet)
    run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "postgresql"], environment=quiet)
