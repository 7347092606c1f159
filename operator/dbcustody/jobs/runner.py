"""The frame around every verb of a Job: reads the request, keeps the time, listens for the end, and always leaves a result.

The result goes to the termination message (short) and to standard output (whole, framed). Whatever happens inside becomes one reason and
one exit code; an exception that nobody foresaw is told by its class alone, because its text may hold values.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

import structlog

from dbcustody.contract import (
    ATTEMPT_VARIABLE,
    MOUNT_ROOT,
    REQUEST_VARIABLE,
    JobRequest,
    JobResult,
    Verb,
    digest_of,
    load_request,
)
from dbcustody.errors import DbcustodyError, InterruptedRunError, InvalidSpecError
from dbcustody.guidance import GUIDANCE
from dbcustody.jobs.deadline import GRACE_SECONDS, Deadline
from dbcustody.jobs.mounts import mounted_tools
from dbcustody.jobs.output import Output
from dbcustody.jobs.repeats import Witness
from dbcustody.jobs.tools import Tools
from dbcustody.jobs.verdict import fail
from dbcustody.logs import set_up_logs
from dbcustody.reason import ExitCode, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TERMINATION_FILE: Final = Path("/dev/termination-log")
_MODULES: Final = {
    Verb.INSPECT: "dbcustody.jobs.inspection",
    Verb.PROBE: "dbcustody.jobs.probe",
    Verb.BACKUP: "dbcustody.jobs.backup",
    Verb.SETTLE: "dbcustody.jobs.settle",
    Verb.PRUNE: "dbcustody.jobs.prune",
    Verb.RE_WRAP: "dbcustody.jobs.rewrap",
    Verb.HOLD: "dbcustody.jobs.hold",
    Verb.PLAN_RESTORE: "dbcustody.jobs.restore",
    Verb.RESTORE: "dbcustody.jobs.restore",
    Verb.SETTLE_RESTORE: "dbcustody.jobs.restore",
    Verb.SWAP: "dbcustody.jobs.swap",
    Verb.DROP_REPLACED: "dbcustody.jobs.swap",
    Verb.PLAN_MIGRATION: "dbcustody.jobs.rollout",
    Verb.SETTLE_MIGRATION: "dbcustody.jobs.rollout",
    Verb.MIGRATE: "dbcustody.jobs.rollout",
}
_LOG = structlog.stdlib.get_logger("dbcustody.job")


Work = Callable[[JobRequest, Tools], JobResult]
"""What a verb's module offers as `run`: does the work and says what became of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Where the process stands; in a pod everything is as it is by default."""

    termination_file: Path = TERMINATION_FILE
    mount_root: Path = Path(MOUNT_ROOT)
    stdout: TextIO | None = None
    stderr: TextIO | None = None
    find_work: Callable[[Verb], Work] | None = None
    """How a verb finds its work; None: by the module that bears its name."""
    leave: Callable[[int], object] = os._exit
    """Ends the process at once when the work does not listen."""
    grace_seconds: float = GRACE_SECONDS


def main(verb: str, environ: Mapping[str, str], surroundings: Surroundings | None = None) -> int:
    """Do what the request in *environ* asks for, and return the exit code of the process.

    0 done, 10 refused, 20 unavailable (Kubernetes tries again), 30 a bug of ours.
    """
    around = surroundings or Surroundings()
    set_up_logs(around.stderr)
    output = Output(around.stdout or sys.stdout, around.termination_file)
    stop, witness = threading.Event(), Witness()
    with _listening(stop):
        result = _run(Verb(verb), environ, around, output=output, stop=stop, witness=witness)
    return _conclude(witness.concluded(result), environ, output)


def _conclude(result: JobResult, environ: Mapping[str, str], output: Output) -> int:
    """Tell *result* as the answer to the request in *environ*, and return its exit code."""
    text = environ.get(REQUEST_VARIABLE, "")
    output.conclude(replace(result, request_sha256=digest_of(text), attempt=environ.get(ATTEMPT_VARIABLE, "")))
    code = int(result.exit_code)
    _LOG.info("job ended", verb=result.verb.value, reason=result.reason.value, exit_code=code, message=result.message)
    return code


def _run(
    verb: Verb,
    environ: Mapping[str, str],
    around: Surroundings,
    *,
    output: Output,
    stop: threading.Event,
    witness: Witness,
) -> JobResult:
    """Return the result of the work, or of what prevented it."""
    deadline: Deadline | None = None

    def give_up() -> None:
        error = InterruptedRunError(f"{verb.value}: did not end when told to, and was cut off")
        around.leave(_conclude(witness.concluded(_interrupted(verb, error, deadline)), environ, output))

    try:
        request = _read_request(verb, environ)
        with Deadline(request.timeout_seconds, stop, overdue=give_up, grace_seconds=around.grace_seconds) as deadline:
            report = deadline.watching(witness.reporting(output.report))
            tools = mounted_tools(
                request, environ=environ, now=_utc_now, report=report, stop=stop, root=around.mount_root
            )
            work = (around.find_work or _find_work)(verb)
            return work(request, witness.watching(tools))
    except InterruptedRunError as error:
        return _interrupted(verb, error, deadline)
    except DbcustodyError as error:
        if stop.is_set() and GUIDANCE[error.reason].exit_code is ExitCode.UNAVAILABLE:
            return _interrupted(verb, error, deadline)
        return fail(verb, error.reason, error.message)
    except Exception as error:  # noqa: BLE001 - the last frame of the process: the result must be written
        _LOG.error("job broke", verb=verb.value, exc_info=error)
        return fail(verb, Reason.INTERNAL_ERROR, f"{verb.value}: {type(error).__name__}; the Job's log says where")


def _interrupted(verb: Verb, error: DbcustodyError, deadline: Deadline | None) -> JobResult:
    if deadline is not None and deadline.has_passed:
        message = f"{verb.value}: not done after {deadline.seconds} s of work ({error.message})"
        return fail(verb, Reason.TIMED_OUT, message)
    if error.reason is not Reason.INTERRUPTED:
        return fail(verb, Reason.INTERRUPTED, f"{verb.value}: stopped from outside ({error.message})")
    return fail(verb, Reason.INTERRUPTED, error.message)


def _read_request(verb: Verb, environ: Mapping[str, str]) -> JobRequest:
    text = environ.get(REQUEST_VARIABLE)
    if not text:
        raise InvalidSpecError(f"{REQUEST_VARIABLE}: is missing; the operator writes it into the Job")
    request = load_request(text)
    if request.verb is not verb:
        raise InvalidSpecError(f"{REQUEST_VARIABLE}: asks for {request.verb.value}, the command line for {verb.value}")
    return request


def _find_work(verb: Verb) -> Work:
    """Return the work of *verb*; only its own module is loaded."""
    work: Work = importlib.import_module(_MODULES[verb]).run
    return work


def _utc_now() -> datetime:
    return datetime.now(UTC)


@contextmanager
def _listening(stop: threading.Event) -> Iterator[None]:
    """Let SIGTERM and SIGINT set *stop* while the block runs; only the main thread can listen."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
