"""squawk, a linter of migrations, as a program that is run on texts: it comes with the package squawk-cli, and has no library.

How its report is read stands in `dbcustody.migration.squawk`. It is asked with `--reporter json`, is given one text on standard input or
several in files of a folder that is gone afterwards, and needs no network; of our environment it sees no credential.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

TIMEOUT_SECONDS: Final = 60.0
"""It takes 33 ms for a file of usual length; who waits longer is waiting for nothing."""
_FOUND: Final = (0, 1)
"""Its exit codes: nothing found, something found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What it said; *text* is the JSON, and empty where *why_not* says why there is none."""

    text: str = ""
    why_not: str = ""


def find_squawk(path: str | None = None) -> str | None:
    """Return the program, beside our Python or on *path* (None: that of the environment); None: there is none on this machine."""
    beside = str(Path(sys.executable).parent)
    rest = os.environ.get("PATH", os.defpath) if path is None else path
    return shutil.which("squawk", path=os.pathsep.join((beside, rest)))


def ask_squawk(text: str, *, program: str | None, major: int | None, in_transaction: bool) -> Report:
    """Return what *program* says of *text*, for a server of *major* (None: its default), as it is run in a transaction or not."""
    if program is None:
        return Report(why_not="the program squawk is not on this machine")
    return _run([program, *_options(major, in_transaction=in_transaction)], text)


def ask_together(
    texts: Sequence[str], *, program: str | None, major: int | None, in_transaction: bool
) -> tuple[Report, ...]:
    """Return what it says of each of *texts*, as `ask_squawk` does, by one process: to start it 500 times takes most of the time.

    Where it cannot look at all of them together, each is asked about by itself.
    """
    if program is not None and len(texts) > 1:
        command = [program, *_options(major, in_transaction=in_transaction)]
        with (
            suppress(OSError, ValueError, KeyError, TypeError),
            tempfile.TemporaryDirectory(prefix="squawk-") as folder,
        ):
            files = [str(Path(folder) / f"{number}.sql") for number in range(len(texts))]
            for file, text in zip(files, texts, strict=True):
                Path(file).write_bytes(text.encode())
            return _split(_run([*command, *files], ""), files)
    return tuple(ask_squawk(text, program=program, major=major, in_transaction=in_transaction) for text in texts)


def _options(major: int | None, *, in_transaction: bool) -> list[str]:
    version = [f"--pg-version={major}.0"] if major is not None else []
    return ["--reporter", "json", *version, *(["--assume-in-transaction"] if in_transaction else [])]


def _split(report: Report, files: Sequence[str]) -> tuple[Report, ...]:
    """Return the part of *report* that is of each of *files*; raises ValueError, KeyError or TypeError when it is no report of theirs."""
    found: dict[str, list[object]] = {file: [] for file in files}
    for entry in json.loads(report.text):
        found[entry["file"]].append(entry)
    return tuple(Report(text=json.dumps(entries)) for entries in found.values())


def _run(command: list[str], text: str) -> Report:
    try:
        done = subprocess.run(
            command,
            input=text.encode(),
            capture_output=True,
            check=False,
            timeout=TIMEOUT_SECONDS,
            env={"PATH": os.defpath, "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Report(why_not=f"it did not run ({type(error).__name__})")
    if done.returncode not in _FOUND:
        return Report(why_not=f"it ended with exit code {done.returncode}")
    return Report(text=done.stdout.decode(errors="replace"))
