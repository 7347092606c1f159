"""What was closed opens only whole, in order, in its place, with its key; anything else is damage and gives no byte away."""

from __future__ import annotations

import os
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.exceptions import AlreadyFinalized
from hypothesis import given, settings
from hypothesis import strategies as st

from dbcustody.adapters.envelope import (
    HEADER_BYTES,
    TAG_BYTES,
    DataKey,
    Encryptor,
    Wrapped,
    decrypt,
    unwrap_key,
    wrap_key,
)
from dbcustody.errors import DamagedError, RefusedError
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

KEY = bytes(range(32))
EXPONENT = 4
CHUNK = 1 << EXPONENT
SEALED = CHUNK + TAG_BYTES
plaintexts = st.binary(max_size=6 * CHUNK)


def close(plaintext: bytes, key: bytes = KEY, **options: Any) -> bytes:
    """Return the stored bytes."""
    encryptor = Encryptor(key, **({"chunk_exponent": EXPONENT} | options))
    return b"".join([encryptor.header, *encryptor.update(plaintext), encryptor.finish()])


def reopened(stored: Iterable[bytes], key: bytes = KEY) -> bytes:
    """Return the plaintext."""
    return b"".join(decrypt(stored, key, "x"))


def cut(data: bytes, borders: list[int]) -> list[bytes]:
    """Return *data* in pieces."""
    places = sorted({min(border, len(data)) for border in borders} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(places)]


def chunks_of(stored: bytes) -> tuple[bytes, list[bytes]]:
    """Return header and sealed chunks."""
    body = stored[HEADER_BYTES:]
    return stored[:HEADER_BYTES], [body[start : start + SEALED] for start in range(0, len(body), SEALED)]


def opened_before_damage(stored: bytes) -> bytes:
    """Return what came out before the damage was seen; fails when none is seen."""
    out = bytearray()

    def run() -> None:
        for piece in decrypt([stored], KEY, "x"):
            out.extend(piece)

    with pytest.raises(DamagedError, match="x: "):
        run()
    return bytes(out)


@given(plaintexts, st.lists(st.integers(0, 6 * CHUNK)), st.lists(st.integers(0, 6 * SEALED + HEADER_BYTES)))
def test_any_split_of_the_input_gives_the_same_bytes(plaintext: bytes, written: list[int], read: list[int]) -> None:
    """How data is cut on its way in or out has no influence, and the number of chunks is what the length says."""
    prefix = bytes(7)
    encryptor = Encryptor(KEY, chunk_exponent=EXPONENT, prefix=prefix)
    pieces = [piece for part in cut(plaintext, written) for piece in encryptor.update(part)]
    stored = b"".join([encryptor.header, *pieces, encryptor.finish()])
    assert close(plaintext, prefix=prefix) == stored
    assert plaintext == reopened(cut(stored, read))
    assert max(1, -(-len(plaintext) // CHUNK)) == encryptor.chunk_count
    assert HEADER_BYTES + len(plaintext) + TAG_BYTES * encryptor.chunk_count == len(stored)


@pytest.mark.parametrize(
    "wrapper", [pytest.param(bytes, id="bytes"), pytest.param(bytearray, id="bytearray"), pytest.param(memoryview, id="view")]
)  # fmt: skip
def test_buffers_of_every_kind_are_taken(wrapper: Callable[[bytes], Any]) -> None:
    """A caller may lend its buffer, and use it again as soon as the call is over."""
    encryptor = Encryptor(KEY, chunk_exponent=EXPONENT)
    lent = bytearray(b"a" * 40)
    pieces = encryptor.update(wrapper(bytes(lent)) if wrapper is not memoryview else memoryview(lent))
    lent[:] = b"z" * 40
    stored = [encryptor.header, *pieces, encryptor.finish()]
    assert reopened(stored) == b"a" * 40


def test_default_chunk_is_one_mebibyte() -> None:
    """Without being told, chunks have 1 MiB, and an encryptor holds back no more than one."""
    encryptor = Encryptor(KEY)
    pieces = encryptor.update(bytes(2 * 2**20 + 1))
    assert [len(piece) for piece in pieces] == [2**20 + TAG_BYTES] * 2
    assert len(encryptor.finish()) == 1 + TAG_BYTES


def test_nonces_differ_from_object_to_object() -> None:
    """Even one key and one plaintext give different bytes each time."""
    assert close(b"same") != close(b"same")


def test_finished_is_finished() -> None:
    """A second last chunk, or data behind it, would be read as another object."""
    encryptor = Encryptor(KEY, chunk_exponent=EXPONENT)
    encryptor.finish()
    with pytest.raises(AlreadyFinalized):
        encryptor.finish()
    with pytest.raises(AlreadyFinalized):
        encryptor.update(bytes(CHUNK * 2))


@pytest.mark.parametrize("exponent", [pytest.param(-1, id="negative"), pytest.param(25, id="32 MiB")])
def test_chunks_are_bounded(exponent: int) -> None:
    """A chunk that no reader would take is not written."""
    with pytest.raises(ValueError, match="chunk exponent"):
        Encryptor(KEY, chunk_exponent=exponent)


def test_counter_never_wraps() -> None:
    """A nonce is never used twice: the chunk after the last possible one is an error."""
    encryptor = Encryptor(KEY, chunk_exponent=0)
    encryptor._counter = 2**32 - 1
    encryptor.update(b"a")
    assert len(encryptor.update(b"b")) == 1
    with pytest.raises(RefusedError, match=r"more than 2\^32 chunks"):
        encryptor.finish()


@given(plaintexts, st.data())
def test_any_flipped_bit_is_seen(plaintext: bytes, data: st.DataObject) -> None:
    """Wherever a bit flips, what came out before is true and the damage is reported."""
    stored = bytearray(close(plaintext))
    stored[data.draw(st.integers(0, len(stored) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert plaintext.startswith(opened_before_damage(bytes(stored)))


@given(plaintexts, st.data())
def test_any_truncation_is_seen(plaintext: bytes, data: st.DataObject) -> None:
    """An object cut anywhere, chunk borders included, is never taken for a whole one."""
    stored = close(plaintext)
    assert plaintext.startswith(opened_before_damage(stored[: data.draw(st.integers(0, len(stored) - 1))]))


@pytest.mark.parametrize("length", [pytest.param(n, id=f"{n} bytes") for n in (0, 1, CHUNK, CHUNK + 1, 4 * CHUNK, 70)])
def test_every_chunk_border_holds(length: int) -> None:
    """At every border: cut, dropped, repeated, swapped, emptied; each is damage, and nothing untrue comes out."""
    plaintext = os.urandom(length)
    header, chunks = chunks_of(close(plaintext))
    for index in range(len(chunks)):
        before, chunk, after = chunks[:index], chunks[index], chunks[index + 1 :]
        broken = [[*before], [*before, *after], [*before, chunk, chunk, *after], [*before, b"", bytes(SEALED), *after]]
        broken += [[*before, other, *after] for other in chunks if other != chunk]
        broken += [[*before, after[0], chunk, *after[1:]]] if after else []
        broken += [[*before, chunk[:-1], *after], [*before, chunk + b"\x00", *after]]
        for pieces in broken:
            assert plaintext.startswith(opened_before_damage(header + b"".join(pieces)))


@given(plaintexts, st.binary(min_size=1, max_size=3 * SEALED))
def test_trailing_bytes_are_seen(plaintext: bytes, trailing: bytes) -> None:
    """Whatever is hung behind an object makes it damaged."""
    opened_before_damage(close(plaintext) + trailing)


@given(st.binary(min_size=2 * CHUNK, max_size=4 * CHUNK), st.binary(min_size=2 * CHUNK, max_size=4 * CHUNK))
def test_chunks_of_two_objects_do_not_mix(one: bytes, other: bytes) -> None:
    """Chunks of another object under the very same key do not fit, because its header is another one."""
    header, chunks = chunks_of(close(one))
    _, strangers = chunks_of(close(other))
    assert one.startswith(opened_before_damage(header + chunks[0] + b"".join(strangers[1:])))
    opened_before_damage(header + b"".join(strangers))


@given(st.binary(max_size=300))
def test_random_bytes_are_damage(data: bytes) -> None:
    """Whatever lies there, the answer is DamagedError, and no byte comes out."""
    assert opened_before_damage(data) == b""


@given(st.binary(max_size=200), st.integers(0, 24))
def test_random_bytes_behind_a_true_header_are_damage(data: bytes, exponent: int) -> None:
    """The same when the header is one of ours."""
    assert opened_before_damage(Encryptor(KEY, chunk_exponent=exponent).header + data) == b""


@pytest.mark.parametrize(
    ("place", "value"),
    [
        pytest.param(0, 0x45, id="magic"),
        pytest.param(4, 2, id="version"),
        pytest.param(5, 25, id="chunk size"),
        pytest.param(13, 1, id="first reserved byte"),
        pytest.param(63, 1, id="last reserved byte"),
    ],
)
def test_foreign_headers_are_refused(place: int, value: int) -> None:
    """Each field of the header is looked at."""
    stored = bytearray(close(b"abc"))
    stored[place] = value
    with pytest.raises(DamagedError, match="header of format 1"):
        reopened([bytes(stored)])


def test_other_key_opens_nothing() -> None:
    """With the key of another object nothing comes out."""
    with pytest.raises(DamagedError, match="closed with another key"):
        reopened([close(b"abc")], bytes(32))


def test_last_possible_chunk_is_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader counts no further than the writer can; shown with a counter that ends at 1."""
    monkeypatch.setattr("dbcustody.adapters.envelope._LAST_COUNTER", 1)
    with pytest.raises(DamagedError, match="last possible chunk"):
        reopened([_endless()])


def _endless() -> bytes:
    """Return two chunks that both say that another one follows."""
    encryptor = Encryptor(KEY, chunk_exponent=EXPONENT)
    return b"".join([encryptor.header, *encryptor.update(bytes(2 * CHUNK + 1))]) + b"\x00" * SEALED


contexts = st.lists(st.text(st.characters(codec="utf-8"), max_size=5), max_size=4).map(tuple)


@given(contexts, contexts, st.sampled_from(["object", "manifest-mac"]), st.sampled_from(["object", "manifest-mac"]))
def test_derived_keys_are_one_per_place(one: tuple[str, ...], other: tuple[str, ...], label: str, second: str) -> None:
    """Two places share a key only when they are one: fields cannot flow into each other."""
    key = DataKey(KEY)
    assert ((label, one) == (second, other)) is (key.derive(label, *one) == key.derive(second, *other))


@given(st.binary(), st.binary(), contexts, contexts)
def test_mac_proves_message_and_place(
    message: bytes, other: bytes, place: tuple[str, ...], elsewhere: tuple[str, ...]
) -> None:
    """A MAC is believed for its message in its place and for nothing else."""
    key = DataKey(KEY)
    mac = key.mac("fact-mac", place, message).hex()
    assert key.proves("fact-mac", place, message, mac_hex=mac)
    assert (message == other) is key.proves("fact-mac", place, other, mac_hex=mac)
    assert (place == elsewhere) is key.proves("fact-mac", elsewhere, message, mac_hex=mac)
    assert not key.proves("manifest-mac", place, message, mac_hex=mac)


@pytest.mark.parametrize(
    "mac",
    [
        pytest.param(None, id="none"),
        pytest.param("", id="empty"),
        pytest.param("é", id="no hex"),
        pytest.param("\ud800", id="no text"),
    ],
)
def test_what_is_no_mac_proves_nothing(mac: str | None) -> None:
    """An absent or odd MAC is an answer and no crash."""
    assert not DataKey(KEY).proves("fact-mac", (), b"", mac_hex=mac)


def test_keys_are_not_shown() -> None:
    """No text about a key holds any of it."""
    key = DataKey.fresh()
    assert (repr(key), str(key), f"{[key]}") == ("***", "***", "[***]")
    assert key.check_value("k1") != DataKey.fresh().check_value("k1")


CONTEXT = ("storage", "custody", "backup", "attempt", "k1")


def test_wrapped_key_opens_with_its_key_in_its_place() -> None:
    """Wrapping and unwrapping gives the key again, and each wrapping has a nonce of its own."""
    key = DataKey.fresh()
    wrapped = wrap_key(key, KEY, CONTEXT)
    assert unwrap_key(wrapped, KEY, CONTEXT) == key
    assert wrapped.nonce != wrap_key(key, KEY, CONTEXT).nonce


@pytest.mark.parametrize(
    ("key", "context"),
    [
        pytest.param(bytes(32), CONTEXT, id="another key"),
        pytest.param(KEY, (*CONTEXT[:3], "other", "k1"), id="another attempt"),
        pytest.param(KEY, (*CONTEXT[:4], "k2"), id="another key id"),
    ],
)
def test_another_key_or_place_is_a_mismatch(key: bytes, context: tuple[str, ...]) -> None:
    """The wrong key is told apart from damage: putting the right one back helps."""
    with pytest.raises(RefusedError, match="put the right one back") as caught:
        unwrap_key(wrap_key(DataKey.fresh(), KEY, CONTEXT), key, context)
    assert caught.value.reason is Reason.KEY_MISMATCH


@settings(deadline=None)
@given(st.sampled_from(["nonce", "wrapped", "check"]), st.data())
def test_changed_wrapping_is_damage(field: str, data: st.DataObject) -> None:
    """Any changed digit of a wrapped key is damage when the key is the right one."""
    wrapped = wrap_key(DataKey(KEY), KEY, CONTEXT)
    fields = {"nonce": wrapped.nonce, "wrapped": wrapped.wrapped, "check": wrapped.check}
    index = data.draw(st.integers(0, len(fields[field]) - 1))
    digit = data.draw(st.sampled_from("0123456789abcdefABCDEFxé ").filter(lambda one: one != fields[field][index]))
    fields[field] = fields[field][:index] + digit + fields[field][index + 1 :]
    with pytest.raises(DamagedError, match="is damaged"):
        unwrap_key(Wrapped(**fields), KEY, CONTEXT)


@given(st.text(), st.text(), st.text())
def test_random_wrappings_never_open(nonce: str, wrapped: str, check: str) -> None:
    """Whatever stands in a wrapped key's object, the answer is one of ours."""
    with pytest.raises((DamagedError, RefusedError)):
        unwrap_key(Wrapped(nonce, wrapped, check), KEY, CONTEXT)


def test_shortened_wrapping_is_damage() -> None:
    """A nonce or a key of another length is not tried."""
    wrapped = wrap_key(DataKey(KEY), KEY, CONTEXT)
    for changed in (
        Wrapped(wrapped.nonce + "00", wrapped.wrapped, wrapped.check),
        Wrapped(wrapped.nonce, "00", wrapped.check),
    ):
        with pytest.raises(DamagedError, match="is damaged"):
            unwrap_key(changed, KEY, CONTEXT)


def test_key_in_another_spelling_is_damage() -> None:
    """Capitals and spaces stand for the same bytes to a lenient reader; nobody of ours wrote them."""
    closed = wrap_key(DataKey(KEY), KEY, CONTEXT)
    spellings = (closed.wrapped.upper(), f" {closed.wrapped}", f"{closed.wrapped[:2]} {closed.wrapped[2:]}")
    for text in spellings:
        with pytest.raises(DamagedError, match="is damaged"):
            unwrap_key(Wrapped(closed.nonce, text, closed.check), KEY, CONTEXT)
