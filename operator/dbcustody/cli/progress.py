"""How far a run is, for the person who waits: a bar on a terminal, a line now and then where there is none (cron, CI).

Everything goes to standard error; standard output belongs to the result.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from typing import TYPE_CHECKING, Final, Protocol, Self

import click
from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from dbcustody.api.backup import Stage
from dbcustody.cli.figures import size_text
from dbcustody.logs import redact_text

if TYPE_CHECKING:
    from types import TracebackType

    from dbcustody.api.restore import RestoreStage
    from dbcustody.contract import DataProgress

_HUMP: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
LINE_SECONDS: Final = 10.0
"""Between two lines of the same stage."""


class Display(Protocol):
    """Shows progress while it is open; may be told from any thread. A context manager."""

    stage: Stage | RestoreStage | None
    """The last stage that was told; None: none yet."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def report(self, progress: DataProgress) -> None:
        """Show *progress*."""


def make_display() -> Display:
    """Return the display that fits standard error."""
    return BarDisplay() if sys.stderr.isatty() else LineDisplay()


class BarDisplay:
    """One bar for the stage at hand: what is done, how far, how much, how fast, for how long."""

    def __init__(self) -> None:
        self.stage: Stage | RestoreStage | None = None
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TaskProgressColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task("starting", total=None, figures="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def report(self, progress: DataProgress) -> None:
        """Show *progress*; a stage of unknown length is shown as going on."""
        self.stage = progress.stage
        self._bar.update(
            self._task,
            description=redact_text(_what(progress)),
            total=None if progress.percent is None else 100,
            completed=progress.percent or 0,
            figures=_figures(progress),
        )


class LineDisplay:
    """A line at the beginning of each stage, and one every ten seconds after it."""

    def __init__(self) -> None:
        self.stage: Stage | RestoreStage | None = None
        self._lock = threading.Lock()
        self._told = float("-inf")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def report(self, progress: DataProgress) -> None:
        """Show *progress* when it is worth a line."""
        with self._lock:
            at = time.monotonic()
            if progress.stage is self.stage and at - self._told < LINE_SECONDS:
                return
            self.stage, self._told = progress.stage, at
        percent = "" if progress.percent is None else f"{progress.percent} %"
        said = ", ".join(filter(None, (_what(progress), percent, _figures(progress))))
        click.echo(redact_text(said), err=True)


def _what(progress: DataProgress) -> str:
    stage = _HUMP.sub(" ", progress.stage.value).lower()
    if not progress.waiting_for:
        return stage
    waits = f"waiting for {progress.waiting_for}"
    return waits if progress.stage is Stage.WAITING else f"{stage}, {waits}"


def _figures(progress: DataProgress) -> str:
    amount = "" if progress.bytes is None else size_text(progress.bytes)
    rate = "" if not progress.bytes_per_second else f"{size_text(progress.bytes_per_second)}/s"
    return ", ".join(filter(None, (amount, rate)))
