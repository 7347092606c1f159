"""squawk, a linter of migrations, as a program that is run on one text: it comes with the package squawk-cli, and has no library.

How its report is read stands in `dbcustody.migration.squawk`. It is asked with `--reporter json`, is given the text on standard input, and
needs neither a file nor a network; of our environment it sees no credential.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

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
    options = [f"--pg-version={major}.0"] if major is not None else []
    options += ["--assume-in-transaction"] if in_transaction else []
    try:
        done = subprocess.run(
            [program, "--reporter", "json", *options],
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
