"""Writes docs/reasons.md from the table in the code, so that the page says the same: `python docs/make_reasons.py`."""  # noqa: INP001 - a script beside its page

from __future__ import annotations

from pathlib import Path
from typing import Final

from dbcustody.api.condition import ConditionType
from dbcustody.cli.ending import exit_of
from dbcustody.guidance import GUIDANCE, Guidance
from dbcustody.reason import ExitCode, Reason

DOCS: Final = Path(__file__).parent
PAGE: Final = DOCS / "reasons.md"
HEAD: Final = """# Reasons

Every reason that dbcustody gives in a condition, an Event, a metric, the result of a Job or the message of a command, each under a
heading of its own: `reasons.md#databasebusy` leads to `DatabaseBusy`. This page is made from `operator/dbcustody/reason.py` by
`docs/make_reasons.py`. The message beside a reason says what was found; here stands what to do about it.
- *Condition* is where a reason stands first; `Ready` and `Succeeded` repeat the reason of what keeps them from being true.
- *Job* is how a Job ends with it: {codes}. *Command* is [the exit code](reference/exit-codes.md) of `dbcustody`.
- *Tried again*: whether dbcustody tries again by itself, without anybody's doing.
"""
CODES: Final = {
    ExitCode.DONE: "done",
    ExitCode.REFUSED: "refused, a retry of the same Job cannot help",
    ExitCode.UNAVAILABLE: "not available now, the Job is retried",
    ExitCode.BUG: "a bug of ours",
}


def page() -> str:
    """Return the whole text of docs/reasons.md."""
    codes = "; ".join(f"{code.value} {words}" for code, words in CODES.items())
    return HEAD.format(codes=codes) + "".join(_section(reason, GUIDANCE[reason]) for reason in Reason)


def _section(reason: Reason, guidance: Guidance) -> str:
    again = "yes" if guidance.retries else "no"
    remedy = guidance.remedy[0].upper() + guidance.remedy[1:]
    more = ", ".join(f"[{name}]({name})" for name in _told_in(reason))
    return (
        f"\n## {reason}\n{remedy}.\n\n"
        f"Condition: {guidance.condition}. Job: {guidance.exit_code.value}. Command: {exit_of(reason).value}. Tried again: {again}.\n"
        + (f"More: {more}.\n" if more else "")
    )


def _told_in(reason: Reason) -> list[str]:
    """Return the pages that say more of *reason*; a reason that is called as its condition is stands on too many."""
    pages = [DOCS / "troubleshooting.md", *sorted((DOCS / "runbooks").glob("*.md"))]
    names = [str(path.relative_to(DOCS)) for path in pages if f"`{reason}`" in path.read_text()]
    return names if reason not in set(ConditionType) else []


if __name__ == "__main__":
    PAGE.write_text(page())
