"""The commands that a document shows, so that a test can type them as they stand there.

A fenced `console` block has commands alone, or commands behind `$ ` with what they print below. Whoever runs a document names what a
reader has to put in (host names, passwords, the image), and nothing else is changed.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ground.cache import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLOCK: Final = re.compile(r"^## (?P<heading>[^\n]+)$|^```console\n(?P<block>.*?)^```$", re.MULTILINE | re.DOTALL)
_SCRIPT: Final = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEREDOC: Final = re.compile(r"<<-?'?(\w+)'?")
_TIMEOUT_SECONDS: Final = 300


@dataclass(frozen=True, slots=True)
class Command:
    """One command of *document*, below its heading of the second level."""

    document: str
    heading: str
    text: str


def commands(document: str) -> tuple[Command, ...]:
    """Return the commands of *document*, a path in the repository, in their order."""
    heading, found = "", []
    for match in _BLOCK.finditer((REPOSITORY / document).read_text()):
        heading = match["heading"] or heading
        found += [Command(document, heading, text) for text in _typed(match["block"] or "")]
    return tuple(found)


def scripts(document: str) -> tuple[str, ...]:
    """Return the fenced `sh` blocks of *document*, each a script of its own that is run as a whole."""
    return tuple(_SCRIPT.findall((REPOSITORY / document).read_text()))


def _typed(block: str) -> Iterator[str]:
    """Yield what is typed in *block*: whole commands, however many lines they have."""
    lines = iter(block.splitlines())
    prompts = any(line.startswith("$ ") for line in block.splitlines())
    for first in lines:
        if not first.strip() or first.startswith("#") or (prompts and not first.startswith("$ ")):
            continue
        text = first.removeprefix("$ ")
        while text.endswith("\\"):
            text += f"\n{next(lines)}"
        end = _HEREDOC.search(text)
        while end is not None and not text.endswith(f"\n{end[1]}"):
            text += f"\n{next(lines)}"
        yield text


@dataclass
class Reader:
    """Who types what a document shows: *values* are put in for its placeholders, *environment* is what the shell begins with."""

    folder: Path
    environment: dict[str, str]
    values: Mapping[str, str]
    used: set[str] = field(default_factory=set)

    def type(self, command: Command) -> str:
        """Run *command* where the one before it ended, and return what it printed; fails with that when it ends badly."""
        text = command.text
        for placeholder, value in self.values.items():
            if placeholder in text:
                self.used.add(placeholder)
                text = text.replace(placeholder, value)
        return self.shell(text, shown=command.text)

    def shell(self, text: str, *, shown: str | None = None) -> str:
        """Run *text* in the reader's shell; what it exports is there for the next."""
        state = self.folder / ".exported"
        state.touch()
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f". {state}\n{text}\nexport -p > {state}"],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{shown or text}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def unused(self) -> list[str]:
        """Return the placeholders that stood in no command that was typed: the document does not have them any more."""
        return sorted(set(self.values) - self.used)


NOT_TYPED: Final = {
    ("README.md", "make demo"): "a target of the Makefile; e2e/test_demo.py tells the story to its end",
    ("README.md", "make test"): "a target of the Makefile: this very test is part of it",
    ("README.md", "kubectl get backups -w"): "an excerpt of what `make demo` prints",
    ("README.md", "pip install ."): "the tests run what was installed with the environment",
}
"""Commands that no test types, by document and how they begin, each with the reason."""


def to_type(document: str, heading: str | None = None) -> tuple[Command, ...]:
    """Return the commands of *document* that a test has to type, all of them or those below one *heading*."""
    return tuple(
        command for command in commands(document) if heading in {None, command.heading} and why_not(command) is None
    )


def why_not(command: Command) -> str | None:
    """Return why no test types *command*; None: one must."""
    reasons = (
        why for (document, start), why in NOT_TYPED.items()
        if document == command.document and f"{command.text} ".startswith(f"{start} ")
    )  # fmt: skip
    return next(reasons, None)
