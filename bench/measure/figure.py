"""One figure: its values, its median, the bar it has to meet."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Figure:
    """What was measured; *bar* None means: told, not judged. *judged* says which of the values counts against the bar."""

    name: str
    unit: str
    values: tuple[float, ...]
    bar: float | None = None
    sense: Literal["least", "most"] = "most"
    """Whether the bar is the least or the most that is allowed."""
    judged: Literal["median", "worst"] = "median"

    @property
    def median(self) -> float:
        """The median of the values."""
        return statistics.median(self.values)

    @property
    def value(self) -> float:
        """The value that is held against the bar."""
        if self.judged == "median":
            return self.median
        return min(self.values) if self.sense == "least" else max(self.values)

    @property
    def is_met(self) -> bool:
        """Whether the bar is met, or there is none."""
        if self.bar is None:
            return True
        return self.value >= self.bar if self.sense == "least" else self.value <= self.bar

    @property
    def document(self) -> dict[str, Any]:
        """The figure as JSON."""
        bar = {} if self.bar is None else {"bar": self.bar, "sense": self.sense, "met": self.is_met}
        rounded = [round(value, 4) for value in self.values]
        return {
            "name": self.name,
            "unit": self.unit,
            "judged": self.judged,
            "median": round(self.median, 4),
            "values": rounded,
            **bar,
        }

    def __str__(self) -> str:
        """Return it for people."""
        spread = f"{min(self.values):.3g}..{max(self.values):.3g}" if len(self.values) > 1 else ""
        if self.bar is None:
            verdict = ""
        else:
            verdict = f"  [{'met' if self.is_met else 'MISSED'}: {'at least' if self.sense == 'least' else 'at most'} {self.bar:g}]"
        return f"{self.name}: {self.value:.4g} {self.unit} {spread}{verdict}".rstrip()
