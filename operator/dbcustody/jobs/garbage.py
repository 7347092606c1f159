"""How often Python looks for garbage in a process that does one piece of work.

What such a process makes it mostly keeps, tens of thousands of table names among it, and reference counting frees the rest. The collector
walks through all that is kept again and again for the few cycles in it: a tenth of the time of a backup of 20 000 tables.
"""

from __future__ import annotations

import gc
from typing import Final

OBJECTS: Final = 50_000
"""Between two looks at the youngest; Python's own 700 is made for programs that run for ever."""


def collect_rarely() -> None:
    """Let the collector look rarely, and at what is old hardly ever; cycles that are kept meanwhile cost a few MiB."""
    gc.set_threshold(OBJECTS, 50, 1000)
