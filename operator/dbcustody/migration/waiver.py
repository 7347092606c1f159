"""Waivers: findings that somebody has accepted, with a reason; one that accepts nothing is told, since it will accept what comes later."""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING

from dbcustody.migration.finding import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from dbcustody.migration.directive import Waiver

RULES = {
    "waiver-unused": "a waiver of a rule that finds nothing in its file",
    "waiver-unknown": "a waiver of a rule that does not exist",
}
FOREIGN = "squawk-"
"""What the rules of another linter begin with here: which ones it has, it knows alone."""


def waive(findings: Sequence[Finding], waivers: Sequence[Waiver]) -> tuple[Finding, ...]:
    """Return *findings*, each with the reason for which one of *waivers* accepts it."""
    reasons = {waiver.rule: waiver.reason for waiver in reversed(waivers)}
    return tuple(replace(one, waived=reasons.get(one.rule)) for one in findings)


def idle(findings: Sequence[Finding], waivers: Sequence[Waiver], rules: Collection[str]) -> Iterator[Finding]:
    """Yield which of a file's *waivers* accept nothing of *findings*; *rules* are all that exist."""
    found = {one.rule for one in findings}
    for waiver in waivers:
        if waiver.rule not in rules and not waiver.rule.startswith(FOREIGN):
            near = get_close_matches(waiver.rule, rules, n=1)
            helps = f"is {near[0]} meant" if near else "see `docs/migrations.md` for the rules"
            what = f"there is no rule {waiver.rule}"
            yield Finding(rule="waiver-unknown", severity=Severity.WARNING, what=what, helps=helps)
        elif waiver.rule not in found:
            what = f"{waiver.rule} is waived, and finds nothing here"
            helps = "take the waiver out: it would let pass what is added later"
            yield Finding(rule="waiver-unused", severity=Severity.WARNING, what=what, helps=helps)
