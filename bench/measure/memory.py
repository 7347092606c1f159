"""Peak memory of our own process: the same whether the database is small or ten times as large.

Three parts of an upload are in flight at most, so a dump that is smaller than those needs less: the smallest database is reported, and the
one that just fills them is what the large one is held against.
"""

from __future__ import annotations

from typing import Final

from measure.database import size_bytes
from measure.figure import Figure
from measure.parts import parts_with

SIZES: Final = {"small": 300_000_000, "medium": 600_000_000, "large": 3_000_000_000}
MOST_BYTES: Final = 160 * 1024 * 1024
MOST_GROWTH: Final = 1.1


def measure(*, rounds: int) -> list[Figure]:
    """Return the peak RSS of a backup at three sizes, verification Read included."""
    figures, peaks = [], {}
    for title, least in SIZES.items():
        with parts_with(least) as parts:
            size = size_bytes(parts.postgres)
            seen = [parts.back_up(row_counts="Exact", level="Read") for _ in range(min(rounds, 3))]
        rss = tuple(float(one["peak_rss_bytes"]) for one in seen)
        peak = Figure(f"peak RSS of our process, {title} database", "bytes", rss, float(MOST_BYTES), "most", "worst")
        stored = tuple(float(one["stored_bytes"]) for one in seen)
        figures += [
            Figure(f"size of the {title} database", "bytes", (float(size),)),
            Figure(f"stored of the {title} database", "bytes", stored),
            peak,
        ]
        peaks[title] = peak.value
    growth, whole_growth = peaks["large"] / peaks["medium"], peaks["large"] / peaks["small"]
    return [
        *figures,
        Figure("peak RSS large against medium", "ratio", (growth,), MOST_GROWTH, "most"),
        Figure("peak RSS large against small", "ratio", (whole_growth,)),
    ]
