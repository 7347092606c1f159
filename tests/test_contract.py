"""What operator and Job say to each other arrives as it was said, or is known not to have arrived."""

from __future__ import annotations

import hashlib
import json
import types
from dataclasses import is_dataclass, replace
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Union, get_args, get_origin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbcustody.api.backup import Progress, Stage
from dbcustody.api.database import Server
from dbcustody.api.policy import CaptureOptions
from dbcustody.codec import decode, encode, hints_of
from dbcustody.contract import (
    _FACTS,
    FRAME_PREFIX,
    TERMINATION_MESSAGE_BYTES,
    JobRequest,
    JobResult,
    Record,
    RecordKind,
    Verb,
    digest_of,
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
from dbcustody.facts import InspectionFacts
from dbcustody.reason import ExitCode, Reason

SCALARS = {
    str: st.text(max_size=20),
    int: st.integers(-(2**53), 2**53),
    bool: st.booleans(),
    float: st.floats(allow_nan=False, allow_infinity=False),
    datetime: st.datetimes(datetime(1980, 1, 1), datetime(2100, 1, 1)).map(  # noqa: DTZ001 - hypothesis wants naive ones
        lambda moment: moment.replace(microsecond=0, tzinfo=UTC)
    ),
}
WORDS = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=8)


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for whatever a field of type *kind* may hold."""
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        (inner,) = (choice for choice in get_args(kind) if choice is not type(None))
        return st.none() | values(inner)
    if origin is tuple:
        return st.lists(values(get_args(kind)[0]), max_size=2).map(tuple)
    if origin is dict:
        return st.dictionaries(WORDS, values(get_args(kind)[1]), max_size=2)
    if is_dataclass(kind):
        return dataclasses_of(kind)  # type: ignore[arg-type]
    return st.sampled_from(kind) if issubclass(kind, Enum) else SCALARS[kind]


def dataclasses_of(kind: type) -> st.SearchStrategy[Any]:
    """Return a strategy for dataclass *kind*; the contract's number stays what this version speaks."""
    hints = {name: hint for name, hint in hints_of(kind).items() if name != "contract"}
    return st.builds(kind, **{name: values(hint) for name, hint in hints.items()})


REQUEST = JobRequest(verb=Verb.BACKUP, namespace="web", name="shop", owner_uid="u-1")
RESULT = JobResult(verb=Verb.INSPECT, exit_code=ExitCode.DONE, reason=Reason.READY, message="ok")
FACTS = InspectionFacts(
    endpoint="db:5432", database="shop", convention="Fields", server=Server(version="17.5", major_version=17)
)


@given(dataclasses_of(JobRequest))
@settings(deadline=None, max_examples=60)
def test_every_request_arrives_as_it_was_said(request: JobRequest) -> None:
    """Whatever was decided, the Job reads exactly that."""
    assert load_request(dump_request(request)) == request


@given(dataclasses_of(JobResult))
@settings(deadline=None, max_examples=60)
def test_every_result_fits_the_termination_message(result: JobResult) -> None:
    """The kubelet cuts after 4096 bytes: what we write is never longer, and reason and exit code always stand."""
    text = dump_result(result)
    assert len(text.encode()) <= TERMINATION_MESSAGE_BYTES
    read = load_result(text)
    assert (read.verb, read.exit_code, read.reason) == (result.verb, result.exit_code, result.reason)
    assert read in (result, replace(read, complete=False, inspection=None, probe=None, backup=None, prune=None))


@given(dataclasses_of(JobResult))
@settings(deadline=None, max_examples=60)
def test_the_log_holds_the_whole_result(result: JobResult) -> None:
    """What the termination message has no room for stands in the log."""
    record = unframe(frame(result_record(1, result)))
    assert record is not None
    assert decode(JobResult, record.data) == result


def test_facts_give_way_to_reason_and_message() -> None:
    """Facts that have no room are left out, which is said; the message stays whole while it fits."""
    facts = replace(FACTS, missing_grants=tuple(f'GRANT SELECT ON TABLE "t{n}" TO "backup";' for n in range(200)))
    read = load_result(dump_result(replace(RESULT, inspection=facts)))
    assert read == replace(RESULT, complete=False)


@pytest.mark.parametrize(
    "letter",
    [
        pytest.param("a", id="plain"),
        pytest.param("ä", id="two bytes"),
        pytest.param("😀", id="beyond the basic plane"),
        pytest.param("\x01", id="control character"),
        pytest.param('"', id="quote"),
        pytest.param("\n", id="new line"),
    ],
)
@pytest.mark.parametrize("limit_bytes", [512, TERMINATION_MESSAGE_BYTES])
def test_a_long_message_is_cut_to_fit(letter: str, limit_bytes: int) -> None:
    """The limit is in bytes, whatever a letter takes in JSON; as much as fits is kept."""
    text = dump_result(replace(RESULT, message=letter * 5000), limit_bytes=limit_bytes)
    assert limit_bytes - 12 <= len(text.encode()) <= limit_bytes
    assert set(load_result(text).message) == {letter}


def test_a_message_that_just_fits_is_whole() -> None:
    """Nothing is cut without need."""
    size = len(dump_result(RESULT))
    assert load_result(dump_result(RESULT, limit_bytes=size)) == RESULT
    facts = replace(RESULT, inspection=FACTS)
    assert load_result(dump_result(facts)) == facts


PEERS = pytest.mark.parametrize(
    ("load", "said"),
    [pytest.param(load_request, REQUEST, id="request"), pytest.param(load_result, RESULT, id="result")],
)


@PEERS
def test_a_newer_peer_is_understood(load: Any, said: JobRequest | JobResult) -> None:
    """Unknown fields are left aside."""
    assert load(json.dumps({**encode(said), "fromTheFuture": {"a": [1]}})) == said


@PEERS
def test_an_older_peer_is_understood(load: Any, said: JobRequest | JobResult) -> None:
    """What an older version does not say has its default; only what the first version always said is required."""
    first_words = {"contract", "verb", "namespace", "name", "ownerUid", "exitCode", "reason", "message"}
    old = {name: value for name, value in encode(said).items() if name in first_words}
    assert load(json.dumps(old)) == said


@pytest.mark.parametrize("load", [load_request, load_result])
@pytest.mark.parametrize(
    ("text", "error", "reason"),
    [
        pytest.param('{"contract":2,"verb":"backup"}', RefusedError, Reason.CONTRACT_UNKNOWN, id="another age"),
        pytest.param('{"verb":"backup"}', RefusedError, Reason.CONTRACT_UNKNOWN, id="no contract"),
        pytest.param("Killed", InvalidSpecError, Reason.INVALID_SPEC, id="no JSON"),
        pytest.param("", InvalidSpecError, Reason.INVALID_SPEC, id="nothing"),
        pytest.param("[1]", InvalidSpecError, Reason.INVALID_SPEC, id="no mapping"),
        pytest.param('{"contract":1}', InvalidSpecError, Reason.INVALID_SPEC, id="too little"),
    ],
)
def test_what_is_no_message_of_ours_is_refused(load: Any, text: str, error: type[Exception], reason: Reason) -> None:
    """A termination message may be anybody's text, and a CronJob may be older than we understand."""
    with pytest.raises(error) as caught:
        load(text)
    assert caught.value.reason is reason  # type: ignore[attr-defined]


RECORD = Record(
    number=7, kind=RecordKind.PROGRESS, data={"stage": "Dumping", "summary": "12 % of 3 GiB", "percent": 12}
)


def test_a_frame_comes_back() -> None:
    """One line in, the same record out."""
    line = frame(RECORD)
    assert "\n" not in line
    assert unframe(line) == unframe(line + "\n") == RECORD


@given(st.data())
def test_a_cut_frame_is_recognised(data: st.DataObject) -> None:
    """The log of a killed pod ends anywhere."""
    line = frame(RECORD)
    assert unframe(line[: data.draw(st.integers(0, len(line) - 1))]) is None


@given(st.data())
def test_a_changed_frame_is_recognised(data: st.DataObject) -> None:
    """One character that is not as it was, in number, kind, digest or content, and the line is not believed."""
    line = frame(RECORD)
    place = data.draw(st.integers(0, len(line) - 1))
    letter = data.draw(st.characters(codec="ascii").filter(lambda one: one != line[place]))
    assert unframe(line[:place] + letter + line[place + 1 :]) is None


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("", id="empty"),
        pytest.param("pg_dump: reading tables", id="ordinary"),
        pytest.param(FRAME_PREFIX, id="prefix alone"),
        pytest.param(f"{FRAME_PREFIX} a b c d", id="prefix and words"),
    ],
)
def test_other_lines_are_no_records(line: str) -> None:
    """Whatever else a Job prints is left aside."""
    assert unframe(line) is None


def test_a_record_of_an_unknown_kind_is_left_aside() -> None:
    """A newer Job may tell more than we know."""
    newer = Record(number=1, kind="finding", data={})  # type: ignore[arg-type] - what a later version would say
    assert unframe(frame(newer)) is None


def test_progress_is_told_as_it_stands_in_status() -> None:
    """The operator copies it without knowing more."""
    progress = Progress(stage=Stage.DUMPING, summary="12 %", percent=12, updated_time=datetime(2026, 1, 31, tzinfo=UTC))
    record = unframe(frame(progress_record(3, progress)))
    assert record is not None
    assert (record.number, record.kind) == (3, RecordKind.PROGRESS)
    assert decode(Progress, record.data) == progress


def test_a_result_is_tied_to_its_request() -> None:
    """Another request has another digest."""
    other = replace(REQUEST, options=CaptureOptions(parallelism=2))
    assert digest_of(dump_request(REQUEST)) == digest_of(dump_request(REQUEST))
    assert digest_of(dump_request(REQUEST)) != digest_of(dump_request(other))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[" * 100_000, id="deep"),
        pytest.param('{"contract":1,"message":' + "[" * 100_000, id="deep-within"),
        pytest.param('{"contract":1,"message":NaN}', id="not-a-number"),
        pytest.param('{"contract":1,"message":1e999}', id="beyond-every-number"),
        pytest.param("[1]", id="a-list"),
    ],
)
def test_what_is_no_json_object_is_refused_in_our_words(text: str) -> None:
    """Whatever a pod writes: neither a request nor a result, and no record either."""
    for load in (load_request, load_result):
        with pytest.raises(InvalidSpecError, match="must be a JSON object"):
            load(text)
    digest = hashlib.sha256(f"1 result {text}".encode()).hexdigest()[:16]
    assert unframe(f"{FRAME_PREFIX} 1 result {digest} {text}") is None


@pytest.mark.parametrize("contract", ["{}", "[1]", "true", "1.0", '"1"', "null", "2"])
def test_another_contract_is_refused_whatever_it_is(contract: str) -> None:
    """What only looks like the number 1 is not it."""
    with pytest.raises(RefusedError) as refused:
        load_result(f'{{"contract":{contract}}}')

    assert refused.value.reason is Reason.CONTRACT_UNKNOWN


@pytest.mark.parametrize("number", ["0", "-1", "+1", "01", "\u0661", "1" * 30, ""])
def test_a_record_is_numbered_from_one(number: str) -> None:
    """Nothing else was framed by us."""
    digest = hashlib.sha256(f"{number} result {{}}".encode()).hexdigest()[:16]
    assert unframe(f"{FRAME_PREFIX} {number} result {digest} {{}}") is None
    good = hashlib.sha256(b"1 result {}").hexdigest()[:16]
    assert unframe(f"{FRAME_PREFIX} 1 result {good} {{}}") is not None


def test_no_facts_are_left_in_a_short_message() -> None:
    """Whatever facts a result may have one day, a message without room for them leaves all of them out."""
    hints = hints_of(JobResult)
    has_facts = {name for name, hint in hints.items() if any(is_dataclass(choice) for choice in get_args(hint))}
    assert has_facts == set(_FACTS)
