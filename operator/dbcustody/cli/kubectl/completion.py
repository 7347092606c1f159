"""Completion behind `kubectl dbcustody`: kubectl asks the program `kubectl_complete-dbcustody`, in the words of the library Cobra.

One line for each proposal, what it means behind a tab, and at the end a number that says what the shell is to do besides.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import click
from click.shell_completion import ShellComplete

from dbcustody.cli.kubectl.main import COMPLETE, PROGRAM, kubectl_command

if TYPE_CHECKING:
    from collections.abc import Sequence

_NO_FILES: Final = ":4"
"""The shell is not to propose files."""


def proposals(words: Sequence[str]) -> list[str]:
    """Return what the last of *words*, which may be empty, can become."""
    *before, begun = words or [""]
    found = ShellComplete(kubectl_command, {}, PROGRAM, COMPLETE).get_completions(list(before), begun)
    plain = (item for item in found if item.type == "plain")
    return [f"{item.value}\t{item.help}" if item.help else str(item.value) for item in plain]


def main() -> None:
    """Answer kubectl."""
    for line in (*proposals(sys.argv[1:]), _NO_FILES):
        click.echo(line)
