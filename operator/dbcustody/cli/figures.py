"""Numbers, times and tables as a terminal shows them; programs take `--json`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbcustody.jobs.quantity import size_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

__all__ = ["count_text", "duration_text", "size_text", "table_text", "time_text"]

_MINUTE_SECONDS = 60
_HOUR_SECONDS = 3600


def count_text(number: int) -> str:
    """Return *number* with its thousands apart."""
    return f"{number:,}".replace(",", " ")


def duration_text(seconds: float) -> str:
    """Return a duration in the two units that matter: 4.2 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < _MINUTE_SECONDS:
        return f"{seconds:.1f} s"
    if whole < _HOUR_SECONDS:
        return f"{whole // _MINUTE_SECONDS} min {whole % _MINUTE_SECONDS} s"
    return f"{whole // _HOUR_SECONDS} h {whole % _HOUR_SECONDS // _MINUTE_SECONDS} min"


def time_text(moment: datetime | None) -> str:
    """Return *moment* to the second, or a dash when there is none."""
    return (
        "-" if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ" if _is_utc(moment) else "%Y-%m-%dT%H:%M:%S%z")
    )


def table_text(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in columns, as kubectl prints them: two spaces apart, never cut, the last one open to the right."""
    lines = [tuple(header), *(tuple(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    texts = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "\n".join(text.rstrip() for text in texts)


def _is_utc(moment: datetime) -> bool:
    offset = moment.utcoffset()
    return offset is not None and not offset
