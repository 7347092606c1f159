"""Writes docs/reasons.md from the table in the code, so that the page says the same: `python docs/make_reasons.py`."""  # noqa: INP001 - a script beside its page

from __future__ import annotations

from pathlib import Path
from typing import Final

from dbcustody.reason import GUIDANCE, ExitCode, Guidance, Reason

PAGE: Final = Path(__file__).with_name("reasons.md")
HEAD: Final = """# Reasons

Every reason that dbcustody gives in a condition, an Event, a metric or the result of a Job. This page is made from
`operator/dbcustody/reason.py` by `docs/make_reasons.py`.
- *Condition* is where a reason stands first; `Ready` and `Succeeded` repeat the reason of what keeps them from being true.
- *Exit code* is how a Job ends with it: {codes}.
- *Tried again*: whether dbcustody tries again by itself, without anybody's doing.

| Reason | Condition | Exit code | Tried again | What to do |
|---|---|---|---|---|
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
    return HEAD.format(codes=codes) + "".join(_row(reason, GUIDANCE[reason]) for reason in Reason)


def _row(reason: Reason, guidance: Guidance) -> str:
    remedy = guidance.remedy.replace("|", "\\|")
    again = "yes" if guidance.retries else "no"
    return f"| {reason} | {guidance.condition} | {guidance.exit_code.value} | {again} | {remedy} |\n"


if __name__ == "__main__":
    PAGE.write_text(page())
