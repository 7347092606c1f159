"""Readers of what operator and Job say to each other: a pod's last words and its log may hold anything, and the operator lives on."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final, NoReturn

from dbcustody.api.backup import Artefact, Progress, Stage, Tool
from dbcustody.api.database import DatabaseSpec, Server
from dbcustody.codec import decode, encode
from dbcustody.contract import (
    JobRequest,
    JobResult,
    Verb,
    dump_request,
    dump_result,
    frame,
    load_request,
    load_result,
    progress_record,
    result_record,
    unframe,
)
from dbcustody.errors import InvalidSpecError, RefusedError
from dbcustody.facts import BackupFacts, InspectionFacts
from dbcustody.plan.progress import read_progress, read_result
from dbcustody.reason import ExitCode, Reason
from fuzz.bytewise import blindly
from fuzz.jsonwise import jsonwise
from fuzz.published import MOMENT, PLACE
from fuzz.target import Target, require

if TYPE_CHECKING:
    from random import Random

NO_LIMIT: Final = 1 << 30
REFUSALS: Final = (InvalidSpecError, RefusedError)
_SERVER: Final = Server(version="17.5", major_version=17, system_identifier="7434567890123456789", timeline=1)
_FACTS: Final = BackupFacts(
    name="shop-nightly", server=_SERVER, tool=Tool(name="pg_dump", version="17.5"), snapshot_time=MOMENT, start_up_seconds=1.5,
    encrypted=True, not_captured=("passwords of 2 roles",), verified_level="Read",
    artefact=Artefact(location="s3://b/p", backup_id=PLACE.backup_id, attempt=PLACE.attempt, manifest_sha256="0" * 64, stored_bytes=9,
                      logical_bytes=8, stored="9 B", key_ids=("k2026",)),
)  # fmt: skip
_RESULTS: Final = (
    JobResult(verb=Verb.BACKUP, exit_code=ExitCode.DONE, reason=Reason.READY, message="ok", request_sha256="1" * 64, backup=_FACTS),
    JobResult(verb=Verb.INSPECT, exit_code=ExitCode.DONE, reason=Reason.READY, inspection=InspectionFacts(
        endpoint="db:5432", database="shop", convention="Fields", server=_SERVER)),
)  # fmt: skip
_PROGRESS: Final = Progress(stage=Stage.DUMPING, summary="40 %", percent=40, bytes=123, updated_time=MOMENT)
_REQUEST: Final = JobRequest(
    verb=Verb.BACKUP, namespace="web", name="shop", owner_uid="u-1", live_attempts=(PLACE.attempt,), database_name="shop",
    database=decode(DatabaseSpec, {"connection": {"secretRef": {"name": "shop-db"}}}),
)  # fmt: skip
_REQUESTS: Final = (dump_request(_REQUEST).encode(),)
_WHOLE_RESULTS: Final = tuple(dump_result(one, limit_bytes=NO_LIMIT).encode() for one in _RESULTS)
_LINES: Final = tuple(
    frame(record).encode() for record in (progress_record(1, _PROGRESS), *(result_record(2, one) for one in _RESULTS))
)


def read_whole_result(data: bytes) -> None:
    """Read a termination message; what is taken can be told on, and is the same then."""
    result = load_result(data.decode(errors="replace"))
    text = dump_result(result, limit_bytes=NO_LIMIT)
    json.loads(text, parse_constant=_no_json)
    require(dump_result(load_result(text), limit_bytes=NO_LIMIT) == text, "says another thing when it is told on")


def read_request(data: bytes) -> None:
    """Read a Job's request."""
    text = dump_request(load_request(data.decode(errors="replace")))
    json.loads(text, parse_constant=_no_json)
    require(dump_request(load_request(text)) == text, "says another thing when it is told on")


def read_record(data: bytes) -> None:
    """Read one line of a log; a line that is no record is None and never an error."""
    line = data.decode(errors="replace")
    record = unframe(line)
    if record is None:
        raise LookupError(line[:80])
    require(isinstance(record.data, dict) and record.number > 0, "takes a record that nobody can frame")
    text = json.dumps(record.data)
    require(json.loads(text, parse_constant=_no_json) == record.data, "says another thing when it is told on")


def read_log(data: bytes) -> None:
    """Read progress and result from a whole log."""
    log = data.decode(errors="replace")
    progress, result = read_progress(log), read_result(log)
    if progress is not None:
        json.loads(json.dumps(encode(progress)), parse_constant=_no_json)
    if result is not None:
        json.loads(result, parse_constant=_no_json)


def framed(random: Random, line: bytes, others: tuple[bytes, ...]) -> bytes:
    """Change a line of a log; often its digest fits what was changed, as that of a Job that is not ours would."""
    if random.random() < 0.3:
        return blindly(random, line, others)
    prefix, number, kind, _, body = line.split(b" ", 4)
    bodies = tuple(other.split(b" ", 4)[4] for other in others)
    body = jsonwise(random, body, bodies).replace(b"\n", b" ") if random.random() < 0.8 else body
    number = blindly(random, number, (b"2",)) if random.random() < 0.3 else number
    kind = random.choice((b"progress", b"result", b"", b"newer", b"RESULT")) if random.random() < 0.2 else kind
    text = b" ".join((number, kind, body)).decode(errors="replace")
    digest = hashlib.sha256(text.encode()).hexdigest()[:16].encode()
    return b" ".join((prefix, number, kind, digest, body))


def logged(random: Random, log: bytes, others: tuple[bytes, ...]) -> bytes:
    """Change a whole log: some of its lines, or its bytes."""
    if random.random() < 0.2:
        return blindly(random, log, others)
    return b"\n".join(framed(random, random.choice(_LINES), _LINES) for _ in range(random.randint(1, 4)))


def _no_json(constant: str) -> NoReturn:
    require(condition=False, otherwise=f"tells on {constant}, which is no JSON")
    raise ValueError(constant)


def _target(name: str, read: Any, **more: Any) -> Target:
    settings: dict[str, Any] = {"mutate": jsonwise, "refusals": REFUSALS} | more
    return Target(name=name, read=read, **settings)


TARGETS: Final = (
    _target("job-result", read_whole_result, corpus=_WHOLE_RESULTS, weight=20),
    _target("job-request", read_request, corpus=_REQUESTS, donors=_WHOLE_RESULTS, weight=15),
    _target("job-record", read_record, corpus=_LINES, mutate=framed, refusals=(LookupError,), weight=50),
    _target(
        "job-log", read_log, corpus=(b"\n".join(_LINES) + b"\nplain line\n",), mutate=logged, refusals=(), weight=12
    ),
)
