"""JSON that is signed has one form, and bytes from a storage end as a value or as DamagedError, never as anything else."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbcustody.errors import DamagedError, RefusedError
from dbcustody.reason import Reason
from dbcustody.repository.canonical import canonical, parse, parse_exactly, sha256_hex

scalars = st.none() | st.booleans() | st.integers() | st.text()
documents = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something with a format."""

    format: int = 1
    text: str
    count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """Something without one."""

    text: str


@given(st.dictionaries(st.text(), documents))
def test_canonical_form_is_one_form(document: dict[str, Any]) -> None:
    """Reading and writing again changes nothing, whatever the order of keys; there is no space and nothing beyond ASCII."""
    data = canonical(document)
    shuffled = dict(reversed(document.items()))
    assert data == canonical(shuffled)
    assert data == canonical(json.loads(data))
    assert data.isascii()
    assert document == json.loads(data)


@given(st.text(), st.integers())
def test_values_survive(text: str, count: int) -> None:
    """What is written is what is read."""
    note = Note(text=text, count=count)
    assert note == parse_exactly(Note, canonical(note), "note")


@given(st.binary())
def test_random_bytes_are_damage(data: bytes) -> None:
    """Whatever lies there, the answer is DamagedError."""
    with pytest.raises(DamagedError, match="note: "):
        parse(Note, data, "note")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"[" * 100_000, id="endless nesting"),
        pytest.param(b'{"format":1,"text":NaN}', id="NaN"),
        pytest.param(b'{"format":1,"text":"a","count":Infinity}', id="infinity"),
        pytest.param(b'{"format":1,"text":"a","count":' + b"9" * 5000 + b"}", id="endless number"),
        pytest.param('{"format":1,"text":"a"}'.encode("utf-16"), id="UTF-16"),
        pytest.param(b'\xef\xbb\xbf{"format":1,"text":"a"}', id="byte order mark"),
        pytest.param(b'[{"format":1,"text":"a"}]', id="a list"),
        pytest.param(b'{"text":"a"}', id="no format"),
        pytest.param(b'{"format":true,"text":"a"}', id="format true"),
        pytest.param(b'{"format":"1","text":"a"}', id="format in quotes"),
        pytest.param(b'{"format":1}', id="missing field"),
        pytest.param(b'{"format":1,"text":1}', id="wrong type"),
    ],
)
def test_what_is_no_note_is_damage(data: bytes) -> None:
    """Each way of not being one is named as damage."""
    with pytest.raises(DamagedError, match="note: "):
        parse(Note, data, "note")


def test_newer_format_is_refused_before_its_fields_are_looked_at() -> None:
    """A later format may have other fields; it is not called damaged."""
    with pytest.raises(RefusedError, match="has format 2") as caught:
        parse(Note, b'{"format":2,"words":[]}', "note")
    assert caught.value.reason is Reason.FORMAT_UNKNOWN


def test_endless_format_is_not_quoted_whole() -> None:
    """What stands in a message is bounded, whoever wrote it."""
    with pytest.raises(RefusedError, match="has format 1000") as caught:
        parse(Note, b'{"format":1' + b"0" * 4000 + b"}", "note")
    assert len(caught.value.message) < 200


def test_what_has_no_format_needs_none() -> None:
    """Only what declares a format is asked for it."""
    assert parse(Plain, b'{"text":"a","format":7}', "plain") == Plain(text="a")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b'{"count":0,"format":1,"text":"a","text":"a"}', id="repeated key"),
        pytest.param(b'{"count":0,"extra":1,"format":1,"text":"a"}', id="unknown field"),
        pytest.param(b'{"count": 0,"format":1,"text":"a"}', id="space"),
        pytest.param(b'{"format":1,"text":"a","count":0}', id="other order"),
        pytest.param(b'{"format":1,"text":"a"}', id="default left out"),
    ],
)
def test_exact_reading_takes_one_form_only(data: bytes) -> None:
    """Bytes about which two readers could disagree are damage where a MAC hangs on them."""
    assert parse(Note, data, "note") == Note(text="a")
    with pytest.raises(DamagedError, match="not in canonical form"):
        parse_exactly(Note, data, "note")


def test_digest_is_sha256() -> None:
    """The digest of nothing is the well-known one (FIPS 180-4)."""
    assert sha256_hex(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
