"""restic, built from its Go module: a rival to measure against, wanted by benchmarks alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ground.cache import cached
from ground.golang import build

if TYPE_CHECKING:
    from pathlib import Path

VERSION: Final = "v0.18.1"


def restic() -> Path:
    """Return the executable, built the first time."""
    return cached(
        f"bin/restic-{VERSION}",
        lambda draft: build(f"github.com/restic/restic/cmd/restic@{VERSION}", draft),
        doing="building restic (2 minutes the first time)",
    )
