"""The alert rules: valid, unit-tested by Prometheus' own tool, made of metrics that there are, each with its page."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from ground.promtool import program
from tests.handlers.test_metrics import BACKUP, OPERATOR
from tests.handlers.test_migration_metrics import MIGRATION

ROOT = Path(__file__).parent.parent.parent
RULES = ROOT / "deploy" / "monitoring" / "backup-rules.yaml"
CASES = Path(__file__).parent / "backup-rules.test.yaml"
PAGES = ROOT / "docs" / "runbooks"
ALERTS: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
]
NAMES = [rule["alert"] for rule in ALERTS]
PARTS = ("## What it means", "## What to look at", "## What to do")


def test_rules_are_valid() -> None:
    """Prometheus takes the file."""
    judge("check", "rules", str(RULES))


def test_every_alert_fires_and_rests_as_it_should(tmp_path: Path) -> None:
    """The cases hold series for each alert: one in which it fires, and one in which it does not."""
    cases = tmp_path / CASES.name
    cases.write_text(CASES.read_text().replace("backup-rules.yaml", str(RULES)))
    judge("test", "rules", str(cases))
    asked = [case for test in yaml.safe_load(CASES.read_text())["tests"] for case in test["alert_rule_test"]]

    assert {case["alertname"] for case in asked if case["exp_alerts"]} == set(NAMES)
    assert {case["alertname"] for case in asked if not case["exp_alerts"]} == set(NAMES)


def test_a_broken_rule_is_noticed(tmp_path: Path) -> None:
    """The judge is no rubber stamp: with another threshold the same cases fail."""
    rules, cases = tmp_path / RULES.name, tmp_path / CASES.name
    rules.write_text(RULES.read_text().replace("> 2 * dbcustody", "> 9 * dbcustody"))
    cases.write_text(CASES.read_text())
    done = promtool("test", "rules", str(cases))

    assert done.returncode == 1
    assert "DbcustodyBackupTooOld" in done.stdout + done.stderr


@pytest.mark.parametrize("rule", ALERTS, ids=NAMES)
def test_an_alert_stands_on_metrics_that_there_are(rule: dict[str, Any]) -> None:
    """A rule about a name that nobody exports would never fire."""
    asked = set(re.findall(r"\bdbcustody_\w+", rule["expr"]))

    assert asked
    assert asked <= OPERATOR | BACKUP | MIGRATION


@pytest.mark.parametrize("rule", ALERTS, ids=NAMES)
def test_an_alert_has_its_page(rule: dict[str, Any]) -> None:
    """Whoever is woken finds one page: what it means, what to look at, what to do."""
    page = ROOT / rule["annotations"]["runbook"]
    text = page.read_text()

    assert page == PAGES / f"{rule['alert']}.md"
    assert [text.count(part) for part in PARTS] == [1, 1, 1]
    assert rule["labels"]["severity"] in {"critical", "warning"}


def test_no_page_is_left_over() -> None:
    """A page without an alert would explain what nobody can see."""
    assert {page.stem for page in PAGES.glob("Dbcustody*.md")} == set(NAMES)


def judge(*words: str) -> None:
    """Have promtool judge, with its own words where it does not agree."""
    done = promtool(*words)
    assert done.returncode == 0, done.stdout + done.stderr


def promtool(*words: str) -> subprocess.CompletedProcess[str]:
    """Run promtool and return how it ended and what it said."""
    return subprocess.run([program(), *words], capture_output=True, text=True, check=False)
