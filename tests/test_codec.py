"""Dataclasses from JSON and back: what is written comes back, and what does not fit is told by its path and never by its value."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

import pytest

from dbcustody.codec import decode, encode, format_time, parse_time, wire_name
from dbcustody.errors import InvalidSpecError
from dbcustody.reason import ExitCode


class Colour(StrEnum):
    """Something to choose from."""

    RED = "Red"
    BLUE = "Blue"


@dataclass(frozen=True, kw_only=True)
class Part:
    """Something inside."""

    size_bytes: int
    is_spare: bool = False


@dataclass(frozen=True, kw_only=True)
class Thing:
    """One field of each kind that resources have."""

    name: str
    colour: Colour = Colour.RED
    ratio: float | None = None
    made_time: datetime | None = None
    part: Part | None = None
    parts: tuple[Part, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    from_: str | None = None
    anything: Any = None


WHOLE = Thing(
    name="a",
    colour=Colour.BLUE,
    ratio=0.5,
    made_time=datetime(2026, 1, 31, 2, tzinfo=UTC),
    part=Part(size_bytes=1, is_spare=True),
    parts=(Part(size_bytes=2), Part(size_bytes=3)),
    labels={"x": "y"},
    from_="here",
    anything={"deep": [1]},
)
WHOLE_JSON = {
    "name": "a",
    "colour": "Blue",
    "ratio": 0.5,
    "madeTime": "2026-01-31T02:00:00Z",
    "part": {"sizeBytes": 1, "isSpare": True},
    "parts": [{"sizeBytes": 2, "isSpare": False}, {"sizeBytes": 3, "isSpare": False}],
    "labels": {"x": "y"},
    "from": "here",
    "anything": {"deep": [1]},
}


def test_everything_goes_there_and_back() -> None:
    """A value of every kind is written in the words of Kubernetes and read as the same value."""
    assert encode(WHOLE) == WHOLE_JSON
    assert decode(Thing, WHOLE_JSON) == WHOLE


def test_what_is_not_said_is_not_written() -> None:
    """None and empty collections are absent; false, zero and an empty text are said."""
    assert encode(Thing(name="")) == {"name": "", "colour": "Red"}
    assert encode(Part(size_bytes=0)) == {"sizeBytes": 0, "isSpare": False}


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"fromTheFuture": {"a": 1}}, id="unknown field"),
        pytest.param({"part": None, "labels": None, "colour": None}, id="null is absent"),
    ],
)
def test_a_newer_or_older_peer_is_understood(more: dict[str, Any]) -> None:
    """Unknown fields are left aside, and what is null or missing has its default."""
    assert decode(Thing, {"name": "a", **more}) == Thing(name="a")


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        pytest.param({}, "thing.name: is missing; it must be given", id="missing"),
        pytest.param([], "thing: is list; must be a mapping", id="no mapping"),
        pytest.param({"name": 7}, "thing.name: is int; must be a string", id="number for text"),
        pytest.param(
            {"name": "a", "part": {"sizeBytes": "7"}},
            "thing.part.sizeBytes: is str; must be an integer",
            id="text for number",
        ),
        pytest.param(
            {"name": "a", "part": {"sizeBytes": True}},
            "thing.part.sizeBytes: is bool; must be an integer",
            id="truth for number",
        ),
        pytest.param(
            {"name": "a", "part": {"sizeBytes": 1, "isSpare": 1}},
            "thing.part.isSpare: is int; must be true or false",
            id="number for truth",
        ),
        pytest.param({"name": "a", "ratio": True}, "thing.ratio: is bool; must be a number", id="truth for ratio"),
        pytest.param({"name": "a", "colour": "red"}, "thing.colour: must be one of 'Red', 'Blue'", id="enum"),
        pytest.param({"name": "a", "parts": "ab"}, "thing.parts: is str; must be a list", id="text for list"),
        pytest.param({"name": "a", "parts": 3}, "thing.parts: is int; must be a list", id="number for list"),
        pytest.param(
            {"name": "a", "parts": [{"sizeBytes": 1}, {"sizeBytes": None}]},
            "thing.parts[1].sizeBytes: is missing; it must be given",
            id="inside a list",
        ),
        pytest.param({"name": "a", "labels": ["x"]}, "thing.labels: is list; must be a mapping", id="list for mapping"),
        pytest.param({"name": "a", "labels": {"x": 1}}, "thing.labels.x: is int; must be a string", id="in a mapping"),
        pytest.param(
            {"name": "a", "madeTime": "yesterday"},
            "thing.madeTime: must be a time of RFC 3339 such as 2026-01-31T02:00:00Z",
            id="no time",
        ),
        pytest.param(
            {"name": "a", "madeTime": "2026-01-31T02:00:00"},
            "thing.madeTime: must be a time of RFC 3339 such as 2026-01-31T02:00:00Z",
            id="time without zone",
        ),
        pytest.param(
            {"name": "a", "madeTime": "0001-01-01T00:00:00+14:00"},
            "thing.madeTime: must be a time of RFC 3339 such as 2026-01-31T02:00:00Z",
            id="time before all times",
        ),
        pytest.param(
            {"name": "a", "ratio": 10**400},
            "thing.ratio: is an integer beyond every number that can be computed with",
            id="number beyond all numbers",
        ),
    ],
)
def test_what_does_not_fit_is_told_by_its_path(value: Any, complaint: str) -> None:
    """The complaint names where, what was found, and what is allowed."""
    with pytest.raises(InvalidSpecError) as caught:
        decode(Thing, value, "thing")
    assert caught.value.message == complaint


def nested(depth: int) -> Any:
    """Return a list in a list, so deep that Python cannot say it."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("name", ["madeTime", "colour", "ratio", "part", "parts", "labels"])
def test_what_nests_without_end_is_a_mismatch(name: str) -> None:
    """Nobody asks such a value for its text: that alone would end in a RecursionError."""
    with pytest.raises(InvalidSpecError, match=f"^{name}"):
        decode(Thing, {"name": "a", name: nested(100_000)})


def test_truth_is_no_number_of_an_enum() -> None:
    """True equals 1 in Python, and an exit code would be made of it."""
    assert decode(ExitCode, 0) is ExitCode.DONE
    for value in (False, 0.0):
        with pytest.raises(InvalidSpecError, match="must be one of"):
            decode(ExitCode, value, "exitCode")


def test_no_path_is_still_a_sentence() -> None:
    """At the top there is no path to name."""
    with pytest.raises(InvalidSpecError, match=r"^value: is nothing; must be a mapping$"):
        decode(Thing, None)


def test_values_are_never_quoted() -> None:
    """A value in the wrong place may be a password."""
    with pytest.raises(InvalidSpecError) as caught:
        decode(Thing, {"name": "a", "part": {"sizeBytes": "hunter2"}})
    assert "hunter2" not in str(caught.value)


def test_whole_numbers_are_numbers() -> None:
    """JSON does not tell 1 from 1.0."""
    assert decode(Thing, {"name": "a", "ratio": 1}).ratio == 1.0


@pytest.mark.parametrize(
    ("written", "wire"),
    [("name", "name"), ("size_bytes", "sizeBytes"), ("manifest_sha256", "manifestSha256"), ("from_", "from")],
)
def test_names_on_the_wire(written: str, wire: str) -> None:
    """Snake case becomes camel case; a trailing underscore only avoids a keyword."""
    assert wire_name(written) == wire


EAST = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        pytest.param("2026-01-31T02:00:00Z", datetime(2026, 1, 31, 2, tzinfo=UTC), id="utc"),
        pytest.param("2026-01-31T04:00:00+02:00", datetime(2026, 1, 31, 2, tzinfo=UTC), id="offset"),
        pytest.param("2026-01-31T02:00:00.5Z", datetime(2026, 1, 31, 2, 0, 0, 500_000, tzinfo=UTC), id="fraction"),
    ],
)
def test_times_are_read_as_utc(text: str, moment: datetime) -> None:
    """Whatever offset a time is written with, one zone is reckoned in."""
    assert parse_time(text) == moment
    assert parse_time(text).tzinfo is UTC
    assert decode(Thing, {"name": "a", "madeTime": text}).made_time == moment


def test_times_are_written_as_kubernetes_does() -> None:
    """UTC, to the second; YAML parsers may hand over a time instead of a text."""
    moment = datetime(2026, 1, 31, 4, 0, 0, 999_999, tzinfo=EAST)
    assert format_time(moment) == "2026-01-31T02:00:00Z"
    assert decode(Thing, {"name": "a", "madeTime": moment}).made_time == moment
