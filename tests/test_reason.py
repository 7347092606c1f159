"""One table: every reason has its condition, its exit code and its remedy, and the page that people read says the same."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from dbcustody.api.condition import ConditionType
from dbcustody.errors import (
    ConflictError,
    DamagedError,
    DbcustodyError,
    InterruptedRunError,
    InvalidSpecError,
    RefusedError,
    UnavailableError,
)
from dbcustody.guidance import GUIDANCE
from dbcustody.reason import ExitCode, Reason

ROOT = Path(__file__).parents[1]
EVERY_REASON = pytest.mark.parametrize("reason", Reason, ids=str)


def test_the_table_has_every_reason_once() -> None:
    """No reason is without guidance, and none is explained that does not exist."""
    assert list(GUIDANCE) == list(Reason)


@EVERY_REASON
def test_a_reason_is_written_as_kubernetes_wants_it(reason: Reason) -> None:
    """PascalCase, and short enough for a label of a metric; the name in the code says the same word."""
    assert re.fullmatch(r"[A-Z][A-Za-z]{2,40}", reason)
    assert reason.name.replace("_", "") == reason.upper()


@EVERY_REASON
def test_guidance_belongs_to_a_condition_and_helps(reason: Reason) -> None:
    """The condition exists, and the remedy is a sentence that begins with what to do."""
    guidance = GUIDANCE[reason]
    assert guidance.condition in set(ConditionType)
    assert len(guidance.remedy) > 10
    assert not guidance.remedy.endswith(".")
    assert "\n" not in guidance.remedy


@EVERY_REASON
def test_exit_code_and_retry_agree(reason: Reason) -> None:
    """What is unavailable is tried again, what is done or a bug is not; what is refused, where a correction is picked up by itself."""
    guidance = GUIDANCE[reason]
    if guidance.exit_code is ExitCode.UNAVAILABLE:
        assert guidance.retries
    if guidance.exit_code in {ExitCode.DONE, ExitCode.BUG}:
        assert not guidance.retries


def test_the_page_says_what_the_code_says() -> None:
    """docs/reasons.md is the table, freshly made: run `python docs/make_reasons.py` when this fails."""
    made = runpy.run_path(str(ROOT / "docs" / "make_reasons.py"))["page"]()
    assert (ROOT / "docs" / "reasons.md").read_text() == made
    assert re.findall(r"^## (.*)$", made, re.MULTILINE) == list(Reason)


@pytest.mark.parametrize(
    ("error", "codes"),
    [
        pytest.param(InvalidSpecError, {ExitCode.REFUSED}, id="invalid"),
        pytest.param(RefusedError, {ExitCode.REFUSED}, id="refused"),
        pytest.param(UnavailableError, {ExitCode.UNAVAILABLE}, id="unavailable"),
        pytest.param(InterruptedRunError, {ExitCode.UNAVAILABLE}, id="interrupted"),
        pytest.param(ConflictError, {ExitCode.REFUSED}, id="conflict"),
        pytest.param(DamagedError, {ExitCode.REFUSED}, id="damaged"),
        pytest.param(DbcustodyError, {ExitCode.BUG}, id="any other"),
    ],
)
def test_an_error_without_a_reason_ends_as_its_class_says(error: type[DbcustodyError], codes: set[ExitCode]) -> None:
    """Sorted by what helps: the class alone decides how the process ends unless a reason is given."""
    raised = error("what, where, what was found, what helps")
    assert GUIDANCE[raised.reason].exit_code in codes
    assert raised.message == str(raised)
    assert error("x", reason=Reason.EVICTED).reason is Reason.EVICTED


def test_every_reason_is_given_somewhere() -> None:
    """A reason that the code never gives would be a promise that nobody keeps."""
    texts = [path.read_text() for path in (ROOT / "operator").rglob("*.py") if path.name != "reason.py"]
    given = {name for text in texts for name in re.findall(r"Reason\.([A-Z_]+)", text)}
    assert sorted({reason.name for reason in Reason} - given) == []
