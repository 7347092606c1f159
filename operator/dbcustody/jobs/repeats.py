"""What a run had to ask its storage for again, told with its progress and at its end: a sick storage must not pass for a slow database."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from dbcustody.jobs.quantity import grouped

if TYPE_CHECKING:
    from collections.abc import Callable

    from dbcustody.adapters.objectstore import ObjectStore, Repeats
    from dbcustody.api.backup import Progress
    from dbcustody.contract import JobResult
    from dbcustody.jobs.tools import Tools

RECENT_SECONDS: Final = 15.0
"""Longer than the longest pause between two tries."""


class Witness:
    """Remembers the storages that a run opens; one run, any thread."""

    def __init__(self) -> None:
        self._stores: list[ObjectStore] = []

    def watching(self, tools: Tools) -> Tools:
        """Return *tools* whose storages are remembered."""

        def open_store() -> ObjectStore:
            self._stores.append(tools.store())
            return self._stores[-1]

        return replace(tools, store=open_store)

    def reporting(self, report: Callable[[Progress], None]) -> Callable[[Progress], None]:
        """Return *report* such that a progress that waits for nothing else says when the storage makes it wait."""

        def tell(progress: Progress) -> None:
            recent = [store.repeats for store in self._stores if _is_recent(store.repeats)]
            if recent and progress.waiting_for is None:
                progress = replace(progress, waiting_for=f"the storage: {describe(recent[0])}")
            report(progress)

        return tell

    def concluded(self, result: JobResult) -> JobResult:
        """Return *result* with what had to be repeated in its message."""
        said = [describe(store.repeats) for store in self._stores if store.repeats.count]
        return replace(result, message="; ".join((result.message, *said))) if said else result


def describe(repeats: Repeats) -> str:
    """Return in words how many requests were repeated, and why."""
    noun = "request was" if repeats.count == 1 else "requests were"
    return f"{grouped(repeats.count)} storage {noun} repeated (last: {repeats.because})"


def _is_recent(repeats: Repeats) -> bool:
    return repeats.last_monotonic is not None and time.monotonic() - repeats.last_monotonic < RECENT_SECONDS
