"""Progress for the one who waits: lines where there is no terminal, a bar on one, the same facts in both."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from typing import TYPE_CHECKING

from dbcustody.api.backup import Progress, Stage
from dbcustody.cli.progress import LineDisplay

if TYPE_CHECKING:
    import pytest

HALF = Progress(stage=Stage.DUMPING, summary="", percent=50, bytes=3 << 20, bytes_per_second=1 << 20)


def test_lines_come_with_stages_and_not_with_every_word(capsys: pytest.CaptureFixture[str]) -> None:
    """A log gets a line for each stage, not one a second."""
    with LineDisplay() as display:
        display.report(Progress(stage=Stage.CONNECTING, summary=""))
        for _ in range(100):
            display.report(HALF)
        display.report(Progress(stage=Stage.VERIFYING, summary="", percent=1, bytes=10))

    assert capsys.readouterr().err.splitlines() == [
        "connecting",
        "dumping, 50 %, 3.0MiB, 1.0MiB/s",
        "verifying, 1 %, 10B",
    ]
    assert display.stage is Stage.VERIFYING


def test_who_is_waited_for_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """Waiting without saying for whom helps nobody."""
    LineDisplay().report(Progress(stage=Stage.WAITING, summary="", waiting_for="dbcustody backup web.shop (pid 7)"))

    assert capsys.readouterr().err == "waiting for dbcustody backup web.shop (pid 7)\n"


def test_what_is_done_while_a_storage_is_waited_for_is_named_too(capsys: pytest.CaptureFixture[str]) -> None:
    """A storage that is asked again holds up a dump; it is not what is dumped for."""
    wait = "the storage: 3 storage requests were repeated (last: SlowDown)"
    LineDisplay().report(Progress(stage=Stage.DUMPING, summary="", waiting_for=wait, percent=50))

    assert capsys.readouterr().err == f"dumping, waiting for {wait}, 50 %\n"


def test_a_terminal_gets_a_bar() -> None:
    """On a terminal stage, percent, bytes and rate stand in one line that is drawn again, and is gone at the end."""
    program = (
        "from dbcustody.api.backup import Progress, Stage\nfrom dbcustody.cli.progress import make_display\n"
        "with make_display() as display:\n"
        f"    display.report(Progress(stage=Stage.DUMPING, summary='', percent=50, bytes={3 << 20}, bytes_per_second={1 << 20}))"
    )
    ours, theirs = pty.openpty()
    with subprocess.Popen([sys.executable, "-c", program], stderr=theirs, env={"TERM": "xterm", "COLUMNS": "120"}):
        os.close(theirs)
        seen = read_terminal(ours)
    os.close(ours)

    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen)
    assert re.search(r"dumping ━+.* 50% 3.0MiB, 1.0MiB/s", plain)
    assert seen.rstrip("\r\n").endswith("\x1b[2K")


def read_terminal(descriptor: int) -> str:
    """Return everything that is written to the terminal until its last writer is gone."""
    seen = b""
    while True:
        try:
            data = os.read(descriptor, 4096)
        except OSError:
            return seen.decode()
        if not data:
            return seen.decode()
        seen += data
