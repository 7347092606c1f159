"""What a run had to ask its storage for again, told with its progress and at its end: a sick storage must not pass for a slow database."""

from __future__ import annotations

import time
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Final

from dbcustody.api.migration import MigrationProgress
from dbcustody.jobs.quantity import grouped

if TYPE_CHECKING:
    from collections.abc import Callable

    from dbcustody.adapters.objectstore import ObjectStore, Repeats
    from dbcustody.contract import AnyProgress, JobResult
    from dbcustody.jobs.tools import Tools

RECENT_SECONDS: Final = 15.0
"""Longer than the longest pause between two tries."""


class Witness:
    """Remembers the storages that a run opens; one run, any thread."""

    def __init__(self) -> None:
        self._stores: list[ObjectStore] = []

    @property
    def repeats(self) -> Repeats | None:
        """What was repeated so far at all storages together; None before the first is opened."""
        each = [store.repeats for store in self._stores]
        if not each:
            return None
        last = max(each, key=lambda one: -inf if one.last_monotonic is None else one.last_monotonic)
        return replace(last, count=sum(one.count for one in each))

    def watching(self, tools: Tools) -> Tools:
        """Return *tools* whose storages are remembered."""

        def open_store() -> ObjectStore:
            self._stores.append(tools.store())
            return self._stores[-1]

        return replace(tools, store=open_store)

    def reporting(self, report: Callable[[AnyProgress], None]) -> Callable[[AnyProgress], None]:
        """Return *report* with the repeats counted in each progress, and the storage named where nothing else is waited for."""

        def tell(progress: AnyProgress) -> None:
            repeats = self.repeats
            if repeats is not None and not isinstance(progress, MigrationProgress):
                progress = replace(progress, repeated_requests=repeats.count)
                if _is_recent(repeats) and progress.waiting_for is None:
                    progress = replace(progress, waiting_for=f"the storage: {describe(repeats)}")
            report(progress)

        return tell

    def concluded(self, result: JobResult) -> JobResult:
        """Return *result* with how many requests had to be repeated as a number, and in its message when there were any."""
        repeats = self.repeats
        if repeats is None:
            return result
        message = f"{result.message}; {describe(repeats)}" if repeats.count else result.message
        return replace(result, message=message, repeated_requests=repeats.count)


def describe(repeats: Repeats) -> str:
    """Return in words how many requests were repeated, and why."""
    noun = "request was" if repeats.count == 1 else "requests were"
    return f"{grouped(repeats.count)} storage {noun} repeated (last: {repeats.because})"


def _is_recent(repeats: Repeats) -> bool:
    return repeats.last_monotonic is not None and time.monotonic() - repeats.last_monotonic < RECENT_SECONDS
