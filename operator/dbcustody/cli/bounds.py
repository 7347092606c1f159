"""How much options and variables take: a module of its own, so that nothing is loaded for a help text."""

from __future__ import annotations

from typing import Final

LARGEST_PARALLELISM: Final = 32
"""Of `--jobs`, `--parallelism` and BACKUP_PARALLELISM."""
LONGEST_KEEP_SECONDS: Final = 31_536_000
"""Of `--keep-old`: a year. Both are bounds of the CRDs; a test holds them together."""
