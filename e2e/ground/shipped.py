"""Histories of Alembic that packages ship: MLflow and Apache Airflow, unpacked into a folder of the cache that nobody imports by accident.

The packages are not installed into any environment, and none of their dependencies comes by itself: `shipped.txt` names what their
revisions import, pinned by version and digest.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Final

from ground.cache import cached, run

_PINS: Final = Path(__file__).with_name("shipped.txt")
VERSIONS: Final = {"mlflow": "mlflow/store/db_migrations/versions", "airflow": "airflow/migrations/versions"}
"""Where the revisions lie in the folder of each."""


def shipped() -> Path:
    """Return a folder that has the packages in it; raises GroundError where they cannot be had."""
    digest = hashlib.sha256(_PINS.read_bytes()).hexdigest()[:12]
    return cached(f"shipped-{digest}", _install, doing="fetching the histories of MLflow and Airflow")


def _install(draft: Path) -> None:
    options = ["--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    run([sys.executable, "-m", "pip", "install", *options, "--target", draft, "--requirement", _PINS])
