"""Facts are read only where they were written, and each says in its MAC what kind of fact it is."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbcustody.errors import DamagedError, RefusedError
from dbcustody.repository.canonical import canonical
from dbcustody.repository.fact import (
    Custody,
    Fact,
    Hold,
    Marker,
    NameClaim,
    Release,
    Tombstone,
    Verified,
    WrappedKey,
    fact_text,
    parse_claim,
    parse_custody,
    parse_marker,
    parse_wrapped_key,
    read_fact,
    sealed,
)
from dbcustody.repository.layout import BackupKey, FactKind, fact_key, parse_backup_key

if TYPE_CHECKING:
    from collections.abc import Callable

BACKUP = "20260131T020000Z-shop-5e1d0c2a"
NOW = datetime(2026, 2, 1, tzinfo=UTC)
DIGEST = "cd" * 32
TOMBSTONE = Tombstone(backup_id=BACKUP, manifest_sha256=DIGEST, generation=3, because="daily", time=NOW)
VERIFIED = Verified(backup_id=BACKUP, manifest_sha256=DIGEST, level="Read", rows=7, time=NOW)
HOLD = Hold(backup_id=BACKUP, manifest_sha256=DIGEST, number=2, because="audit", time=NOW)
RELEASE = Release(backup_id=BACKUP, manifest_sha256=DIGEST, number=2, because="over", time=NOW)


def place(kind: FactKind, number: int = 0, backup_id: str = BACKUP) -> BackupKey:
    """Return the key of a fact."""
    key = parse_backup_key(fact_key("web.shop", backup_id, kind, number))
    assert key is not None
    return key


FACTS = [
    pytest.param(TOMBSTONE, place(FactKind.TOMBSTONE), id="tombstone"),
    pytest.param(VERIFIED, place(FactKind.VERIFIED, 5), id="verified"),
    pytest.param(HOLD, place(FactKind.HOLD, 2), id="hold"),
    pytest.param(RELEASE, place(FactKind.RELEASE, 2), id="release"),
]


@pytest.mark.parametrize(("fact", "key"), FACTS)
def test_fact_survives(fact: Fact, key: BackupKey) -> None:
    """What is written is what is read, with and without a MAC."""
    assert fact == read_fact(canonical(fact), key)
    signed = replace(fact, mac="ab" * 32)
    assert signed == read_fact(canonical(signed), key)


@pytest.mark.parametrize(("fact", "key"), FACTS)
def test_mac_text_says_the_kind(fact: Fact, key: BackupKey) -> None:
    """The signed text leaves the MAC out and begins with the kind; no two kinds share one."""
    assert key.fact is not None
    assert fact_text(fact).startswith(key.fact.value.capitalize().encode() + b"\x00{")
    assert fact_text(fact) == fact_text(replace(fact, mac="ab" * 32))


def test_hold_and_release_sign_different_texts() -> None:
    """A hold's MAC cannot be passed off as that of a release with the same fields."""
    release = Release(backup_id=BACKUP, manifest_sha256=DIGEST, number=2, because="audit", time=NOW)
    assert canonical(HOLD) == canonical(release)
    assert fact_text(HOLD) != fact_text(release)


def test_sealing_puts_the_mac_in() -> None:
    """A MAC is kept in hex; none leaves the fact unsigned."""
    assert sealed(HOLD, b"\x01\xff").mac == "01ff"
    assert sealed(replace(HOLD, mac="ab"), None).mac is None


@pytest.mark.parametrize(
    ("data", "key", "complaint"),
    [
        pytest.param(canonical(HOLD), place(FactKind.HOLD, 3), "another number", id="hold under another number"),
        pytest.param(canonical(RELEASE), place(FactKind.RELEASE, 1), "another number", id="release moved"),
        pytest.param(
            canonical(TOMBSTONE),
            place(FactKind.TOMBSTONE, backup_id="20260201T020000Z-shop-5e1d0c2a"),
            "another backup",
            id="tombstone of another backup",
        ),
        pytest.param(canonical(HOLD), place(FactKind.TOMBSTONE), "hold|missing|canonical", id="hold as tombstone"),
        pytest.param(b"{}", place(FactKind.VERIFIED, 1), "no format number", id="empty object"),
        pytest.param(canonical(HOLD) + b"\n", place(FactKind.HOLD, 2), "canonical", id="newline behind"),
        pytest.param(
            canonical(HOLD),
            BackupKey(custody_id="web.shop", backup_id=BACKUP, attempt=None, object_name="manifest.json"),
            "is no fact",
            id="manifest's key",
        ),
    ],
)
def test_moved_or_changed_facts_are_damage(data: bytes, key: BackupKey, complaint: str) -> None:
    """A fact under a key that is not its own says nothing."""
    with pytest.raises(DamagedError, match=complaint):
        read_fact(data, key)


@given(st.binary(), st.sampled_from(FactKind))
def test_random_bytes_are_damage(data: bytes, kind: FactKind) -> None:
    """Whatever lies there, nothing but damage is said of it."""
    with pytest.raises(DamagedError):
        read_fact(data, place(kind, 0 if kind is FactKind.TOMBSTONE else 1))


def test_newer_facts_are_refused() -> None:
    """A fact of a later format is not guessed at."""
    with pytest.raises(RefusedError, match="has format 2"):
        read_fact(canonical(replace(HOLD, format=2)), place(FactKind.HOLD, 2))


MARKER = Marker(storage_id="s", created=NOW)
CLAIM = NameClaim(name="shop", backup_id=BACKUP, claimed=NOW)
MINTED = [
    pytest.param(parse_marker, MARKER, id="marker"),
    pytest.param(parse_custody, Custody(uuid="u", owner="web/shop", created=NOW), id="custody"),
    pytest.param(parse_claim, CLAIM, id="claim of a name"),
    pytest.param(parse_wrapped_key, WrappedKey(key_id="k", nonce="00", wrapped="11", check="22"), id="wrapped key"),
]


@pytest.mark.parametrize(("read", "value"), MINTED)
def test_what_is_minted_survives(read: Callable[[bytes, str], object], value: object) -> None:
    """What is written once is what is read, in the one form that it has."""
    data = canonical(value)
    assert value == read(data, "it")
    with pytest.raises(DamagedError, match="it: is not in canonical form"):
        read(data + b"\n", "it")


@pytest.mark.parametrize(
    ("read", "value"),
    [
        pytest.param(parse_marker, replace(MARKER, storage_id="\ud800"), id="storage id that no key can be bound to"),
        pytest.param(parse_marker, replace(MARKER, storage_id=""), id="empty storage id"),
        pytest.param(parse_claim, replace(CLAIM, backup_id="../../other"), id="claim that climbs"),
    ],
)
def test_ids_that_fit_nowhere_are_damage(read: Callable[[bytes, str], object], value: object) -> None:
    """Nobody signs these documents; what they say goes into keys and names, so it is looked at where it is read."""
    with pytest.raises(DamagedError, match=r"it: .* cannot stand in a storage key"):
        read(canonical(value), "it")
