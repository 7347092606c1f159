"""The collector of a process that does one piece of work."""

from __future__ import annotations

import gc

from dbcustody.jobs.garbage import OBJECTS, collect_rarely


def test_collector_looks_rarely_and_still_looks() -> None:
    """It is not switched off: a long dump would keep every cycle."""
    before = gc.get_threshold()
    try:
        collect_rarely()
        assert (gc.isenabled(), gc.get_threshold()) == (True, (OBJECTS, 50, 1000))
    finally:
        gc.set_threshold(*before)
