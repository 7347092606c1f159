"""What the demo prints: chapters, the commands as a person would type them, and their real output."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_BOLD, _DIM, _RED, _RESET = ("\033[1m", "\033[2m", "\033[31m", "\033[0m") if sys.stdout.isatty() else ("", "", "", "")


class CommandFailedError(Exception):
    """A command of the demo ended otherwise than the story says."""


@dataclass
class Narrator:
    """Prints the story; *environment* is what the commands run with."""

    environment: Mapping[str, str]
    prefix: Sequence[str] = ()
    started: float = field(default_factory=time.monotonic)

    def chapter(self, title: str) -> None:
        """Print a heading with the seconds since the demo began."""
        print(f"\n{_BOLD}== {title}{_RESET}  {_DIM}({time.monotonic() - self.started:.0f} s){_RESET}", flush=True)

    def say(self, text: str) -> None:
        """Print a sentence of the story."""
        print(f"{_DIM}{text}{_RESET}", flush=True)

    def type(self, command: str, *, expect: int = 0, shown: str | None = None) -> str:
        """Run the shell line *command* as a person would, show it and its output, and return what it printed.

        Raises CommandFailedError when the exit status is not *expect*: a demo that goes on after a failure would lie.
        """
        print(f"{_BOLD}$ {shown or command}{_RESET}", flush=True)
        lines: list[str] = []
        with subprocess.Popen(
            [*self.prefix, "bash", "-c", command],
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            for line in process.stdout or ():
                print(line, end="", flush=True)
                lines.append(line)
        if process.returncode != expect:
            raise CommandFailedError(f"{command}: exit status {process.returncode}, expected {expect}")
        return "".join(lines)

    def quiet(self, command: str) -> str:
        """Run *command* without showing it; returns its standard output."""
        done = subprocess.run(
            [*self.prefix, "bash", "-c", command], env={**os.environ, **self.environment}, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise CommandFailedError(f"{command}: {done.stderr.strip()[-2000:]}")
        return done.stdout

    def until(self, command: str, wanted: str, *, timeout_seconds: float = 120) -> None:
        """Wait until the output of *command* contains *wanted*; raises CommandFailedError with the last output otherwise."""
        deadline, seen = time.monotonic() + timeout_seconds, ""
        while time.monotonic() < deadline:
            seen = self.quiet(command)
            if wanted in seen:
                return
            time.sleep(0.3)
        raise CommandFailedError(f"{command}: no {wanted!r} within {timeout_seconds:.0f} s; last: {seen[-2000:]}")


def fail(error: Exception) -> None:
    """Print why the demo stopped."""
    print(f"{_RED}the demo stopped: {error}{_RESET}", file=sys.stderr, flush=True)
