"""What a Job says: framed records on standard output, and the termination message at the end. A listener who left is no reason to fail."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TextIO

from dbcustody.contract import dump_result, frame, progress_record, result_record

if TYPE_CHECKING:
    from pathlib import Path

    from dbcustody.contract import AnyProgress, JobResult, Record

PROGRESS_SECONDS: Final = 1.0


class Output:
    """Numbers and writes the records of one run; may be used from any thread."""

    def __init__(self, stream: TextIO, termination_file: Path) -> None:
        self._stream: TextIO | None = stream
        self._termination_file = termination_file
        self._lock = threading.Lock()
        self._number = 0
        self._told_at = float("-inf")
        self._stage: str | None = None

    def report(self, progress: AnyProgress) -> None:
        """Tell *progress*, at most once a second; the beginning of a stage is always told."""
        with self._lock:
            at = time.monotonic()
            if progress.stage is self._stage and at - self._told_at < PROGRESS_SECONDS:
                return
            self._told_at, self._stage = at, progress.stage
            self._number += 1
            self._write(progress_record(self._number, progress))

    def conclude(self, result: JobResult) -> None:
        """Tell *result*: short where the kubelet looks for it, whole on standard output."""
        with suppress(OSError):
            self._termination_file.write_text(dump_result(result))
        with self._lock:
            self._number += 1
            self._write(result_record(self._number, result))

    def _write(self, record: Record) -> None:
        """Write one line; when nobody reads any more, be quiet for good, and let the interpreter's last flush find an open file."""
        if self._stream is None:
            return
        try:
            self._stream.write(frame(record) + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            _discard(self._stream)
            self._stream = None


def _discard(stream: TextIO) -> None:
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
