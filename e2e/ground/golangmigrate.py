"""golang-migrate, built from its Go module: a rival to measure against, wanted by benchmarks alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ground.cache import cached
from ground.golang import build

if TYPE_CHECKING:
    from pathlib import Path

VERSION: Final = "v4.19.1"


def golang_migrate() -> Path:
    """Return the executable with its PostgreSQL driver (pgx 5), built the first time."""
    module = f"github.com/golang-migrate/migrate/v4/cmd/migrate@{VERSION}"
    return cached(
        f"bin/golang-migrate-{VERSION}",
        lambda draft: build(module, draft, tags="pgx5"),
        doing="building golang-migrate (a minute the first time)",
    )
