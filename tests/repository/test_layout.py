"""Every key that can be built is recognised, and nothing else is: what the grammar does not know is nobody's to delete."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbcustody.errors import InvalidSpecError
from dbcustody.repository.layout import (
    CATALOGUE_OBJECT,
    MANIFEST_OBJECT,
    SCHEMA_OBJECT,
    BackupKey,
    FactKind,
    archive_of,
    attempt_prefix,
    backup_prefix,
    backup_time,
    backups_prefix,
    check_backup_id,
    check_custody_id,
    check_key_id,
    check_name,
    custody_key,
    custody_of,
    data_key_object,
    data_object,
    digest_in,
    fact_key,
    is_content,
    key_id_of,
    make_backup_id,
    manifest_key,
    name_digest,
    name_key,
    names_prefix,
    parse_backup_key,
    parse_name_key,
    storage_key_key,
    whole_object,
)

if TYPE_CHECKING:
    from collections.abc import Callable

CUSTODY = "web.shop"
BACKUP = "20260131T020000Z-shop-5e1d0c2a"
ATTEMPT = "0b9c3f52-6c0e-4a55-8f3a-2f4d5e6a7b8c"
NUMBERED = (FactKind.VERIFIED, FactKind.HOLD, FactKind.RELEASE)

names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)
moments = st.datetimes(datetime(2000, 1, 1), datetime(2999, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds must be naive
backup_ids = st.builds(make_backup_id, names, moments)
custody_ids = st.from_regex(r"[a-z0-9]([a-z0-9_-]{0,20}[.]?[a-z0-9_-]{0,20}[a-z0-9])?", fullmatch=True)
attempts = st.uuids().map(str)
key_ids = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?", fullmatch=True)
contents = st.one_of(
    st.sampled_from([SCHEMA_OBJECT, CATALOGUE_OBJECT]),
    st.builds(data_object, st.integers(0, 999), st.integers(0, 999)),
    st.builds(whole_object, st.integers(0, 999)),
)


@given(custody_ids, backup_ids, attempts, st.one_of(contents, st.builds(data_key_object, key_ids)))
def test_what_an_attempt_writes_is_recognised(custody_id: str, backup_id: str, attempt: str, name: str) -> None:
    """Every object of an attempt parses back to where it belongs."""
    found = parse_backup_key(attempt_prefix(custody_id, backup_id, attempt) + name)
    assert BackupKey(custody_id=custody_id, backup_id=backup_id, attempt=attempt, object_name=name) == found
    assert (found.is_manifest, found.fact, found.number) == (False, None, 0)


@given(custody_ids, backup_ids, st.sampled_from(NUMBERED), st.integers(1, 999_999))
def test_facts_are_recognised(custody_id: str, backup_id: str, kind: FactKind, number: int) -> None:
    """A fact's key says its kind and its number."""
    found = parse_backup_key(fact_key(custody_id, backup_id, kind, number))
    assert found is not None
    assert (kind, number, False) == (found.fact, found.number, found.is_manifest)


def test_manifest_and_tombstone_are_recognised() -> None:
    """The commit and its end stand beside the attempts and bear no number."""
    manifest = parse_backup_key(manifest_key(CUSTODY, BACKUP))
    tombstone = parse_backup_key(fact_key(CUSTODY, BACKUP, FactKind.TOMBSTONE))
    assert manifest is not None
    assert tombstone is not None
    assert (manifest.is_manifest, manifest.fact, manifest.number) == (True, None, 0)
    assert (tombstone.is_manifest, tombstone.fact, tombstone.number) == (False, FactKind.TOMBSTONE, 0)


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("", id="nothing"),
        pytest.param("dbcustody.json", id="marker"),
        pytest.param(f"{CUSTODY}/custody.json", id="birth certificate"),
        pytest.param(f"{CUSTODY}/names/shop.json", id="claim of a name"),
        pytest.param(f"{CUSTODY}/ledger/000000000001.json", id="ledger entry"),
        pytest.param(f"{CUSTODY}/ledger/{BACKUP}/manifest.json", id="ledger in the shape of a backup"),
        pytest.param(f"{CUSTODY}/backups/{BACKUP}", id="backup without a name"),
        pytest.param(f"{CUSTODY}/backups/{BACKUP}/", id="folder marker"),
        pytest.param(f"{CUSTODY}/backups/{BACKUP}/notes.txt", id="stranger beside the attempts"),
        pytest.param(f"{CUSTODY}/backups/{BACKUP}/schema.pgc", id="archive beside the attempts"),
        pytest.param(f"{CUSTODY}/backups/{BACKUP}/{ATTEMPT}/manifest.json", id="manifest within an attempt"),
        pytest.param(f"{CUSTODY}/backups/{BACKUP}/{ATTEMPT}/tombstone.json", id="fact within an attempt"),
        pytest.param(f"{CUSTODY}/backups/{BACKUP}/{ATTEMPT}/x/schema.pgc", id="one level too deep"),
        pytest.param(f"/{CUSTODY}/backups/{BACKUP}/manifest.json", id="leading slash"),
        pytest.param(f"{CUSTODY}/backups/{BACKUP}/manifest.json\n", id="newline behind the manifest"),
        pytest.param(f"{CUSTODY}\n/backups/{BACKUP}/manifest.json", id="newline behind the custody"),
        pytest.param(f"{CUSTODY}/backups/{BACKUP}\n/manifest.json", id="newline behind the backup"),
        pytest.param(f"{CUSTODY}/backups/{BACKUP}/{ATTEMPT}\n/schema.pgc", id="newline behind the attempt"),
        pytest.param(f"{CUSTODY}/backups/{BACKUP}/{ATTEMPT}/data-001.pgc\n", id="newline behind the archive"),
        pytest.param(f"{CUSTODY}/backups/{BACKUP}/tombstone.json\n", id="newline behind a fact"),
        pytest.param(f"{CUSTODY}/backups/{BACKUP}/tombstone.1.json", id="numbered tombstone"),
        pytest.param(f"{CUSTODY}/backups/{BACKUP}/hold.json", id="hold without a number"),
        pytest.param(f"{CUSTODY}/backups/{BACKUP}/hold.0.json", id="hold zero"),
        pytest.param(f"{CUSTODY}/backups/{BACKUP}/hold.01.json", id="number with a leading zero"),
        pytest.param(f"{CUSTODY}/backups/{BACKUP}/{ATTEMPT}/data-001.pgc.000", id="part zero"),
        pytest.param(f"{CUSTODY}/backups/{BACKUP}/{ATTEMPT}/data-1.pgc", id="short stream number"),
        pytest.param(f"{CUSTODY}/backups/{BACKUP}/{ATTEMPT}/key..json", id="key without an id"),
        pytest.param(f"{CUSTODY}/backups/{BACKUP}/{ATTEMPT}/key.a..b.json", id="two dots in a key id"),
        pytest.param(f"{CUSTODY}/backups/{BACKUP}/{ATTEMPT.upper()}/schema.pgc", id="attempt in capitals"),
        pytest.param(f"../backups/{BACKUP}/manifest.json", id="parent folder"),
        pytest.param(f"a..b/backups/{BACKUP}/manifest.json", id="two dots in a custody id"),
        pytest.param(f"{CUSTODY}/backups/20261331T020000Z-shop-5e1d0c2a/manifest.json", id="month 13"),
        pytest.param(f"{CUSTODY}/backups/\u0662\u0660260131T020000Z-shop/manifest.json", id="digits of another script"),
        pytest.param(f"{CUSTODY}/backups/20260131T020000Z-/manifest.json", id="id without a name"),
    ],
)
def test_strangers_are_not_recognised(key: str) -> None:
    """A key that could not have been built is nobody's."""
    assert parse_backup_key(key) is None


@given(
    st.lists(
        st.sampled_from(
            [CUSTODY, "backups", BACKUP, ATTEMPT, MANIFEST_OBJECT, "data-001.pgc", "hold.1.json", "..", "x"]
        )
    )
)
def test_whatever_is_recognised_could_have_been_built(parts: list[str]) -> None:
    """Parsing is the inverse of building: the parts give the key again."""
    key = "/".join(parts)
    found = parse_backup_key(key)
    if found is not None:
        folder = (
            backup_prefix(found.custody_id, found.backup_id)
            if found.attempt is None
            else attempt_prefix(found.custody_id, found.backup_id, found.attempt)
        )
        assert key == folder + found.object_name


@given(names, names, moments, st.integers(1, 10**6))
def test_backup_ids_sort_by_time_and_keep_names_apart(name: str, other: str, moment: datetime, seconds: int) -> None:
    """A later backup sorts behind an earlier one whatever their names; two names at one second get two ids."""
    early, late = make_backup_id(name, moment), make_backup_id(other, moment + timedelta(seconds=seconds))
    assert early < late
    assert (name == other) is (make_backup_id(name, moment) == make_backup_id(other, moment))
    assert moment.replace(microsecond=0) == backup_time(early)
    assert check_backup_id(early) == early


def test_backup_id_is_in_utc_and_readable() -> None:
    """The id says the time in UTC and the name as far as it fits."""
    moment = datetime(2026, 1, 31, 3, 0, 0, tzinfo=timezone(timedelta(hours=1)))
    assert make_backup_id("shop.nightly", moment).startswith("20260131T020000Z-shop-nightly-")


@pytest.mark.parametrize(
    ("build", "complaint"),
    [
        pytest.param(lambda: make_backup_id("shop", datetime(2026, 1, 1)), "has no zone", id="naive time"),  # noqa: DTZ001 - the point
        pytest.param(lambda: make_backup_id("Shop", datetime(2026, 1, 1, tzinfo=UTC)), "name", id="capital in a name"),
        pytest.param(lambda: backup_time("yesterday-shop"), "does not begin with a time", id="no time"),
        pytest.param(lambda: check_backup_id("20260131T020000Z"), "backup id", id="id without a name"),
        pytest.param(lambda: check_backup_id("20260231T020000Z-shop"), "does not begin with a time", id="February 31"),
        pytest.param(lambda: check_custody_id(""), "custodyId", id="empty custody id"),
        pytest.param(lambda: check_custody_id("../x"), "custodyId", id="custody id that climbs"),
        pytest.param(lambda: check_custody_id("a" * 129), "custodyId", id="long custody id"),
        pytest.param(lambda: check_custody_id("shop\n"), "custodyId", id="custody id with a newline"),
        pytest.param(lambda: check_name("a/b"), "name", id="slash in a name"),
        pytest.param(lambda: check_name("a" * 64), "name", id="long name"),
        pytest.param(lambda: check_key_id(".hidden"), "key id", id="hidden key id"),
        pytest.param(lambda: attempt_prefix(CUSTODY, BACKUP, "1"), "attempt", id="attempt that is no UUID"),
        pytest.param(lambda: data_object(1000), "data stream", id="stream beyond the grammar"),
        pytest.param(lambda: data_object(1, 1000), "part of a data stream", id="part beyond the grammar"),
        pytest.param(
            lambda: whole_object(1000), "part of the whole archive", id="part of everything beyond the grammar"
        ),
        pytest.param(lambda: fact_key(CUSTODY, BACKUP, FactKind.HOLD), "hold", id="hold without a number"),
        pytest.param(lambda: fact_key(CUSTODY, BACKUP, FactKind.HOLD, 10**6), "hold", id="number too large"),
        pytest.param(lambda: fact_key(CUSTODY, BACKUP, FactKind.TOMBSTONE, 1), "tombstone", id="numbered tombstone"),
    ],
)
def test_nothing_outside_the_grammar_is_built(build: Callable[[], str], complaint: str) -> None:
    """Whatever cannot stand in a key is refused before a key is made of it."""
    with pytest.raises(InvalidSpecError, match=complaint):
        build()


def test_the_other_keys_have_their_places() -> None:
    """Everything beside the backups has one place."""
    assert storage_key_key("k1") == "storage-key.k1.json"
    assert custody_key(CUSTODY) == "web.shop/custody.json"
    assert names_prefix(CUSTODY) == "web.shop/names/"
    assert name_key(CUSTODY, "shop-1") == "web.shop/names/shop-1.json"
    assert backups_prefix(CUSTODY) == "web.shop/backups/"
    assert fact_key(CUSTODY, BACKUP, FactKind.TOMBSTONE) == f"web.shop/backups/{BACKUP}/tombstone.json"


@pytest.mark.parametrize(
    ("key", "custody_id"),
    [
        pytest.param("web.shop/custody.json", "web.shop", id="birth certificate"),
        pytest.param("custody.json", None, id="without a custody"),
        pytest.param("web.shop/x/custody.json", None, id="too deep"),
        pytest.param("Web/custody.json", None, id="outside the grammar"),
        pytest.param("web.shop/names/shop.json", None, id="another object"),
    ],
)
def test_custodies_are_found_by_their_birth_certificate(key: str, custody_id: str | None) -> None:
    """Which custodies a storage holds is told by one key each."""
    assert custody_of(key) == custody_id


@pytest.mark.parametrize(
    ("name", "archive", "key_id", "content"),
    [
        pytest.param("schema.pgc", None, None, True, id="schema"),
        pytest.param("catalogue.json", None, None, True, id="catalogue"),
        pytest.param("data-001.pgc", "data-001.pgc", None, True, id="archive"),
        pytest.param("data-001.pgc.012", "data-001.pgc", None, True, id="part of an archive"),
        pytest.param("whole.pgc", "whole.pgc", None, True, id="archive of everything"),
        pytest.param("whole.pgc.012", "whole.pgc", None, True, id="part of the archive of everything"),
        pytest.param("whole.pgc.000", None, None, False, id="part zero"),
        pytest.param("schema.pgc.001", None, None, False, id="part of the schema"),
        pytest.param("key.k1.json", None, "k1", False, id="wrapped key"),
        pytest.param("key..json", None, None, False, id="wrapped key of nobody"),
        pytest.param("../schema.pgc", None, None, False, id="name that climbs"),
    ],
)
def test_object_names_say_what_they_are(name: str, archive: str | None, key_id: str | None, content: bool) -> None:  # noqa: FBT001 - a table
    """Archives, parts, wrapped keys and the catalogue are told apart by name alone."""
    assert (archive_of(name), key_id_of(name), is_content(name)) == (archive, key_id, content)


def test_a_name_is_found_again_by_the_end_of_its_backup_id() -> None:
    """Whoever has only a listing knows which claim belongs to which backup."""
    moment = datetime(2026, 1, 31, 2, tzinfo=UTC)
    for name in ("a", "shop.nightly-29500000", "x" * 63):
        assert digest_in(make_backup_id(name, moment)) == name_digest(name)
    assert digest_in(make_backup_id("a", moment)) != name_digest("b")


@pytest.mark.parametrize(
    "key", ["names/a.json", "web.shop/names/a", "web.shop/names/A.json", "..x/names/a.json", "web.shop/backups/a.json"]
)
def test_other_keys_are_no_claims(key: str) -> None:
    """Whoever writes into the bucket by hand puts no name into anybody's mouth."""
    assert parse_name_key(key) is None


def test_a_claim_s_key_says_whose_name_it_is() -> None:
    """The way back from `name_key`."""
    assert parse_name_key(name_key("web.shop", "shop.nightly-1")) == ("web.shop", "shop.nightly-1")
