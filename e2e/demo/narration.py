"""What the demo prints: chapters, the commands as a person would type them, and their real output."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ground.cache import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_IS_TERMINAL = sys.stdout.isatty()
_BOLD, _DIM, _RED, _RESET = ("\033[1m", "\033[2m", "\033[31m", "\033[0m") if _IS_TERMINAL else ("", "", "", "")


class CommandFailedError(Exception):
    """A command of the demo ended otherwise than the story says."""


@dataclass
class Narrator:
    """Prints the story; *environment* is what the commands run with beside our own, and grows with it."""

    environment: dict[str, str]
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """How long the story has been going on."""
        return time.monotonic() - self.started

    def chapter(self, title: str) -> None:
        """Print a heading with the seconds since the demo began."""
        print(f"\n{_BOLD}== {title}{_RESET}  {_DIM}({self.seconds:.0f} s){_RESET}", flush=True)

    def say(self, text: str) -> None:
        """Print a sentence of the story."""
        print(f"{_DIM}{text}{_RESET}", flush=True)

    def show(self, command: str) -> None:
        """Print a command as typed."""
        print(f"{_BOLD}$ {command}{_RESET}", flush=True)

    def type(self, command: str, *, expect: int = 0, shown: str | None = None, has_bar: bool = False) -> str:
        """Run the shell line *command* as a person would, show it and its output, and return what it printed.

        On a terminal a command that *has_bar* keeps the terminal, and nothing of its output is returned. Raises CommandFailedError when the
        exit status is not *expect*: a demo that goes on after a failure would lie.
        """
        self.show(shown or command)
        captured = not (has_bar and _IS_TERMINAL)
        lines: list[str] = []
        with self._started(command, captured=captured) as process:
            for line in process.stdout or ():
                print(line, end="", flush=True)
                lines.append(line)
        if process.returncode != expect:
            raise CommandFailedError(f"{shown or command}: exit status {process.returncode}, expected {expect}")
        return "".join(lines)

    def watch(self, command: str, until: Callable[[str], bool], *, timeout_seconds: float = 120) -> None:
        """Run *command*, which would never end, and show its output until a line satisfies *until*, as if somebody pressed Ctrl-C then.

        Raises CommandFailedError when that line does not come in time.
        """
        self.show(command)
        with self._started(command, captured=True) as process:
            late = threading.Timer(timeout_seconds, _end, [process])
            late.start()
            found = False
            for line in process.stdout or ():
                print(line, end="", flush=True)
                if until(line):
                    found = True
                    break
            late.cancel()
            _end(process)
        if not found:
            raise CommandFailedError(f"{command}: did not show what was waited for within {timeout_seconds:.0f} s")
        print("^C", flush=True)

    def quiet(self, command: str, *, check: bool = True) -> str:
        """Run *command* without showing it; returns its standard output."""
        done = subprocess.run(
            ["bash", "-c", command], env=self._variables(), cwd=REPOSITORY, capture_output=True, text=True, check=False
        )
        if check and done.returncode != 0:
            raise CommandFailedError(f"{command}: {done.stderr.strip()[-2000:]}")
        return done.stdout

    def until(self, command: str, wanted: str, *, timeout_seconds: float = 120) -> None:
        """Wait until the output of *command* contains *wanted*; raises CommandFailedError with the last output otherwise."""
        deadline, seen = time.monotonic() + timeout_seconds, ""
        while time.monotonic() < deadline:
            seen = self.quiet(command, check=False)
            if wanted in seen:
                return
            time.sleep(0.3)
        raise CommandFailedError(f"{command}: no {wanted!r} within {timeout_seconds:.0f} s; last: {seen[-2000:]}")

    @contextmanager
    def _started(self, command: str, *, captured: bool) -> Iterator[subprocess.Popen[str]]:
        """Run *command*; when the story is broken off, it ends with it."""
        with subprocess.Popen(
            ["bash", "-c", f"set -o pipefail; {command}"],
            env=self._variables(),
            cwd=REPOSITORY,
            stdout=subprocess.PIPE if captured else None,
            stderr=subprocess.STDOUT if captured else None,
            text=True,
            start_new_session=captured,
        ) as process:
            try:
                yield process
            except BaseException:
                if captured:
                    _end(process)
                raise

    def _variables(self) -> dict[str, str]:
        return {**os.environ, **self.environment}


def _end(process: subprocess.Popen[str]) -> None:
    """End the process and whatever it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)


def fail(error: BaseException) -> None:
    """Print why the demo stopped."""
    print(f"\n{_RED}the demo stopped: {error}{_RESET}", file=sys.stderr, flush=True)
