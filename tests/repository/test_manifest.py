"""The manifest survives its way through the storage, and no manifest that says impossible things comes out of one."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbcustody.api.backup import Origin
from dbcustody.errors import DamagedError, RefusedError
from dbcustody.reason import Reason
from dbcustody.repository.canonical import canonical
from dbcustody.repository.layout import make_backup_id
from dbcustody.repository.manifest import (
    ENCRYPTION_ALGORITHM,
    Manifest,
    Scope,
    ServerFacts,
    StoredObject,
    authenticated_text,
    manifest_digest,
    read_manifest,
    write_manifest,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    MakeManifest = Callable[..., Manifest]

moments = st.datetimes(datetime(2000, 1, 1), datetime(2999, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001 - bounds must be naive
    lambda moment: moment.replace(microsecond=0)
)
numbers = st.integers(0, 2**63 - 1)
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
object_names = st.sampled_from(["schema.pgc", "data-000.pgc", "data-001.pgc", "data-001.pgc.001", "catalogue.json"])
objects = st.builds(
    StoredObject, name=object_names, bytes=numbers, plaintext_bytes=numbers, sha256=digests, chunks=numbers
)
changes = st.fixed_dictionaries({
    "backup_id": st.builds(make_backup_id, st.from_regex(r"[a-z0-9]{1,9}", fullmatch=True), moments),
    "attempt": st.uuids().map(str),
    "policy": st.none() | st.text(max_size=9),
    "origin": st.sampled_from(Origin),
    "scope": st.sampled_from(Scope),
    "server": st.builds(ServerFacts, version=st.text(max_size=9), major_version=numbers, timeline=st.none() | numbers),
    "snapshot": moments,
    "objects": st.lists(objects, min_size=1, unique_by=lambda item: item.name).map(tuple),
    "row_count": st.none() | numbers,
    "generation": st.integers(1, 2**63 - 1),
    "previous_manifest_sha256": st.none() | digests,
    "mac": digests,
})  # fmt: skip


@given(changes)
def test_manifest_survives(make_manifest: MakeManifest, change: dict[str, Any]) -> None:
    """What is written is what is read, in one form."""
    manifest = make_manifest(**change)
    data = write_manifest(manifest)
    assert manifest == read_manifest(data, "m")
    assert data == canonical(json.loads(data))


@given(changes, st.data())
def test_any_flipped_bit_is_seen_or_signed_otherwise(
    make_manifest: MakeManifest, change: dict[str, Any], data: st.DataObject
) -> None:
    """A manifest with one bit flipped is not read, or is another one for the MAC and the digest."""
    manifest = make_manifest(**change)
    stored = bytearray(write_manifest(manifest))
    stored[data.draw(st.integers(0, len(stored) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert manifest_digest(bytes(stored)) != manifest_digest(write_manifest(manifest))
    try:
        found = read_manifest(bytes(stored), "m")
    except (DamagedError, RefusedError):
        return
    assert (found.mac, authenticated_text(found)) != (manifest.mac, authenticated_text(manifest))


@given(st.binary() | st.dictionaries(st.text(), st.integers() | st.text()).map(canonical))
def test_random_bytes_are_damage(data: bytes) -> None:
    """Whatever lies under the manifest's key, nothing but damage or a newer format is said of it."""
    with pytest.raises((DamagedError, RefusedError)):
        read_manifest(data, "m")


def test_mac_covers_everything_but_itself(make_manifest: MakeManifest) -> None:
    """The signed text changes with every field except the MAC."""
    manifest = make_manifest()
    text = authenticated_text(manifest)
    assert text == authenticated_text(replace(manifest, mac=None))
    assert text != authenticated_text(replace(manifest, ledger_watermark=1))
    assert b"mac" not in text


def test_sums_and_names(make_manifest: MakeManifest) -> None:
    """Sizes add up, objects are found by name, and the place is that of the attempt."""
    manifest = make_manifest()
    assert (manifest.stored_bytes, manifest.logical_bytes) == (390, 150)
    assert manifest.object_named("schema.pgc") == manifest.objects[0]
    assert manifest.object_named("data-009.pgc") is None
    ids = (manifest.storage_id, manifest.custody_id, manifest.backup_id, manifest.attempt)
    assert manifest.place.context == ids


def test_manifest_without_encryption_is_read(make_manifest: MakeManifest) -> None:
    """A storage without encryption has manifests without a MAC."""
    manifest = make_manifest(encryption=None, mac=None)
    assert read_manifest(write_manifest(manifest), "m") == manifest


def _one(**change: Any) -> tuple[StoredObject, ...]:
    basis = StoredObject(name="schema.pgc", bytes=1, plaintext_bytes=1, sha256="0" * 64)
    return (replace(basis, **change),)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        pytest.param({"storage_id": "a b"}, "storageId", id="storage id with a space"),
        pytest.param({"storage_id": "\ud800"}, "storageId", id="storage id that is no text"),
        pytest.param({"custody_id": "../other"}, "custodyId", id="custody id that climbs"),
        pytest.param({"backup_id": "latest"}, "backup id", id="backup id without a time"),
        pytest.param({"attempt": ".."}, "attempt", id="attempt that climbs"),
        pytest.param({"name": "a/b"}, "name", id="name with a slash"),
        pytest.param({"objects": _one(name="../schema.pgc")}, "is no object of a backup", id="object that climbs"),
        pytest.param({"objects": _one(name="manifest.json")}, "is no object of a backup", id="manifest as object"),
        pytest.param({"objects": _one(name="key.k1.json")}, "is no object of a backup", id="wrapped key as object"),
        pytest.param({"objects": _one() * 2}, "twice", id="one name twice"),
        pytest.param({"objects": ()}, "objects: is missing", id="no objects"),
        pytest.param({"objects": _one(sha256="0")}, "64 hex digits", id="short digest"),
        pytest.param({"objects": _one(sha256="0" * 64 + "\n")}, "64 hex digits", id="digest with a newline"),
        pytest.param({"objects": _one(bytes=-1)}, "must not be negative", id="negative size"),
        pytest.param({"objects": _one(plaintext_bytes=2**63)}, "must not be negative", id="size beyond 63 bits"),
        pytest.param({"row_count": -1}, "must not be negative", id="negative rows"),
        pytest.param({"ledger_watermark": -1}, "must not be negative", id="negative watermark"),
        pytest.param({"generation": 0}, "counts from 1", id="generation zero"),
        pytest.param({"mac": None}, "exactly when", id="encrypted without a MAC"),
        pytest.param({"encryption": None}, "exactly when", id="MAC without encryption"),
        pytest.param({"mac": "AB" * 32}, "64 hex digits", id="MAC in capitals"),
        pytest.param({"previous_manifest_sha256": "x"}, "64 hex digits", id="previous digest that is none"),
    ],
)
def test_impossible_manifests_are_damage(make_manifest: MakeManifest, change: dict[str, Any], complaint: str) -> None:
    """Names become keys and sizes become sums, so a manifest with wrong ones is never let in."""
    with pytest.raises(DamagedError, match=complaint):
        read_manifest(canonical(make_manifest(**change)), "m")


def test_a_manifest_that_does_not_say_of_how_much_it_is_is_damage(make_manifest: MakeManifest) -> None:
    """Every one of format 1 says so: nobody has to guess, and nobody does."""
    told = json.loads(write_manifest(make_manifest()))
    del told["scope"]
    with pytest.raises(DamagedError, match="scope: is missing"):
        read_manifest(canonical(told), "m")


def test_time_beyond_the_calendar_is_damage(make_manifest: MakeManifest) -> None:
    """A time that cannot be brought to UTC is damage and no crash."""
    data = write_manifest(make_manifest()).replace(b"2026-01-31T02:00:00Z", b"0001-01-01T00:00:00+23:59")
    with pytest.raises(DamagedError, match="m: "):
        read_manifest(data, "m")


@pytest.mark.parametrize(
    "change",
    [pytest.param({"encryption": "ROT13"}, id="other encryption"), pytest.param({"format": 2}, id="other format")],
)
def test_what_a_newer_version_wrote_is_named_so(make_manifest: MakeManifest, change: dict[str, Any]) -> None:
    """It is refused with a reason that tells to update, and not called damaged."""
    with pytest.raises(RefusedError) as caught:
        read_manifest(canonical(make_manifest(**change)), "m")
    assert caught.value.reason is Reason.FORMAT_UNKNOWN


def test_clear_text_holds_no_name_of_a_table(make_manifest: MakeManifest) -> None:
    """The fields of the manifest are a closed list; none of them is about roles, tables or columns."""
    document = json.loads(write_manifest(make_manifest(previous_manifest_sha256="0" * 64)))
    expected = {
        "format", "storageId", "custodyId", "backupId", "attempt", "name", "policy", "origin", "scope", "server", "tool", "client",
        "started", "snapshot", "finished", "compression", "objects", "encryption", "tableCount", "rowCount", "ledgerWatermark",
        "generation", "previousManifestSha256", "mac",
    }  # fmt: skip
    assert expected == set(document)
    assert {"name", "bytes", "plaintextBytes", "sha256", "chunks"} == set(document["objects"][0])
    assert document["encryption"] == ENCRYPTION_ALGORITHM
