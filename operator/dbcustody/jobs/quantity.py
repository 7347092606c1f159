"""Sizes and counts as people read them; programs get the plain numbers beside."""

from __future__ import annotations

from typing import Final

_UNITS: Final = ("KiB", "MiB", "GiB", "TiB", "PiB")
_STEP: Final = 1024
_FEW: Final = 10


def size_text(size_bytes: int) -> str:
    """Return *size_bytes* in binary units with two or three digits, as `kubectl` shows quantities: 336MiB, 1.4GiB."""
    if size_bytes < _STEP:
        return f"{size_bytes}B"
    value, unit = float(size_bytes), "B"
    for name in _UNITS:
        if value < _STEP:
            break
        value, unit = value / _STEP, name
    return f"{value:.1f}{unit}" if value < _FEW else f"{value:.0f}{unit}"


def grouped(count: int) -> str:
    """Return *count* with its digits in groups of three, as 1 204 331."""
    return f"{count:,}".replace(",", " ")
