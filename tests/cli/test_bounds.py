"""The same bound wherever the same thing is asked for: by an option, by a variable, by a resource."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
import yaml

from dbcustody.cli.bounds import LARGEST_PARALLELISM, LONGEST_KEEP_SECONDS
from dbcustody.cli.kubectl.main import kubectl_command
from dbcustody.cli.main import dbcustody_command

if TYPE_CHECKING:
    from collections.abc import Iterator

CRDS = Path(__file__).parents[2] / "crds"
FIELDS = {"parallelism": LARGEST_PARALLELISM, "keepOldSeconds": LONGEST_KEEP_SECONDS}
OPTIONS = {"--jobs": LARGEST_PARALLELISM, "--parallelism": LARGEST_PARALLELISM, "--keep-old": LONGEST_KEEP_SECONDS}


def of_resources(field: str) -> list[int]:
    """Return the maximum of *field* in the spec of each kind that has it."""
    found = []
    for path in sorted(CRDS.glob("*.yaml")):
        (version,) = yaml.safe_load(path.read_text())["spec"]["versions"]
        properties = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
        found += [properties[field]["maximum"]] if field in properties else []
    return found


def of_options(command: click.Command) -> Iterator[tuple[str, Any]]:
    """Yield each option of *command* and of those below it that has a range, with its greatest number."""
    for parameter in command.params:
        if isinstance(parameter.type, click.IntRange):
            yield parameter.opts[0], parameter.type.max
    for below in getattr(command, "commands", {}).values():
        yield from of_options(below)


@pytest.mark.parametrize(("field", "bound"), FIELDS.items())
def test_resources_take_as_much(field: str, bound: int) -> None:
    """The API server refuses what a command would have taken, and the other way round, were these not the same."""
    found = of_resources(field)
    assert found
    assert set(found) == {bound}


def test_options_take_as_much() -> None:
    """Of both commands."""
    found = {*of_options(dbcustody_command), *of_options(kubectl_command)}
    assert {name: bound for name, bound in found if name in OPTIONS} == OPTIONS
    assert len([name for name, _ in found if name in OPTIONS]) == len(OPTIONS)
