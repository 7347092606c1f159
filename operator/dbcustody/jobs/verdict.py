"""How a verb words its result: the reason decides the exit code, and the message loses what looks like a secret."""

from __future__ import annotations

from typing import Any

from dbcustody.contract import JobResult, Verb
from dbcustody.guidance import GUIDANCE
from dbcustody.logs import redact_text
from dbcustody.reason import ExitCode, Reason


def give(verb: Verb, reason: Reason, message: str = "", **facts: Any) -> JobResult:
    """Return the result of *verb* for *reason*, with the facts that JobResult has room for (`inspection`, `probe`, `backup`, `prune`)."""
    return JobResult(
        verb=verb, exit_code=GUIDANCE[reason].exit_code, reason=reason, message=redact_text(message), **facts
    )


def fail(verb: Verb, reason: Reason, message: str, **facts: Any) -> JobResult:
    """Return the result of a run that *reason* ended; a reason that is no failure would be a bug, and is told as one."""
    result = give(verb, reason, message, **facts)
    if result.exit_code is ExitCode.DONE:
        return give(verb, Reason.INTERNAL_ERROR, f"ended by {reason.value}: {message}", **facts)
    return result
