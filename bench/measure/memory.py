"""Peak memory of our own process: the same whether the database is small or ten times as large."""

from __future__ import annotations

from typing import Final

from measure.backup import parts_with
from measure.database import size_bytes
from measure.figure import Figure

SMALL_BYTES: Final = 300_000_000
LARGE_BYTES: Final = 3_000_000_000
MOST_BYTES: Final = 160 * 1024 * 1024


def measure(*, rounds: int) -> list[Figure]:
    """Return the peak RSS of a backup at two sizes, verification Read included."""
    figures = []
    for title, least in (("small", SMALL_BYTES), ("large", LARGE_BYTES)):
        with parts_with(least) as parts:
            size = size_bytes(parts.postgres)
            seen = [parts.back_up(row_counts="Exact", level="Read") for _ in range(min(rounds, 3))]
        figures += [
            Figure(f"size of the {title} database", "bytes", (float(size),)),
            Figure(
                f"peak RSS of our process, {title} database",
                "bytes",
                tuple(float(one["peak_rss_bytes"]) for one in seen),
                float(MOST_BYTES),
                "most",
                "worst",
            ),
        ]
    growth = figures[3].value / figures[1].value
    return [*figures, Figure("peak RSS large against small", "ratio", (growth,), 1.1, "most")]
