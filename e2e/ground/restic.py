"""restic, built from its Go module: a rival to measure against, wanted by benchmarks alone."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Final

from ground.cache import cached, run
from ground.golang import go

VERSION: Final = "v0.18.1"


def restic() -> Path:
    """Return the executable, built the first time."""
    return cached(f"bin/restic-{VERSION}", _build, doing="building restic (2 minutes the first time)")


def _build(draft: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        module = f"github.com/restic/restic/cmd/restic@{VERSION}"
        run(
            [go(), "install", "-trimpath", "-ldflags", "-s -w", module],
            environment={"GOBIN": folder, "GOWORK": "off", "GOFLAGS": "", "CGO_ENABLED": "0"},
        )
        shutil.copy(Path(folder) / "restic", draft)
        draft.chmod(0o755)
