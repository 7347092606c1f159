"""docs/reference says what the CRDs and the code say: freshly made, and complete where a page is more than a copy."""

from __future__ import annotations

import re
import runpy
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dbcustody.api.condition import MEANING, ConditionType
from dbcustody.cli.environment import read_laptop, read_standalone
from dbcustody.cli.kubectl.main import kubectl_command
from dbcustody.cli.main import dbcustody_command
from dbcustody.cli.variables import VARIABLES
from dbcustody.codec import hints_of, wire_name
from dbcustody.errors import InvalidSpecError
from dbcustody.handlers.world import KINDS
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    import click

    from dbcustody.api.meta import Kind

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "reference"
MADE: dict[str, str] = runpy.run_path(str(ROOT / "docs" / "make_reference.py"))["pages"]()


def test_the_pages_say_what_the_code_says() -> None:
    """Run `python docs/make_reference.py` when this fails."""
    assert {path.name: path.read_text() for path in FOLDER.iterdir()} == MADE


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_kind_has_a_page_with_its_fields(kind: Kind) -> None:
    """Also of kinds that come later: whatever the operator knows of, with each field of spec and status and the rules beside it."""
    page = MADE[f"{kind}.md"]
    of_spec, of_status = page.partition("\n## spec\n")[2].split("\n## status\n")
    for part, text in (("spec", of_spec), ("status", of_status)):
        known = {wire_name(field.name) for field in fields(hints_of(KINDS[kind])[part])}
        assert known <= set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    assert "\n## Columns\n" in of_status
    assert f"[{kind}]({kind}.md)" in MADE["README.md"]


def test_fields_tell_bounds_defaults_and_rules() -> None:
    """One line of each sort, as a person reads it."""
    policy, request = MADE["BackupPolicy.md"], MADE["RestoreRequest.md"]
    assert "| `timeoutSeconds` | integer, 60 to 604800 | `21600` | How long one backup may take" in policy
    assert "| `compression.algorithm` | one of `Zstd`, `Gzip`, `Lz4`, `None` | `Zstd` |" in policy
    assert "| `databaseRef.name` | string, 1 to 63 characters | **required** |" in policy
    assert "Rule: must not name a time zone: put it into `timeZone`" in policy
    assert "Rule for `.cancel`: must not be taken back" in request
    assert "| `checks.sql[].query` | string, 1 to 2048 characters | **required** |" in request
    assert "| Duration | `.status.durationSeconds` | `-o wide`: " in request


def test_every_condition_is_explained_and_said_by_some_kind() -> None:
    """One that no kind ever says would be a promise that nobody keeps; `tests/gitops/states.py` has a state for each."""
    assert list(MEANING) == list(ConditionType)
    rows = re.findall(r"^\| (\w+) \| (.+?) \| (.*?) \| .* \|$", MADE["conditions.md"], re.MULTILINE)
    told = {name: kinds for name, _, kinds in rows if name != "condition"}
    assert list(told) == list(ConditionType)
    assert [name for name, kinds in told.items() if not kinds] == []
    assert "RestoreRequest" in told["ChecksPassed"]


def test_every_metric_is_told_with_its_labels() -> None:
    """Also those without a value in an empty cluster, by the names that a scrape shows."""
    page = MADE["metrics.md"]
    assert "| `dbcustody_job_results_total` | counter | `verb`, `reason` |" in page
    assert "| `dbcustody_backup_last_verified_timestamp_seconds` | gauge | `cr_namespace`, `cr_name`, `level` |" in page
    assert "| `dbcustody_build_info` | info |" in page
    rules = (ROOT / "deploy" / "monitoring" / "backup-rules.yaml").read_text()
    used = set(re.findall(r"\b(dbcustody_[a-z_]+)\b", rules))
    assert sorted(name for name in used if f"`{name}`" not in page) == []


def test_every_reason_ends_a_command_in_one_way() -> None:
    """The codes that scripts tell apart name their reasons; nothing is named twice."""
    named = re.findall(r"\[(\w+)\]", MADE["exit-codes.md"].partition("## Jobs")[0])
    assert len(named) == len(set(named))
    assert set(named) - {"all"} <= set(Reason)
    assert "| 7 | integrity: damaged, forged, or the rows differ |" in MADE["exit-codes.md"]


class Recording(dict[str, str]):
    """An environment that remembers what was asked for."""

    def __init__(self, **variables: str) -> None:
        super().__init__(variables)
        self.asked: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        """Return the variable, and remember its name."""
        self.asked.add(name)
        return super().get(name, default)


def of_options(command: click.Command) -> Iterator[str]:
    """Yield the variables that stand for an option of *command* or of those below it."""
    for parameter in command.params:
        yield from [parameter.envvar] if isinstance(parameter.envvar, str) else parameter.envvar or ()
    for below in getattr(command, "commands", {}).values():
        yield from of_options(below)


def test_every_variable_is_told_and_read() -> None:
    """What the commands ask the environment for, in every setting in which they ask for more, is what the page names."""
    read: set[str] = set()
    bucket = {"BACKUP_S3_BUCKET": "b", "BACKUP_ENCRYPTION_KEY": "short"}
    for more in ({}, bucket, {**bucket, "BACKUP_S3_ACCESS_KEY_ID": "a"}):
        environment = Recording(**more)
        with pytest.raises(InvalidSpecError):
            read_standalone(environment)
        read |= environment.asked
    developers = Recording(DBCUSTODY_ENVIRONMENT="nonsense")
    with pytest.raises(InvalidSpecError):
        read_laptop(developers)
    read |= developers.asked
    read |= {*of_options(dbcustody_command), *of_options(kubectl_command)}
    assert sorted(read ^ set(VARIABLES)) == []


def test_the_readme_names_the_same_variables() -> None:
    """README's table is the short one: what it names exists, and none of our own is left out."""
    readme = (ROOT / "README.md").read_text().partition("| variable | meaning |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`([A-Z][A-Z0-9_]+)(?:=\w+)?`", readme))
    own = {name for name in VARIABLES if name.startswith(("BACKUP_", "DBCUSTODY_"))}
    assert sorted(named - set(VARIABLES)) == []
    assert sorted(own - named) == []
