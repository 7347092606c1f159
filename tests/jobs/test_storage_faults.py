"""A backup into a sick storage, a case for each way of being sick: what passes, after how many tries, and what is refused and why.

The proxy stands between us and a real S3 server. Whatever a run was told, the truth is read without the proxy afterwards.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from dbcustody.api.policy import Algorithm, Compression, Level
from dbcustody.jobs.custody import open_storage
from dbcustody.jobs.stock import open_data_key
from dbcustody.jobs.verification import verify
from dbcustody.reason import Reason
from ground import fault
from ground.fault import FOR_EVER, PART, Where
from tests.fakes.custodian import Custodian, in_bucket
from tests.fakes.parts import server_of_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dbcustody.adapters.objectstore import ObjectStore
    from ground.fault import Fault
    from ground.postgres import PostgresServer
    from ground.proxy import Proxy
    from ground.s3 import S3Server

pytestmark = [pytest.mark.postgres, pytest.mark.s3]

PLAIN = Compression(algorithm=Algorithm.NONE)
PART_BYTES = 5 * 1024 * 1024
MANIFEST, CATALOGUE, VERIFIED = (
    rf"PUT \S+/{name}" for name in (r"manifest\.json", r"catalogue\.json", r"verified\.1\.json")
)
LISTING = "GET .*list-type"
COMPLETION = r"POST \S+/whole\.pgc\?uploadId"
MARKER_READ, MANIFEST_READ, KEY_READ, CATALOGUE_READ, DATA_READ = (
    rf"GET \S+/{name}"
    for name in (
        r"dbcustody\.json",
        r"manifest\.json",
        r"key\.k1\.json",
        r"catalogue\.json",
        r"whole\.pgc",
    )
)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server with a shop of a few parts."""
    with server_of_parts(700) as server:
        yield server


@pytest.fixture
def well(server: PostgresServer, s3: S3Server, bucket: str) -> Iterator[Custodian]:
    """Return who looks into the storage without the proxy."""
    with in_bucket(s3, bucket, part_bytes=PART_BYTES) as open_store:
        yield Custodian(server=server, open_store=open_store)


@pytest.fixture
def opened() -> list[ObjectStore]:
    """Return the stores that the run under test opened."""
    return []


@pytest.fixture
def sick(
    *, server: PostgresServer, s3: S3Server, bucket: str, proxy: Proxy, opened: list[ObjectStore]
) -> Iterator[Custodian]:
    """Return who works through the proxy, with little patience."""
    with in_bucket(s3, bucket, part_bytes=PART_BYTES, endpoint=proxy.url) as open_store:

        def open_and_remember() -> ObjectStore:
            opened.append(open_store())
            return opened[-1]

        yield Custodian(server=server, open_store=open_and_remember)


def assert_whole(well: Custodian) -> None:
    """There is one backup, it is believed, and every row of it can be read."""
    (backup,) = well.stock().live
    assert backup.is_good
    tools = well.tools()
    storage = open_storage(tools, well.request())
    key = open_data_key(storage, backup.manifest.place, backup.key_ids)
    found = verify(storage, backup.manifest, level=Level.READ, tools=tools, data_key=key)
    assert (found.level, found.rows) == (Level.READ, 700), found.message


PASSING: dict[str, tuple[Callable[[], Fault], int]] = {
    "500-at-the-first-request": (lambda: fault.server_error(MARKER_READ), 1),
    "500-in-parts": (lambda: fault.server_error(PART, times=3), 3),
    "500-at-the-manifest": (lambda: fault.server_error(MANIFEST), 1),
    "503-storm-in-parts": (lambda: fault.slow_down(PART, times=4), 4),
    "503-in-a-listing": (lambda: fault.slow_down(LISTING), 1),
    "409-at-the-manifest": (lambda: fault.conflict(MANIFEST, times=3), 3),
    "409-at-a-small-object": (lambda: fault.conflict(CATALOGUE, times=2), 2),
    "409-at-a-completion": (lambda: fault.conflict(COMPLETION), 1),
    "reset-in-a-part": (lambda: fault.reset_in_part(2_000_000), 1),
    "reset-in-parts-again-and-again": (lambda: fault.reset_in_part(2_000_000, times=3), 3),
    "lost-answer-to-a-part": (lambda: fault.answer_lost(PART), 1),
    "lost-answer-to-a-completion": (lambda: fault.answer_lost(COMPLETION, times=2), 1),
    "lost-answer-to-a-small-object": (lambda: fault.answer_lost(CATALOGUE, times=2), 1),
    "lost-answer-to-the-manifest": (lambda: fault.answer_lost(MANIFEST, times=2), 1),
    "lost-answer-to-the-proof": (lambda: fault.answer_lost(VERIFIED, times=2), 1),
    "bit-flipped-in-a-part-on-its-way-in": (lambda: fault.flipped_bit(1000, PART, where=Where.REQUEST), 1),
    "bit-flipped-in-the-manifest-on-its-way-in": (lambda: fault.flipped_bit(40, MANIFEST, where=Where.REQUEST), 1),
    "answer-cut-in-its-head": (lambda: fault.truncated_read(50, DATA_READ), 0),
    "small-answer-cut-in-its-head": (lambda: fault.truncated_read(50, MANIFEST_READ), 0),
    "answer-to-a-beginning-cut-in-its-head": (
        lambda: fault.Fault(r"POST \S+whole\.pgc\?uploads", Where.ANSWER, after_bytes=50),
        1,
    ),
    "answer-to-a-part-cut-in-its-head": (lambda: fault.truncated_read(50, PART), 1),
    "answer-to-a-completion-cut-in-its-head": (lambda: fault.truncated_read(50, COMPLETION), 0),
    "listing-shortened": (lambda: fault.shortened_read(120, LISTING), 1),
    "read-cut": (lambda: fault.truncated_read(100_000, DATA_READ), 1),
    "read-cut-again-and-again": (lambda: fault.truncated_read(1_000_000, DATA_READ, times=4), 4),
    "archive-shortened-on-its-way-out": (lambda: fault.shortened_read(1_000_000, DATA_READ), 0),
    "bit-flipped-in-an-archive-on-its-way-out": (lambda: fault.flipped_bit(1_000_000, DATA_READ), 0),
    "bit-flipped-in-a-small-object-on-its-way-out": (lambda: fault.flipped_bit(100, CATALOGUE_READ), 0),
    "manifest-shortened-on-its-way-out": (lambda: fault.shortened_read(300, MANIFEST_READ), 0),
    "bit-flipped-in-the-manifest-on-its-way-out": (lambda: fault.flipped_bit(40, MANIFEST_READ), 0),
    "bit-flipped-in-the-data-key-on-its-way-out": (lambda: fault.flipped_bit(40, KEY_READ), 0),
}


@pytest.mark.parametrize("case", PASSING)
def test_what_passes_costs_tries_and_nothing_else(
    *, proxy: Proxy, sick: Custodian, well: Custodian, opened: list[ObjectStore], case: str
) -> None:
    """The backup succeeds, what had to be repeated is counted, and without the proxy it is whole."""
    make, repeats = PASSING[case]
    trouble = proxy.add(make())

    reason, message = sick.outcome(compression=PLAIN)

    assert (reason, trouble.struck.is_set(), trouble.times) == (Reason.SUCCEEDED, True, 0), message
    assert sum(store.repeats.count for store in opened) == repeats, opened[0].repeats
    assert_whole(well)


REFUSED: dict[str, tuple[Callable[[], Fault], Reason, str]] = {
    "500-for-ever": (lambda: fault.server_error(PART, times=FOR_EVER), Reason.STORAGE_UNREACHABLE, "InternalError"),
    "503-for-ever": (lambda: fault.slow_down(PART, times=FOR_EVER), Reason.STORAGE_UNREACHABLE, "SlowDown"),
    "503-to-everything": (lambda: fault.slow_down(times=FOR_EVER), Reason.STORAGE_UNREACHABLE, "SlowDown"),
    "409-for-ever": (
        lambda: fault.conflict(MANIFEST, times=FOR_EVER), Reason.STORAGE_UNREACHABLE, "ConditionalRequestConflict",
    ),
    "reset-for-ever": (
        lambda: fault.reset_in_part(2_000_000, times=FOR_EVER), Reason.STORAGE_UNREACHABLE, r"part \d.*does not answer",
    ),
    "bit-flipped-in-parts-for-ever": (
        lambda: fault.flipped_bit(9, PART, where=Where.REQUEST, times=FOR_EVER), Reason.STORAGE_UNREACHABLE, "not what we send",
    ),
    "clock": (fault.clock_skewed, Reason.STORAGE_UNREACHABLE, "our clock"),
    "listing-cut-in-its-head": (
        lambda: fault.truncated_read(50, LISTING), Reason.STORAGE_UNREACHABLE, "breaks off",
    ),
    "no-conditional-put": (fault.no_conditional_put, Reason.NOT_CONFORMANT, "NotImplemented"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_pass_is_told_and_leaves_no_manifest(
    *, s3: S3Server, bucket: str, proxy: Proxy, sick: Custodian, well: Custodian, case: str
) -> None:
    """The run ends within its patience with the store's own word, nothing counts, and the next run of the name succeeds."""
    make, wanted, words = REFUSED[case]
    trouble = proxy.add(make())

    reason, message = sick.outcome(compression=PLAIN)

    assert reason is wanted, message
    assert re.search(words, message), message
    assert trouble.struck.is_set()
    assert proxy.count(trouble.pattern) <= 40, "tried without measure"
    assert [key for key in s3.keys(bucket) if key.endswith("manifest.json")] == []
    assert well.outcome(compression=PLAIN)[0] is Reason.SUCCEEDED
    assert_whole(well)


UNPROVEN: dict[str, tuple[Callable[[], Fault], Reason]] = {
    "bit-flipped": (lambda: fault.flipped_bit(1_000_000, DATA_READ, times=FOR_EVER), Reason.ARCHIVE_DAMAGED),
    "shortened": (lambda: fault.shortened_read(1_000_000, DATA_READ, times=FOR_EVER), Reason.ARCHIVE_DAMAGED),
    "catalogue-flipped": (lambda: fault.flipped_bit(100, CATALOGUE_READ, times=FOR_EVER), Reason.ARCHIVE_DAMAGED),
    "cut-before-its-first-byte": (
        lambda: fault.truncated_read(50, DATA_READ, times=FOR_EVER), Reason.STORAGE_UNREACHABLE,
    ),
    "500": (lambda: fault.server_error(DATA_READ, times=FOR_EVER), Reason.STORAGE_UNREACHABLE),
}  # fmt: skip


@pytest.mark.parametrize("case", UNPROVEN)
def test_what_cannot_be_read_back_is_never_told_good(
    *, s3: S3Server, bucket: str, proxy: Proxy, sick: Custodian, well: Custodian, case: str
) -> None:
    """No bytes but those that were written prove a backup; it is not condemned for ever: read back rightly, it is proven and adopted."""
    make, wanted = UNPROVEN[case]
    trouble = proxy.add(make())

    reason, message = sick.outcome(compression=PLAIN)

    assert reason is wanted, message
    assert trouble.struck.is_set()
    assert not [key for key in s3.keys(bucket) if "/verified." in key]
    assert well.outcome(compression=PLAIN)[0] is Reason.ADOPTED
    assert_whole(well)


def test_manifest_that_arrives_wrong_is_read_again(
    *, s3: S3Server, bucket: str, server: PostgresServer, proxy: Proxy, well: Custodian
) -> None:
    """Where no checksum tells that the manifest arrived wrong when it was read back, it is looked at twice before it is doubted."""
    trouble = proxy.add(fault.flipped_bit(40, MANIFEST_READ))
    with in_bucket(s3, bucket, part_bytes=PART_BYTES, endpoint=proxy.url, checksums="when_required") as open_store:
        reason, message = Custodian(server=server, open_store=open_store).outcome(compression=PLAIN)

    assert (reason, trouble.times) == (Reason.SUCCEEDED, 0), message
    assert_whole(well)


def test_a_storm_ends_with_the_run_s_budget(
    *, s3: S3Server, bucket: str, server: PostgresServer, proxy: Proxy, well: Custodian
) -> None:
    """However much patience there is for each part: what is repeated in a whole run is bounded, and the end says so."""
    storm = proxy.add(fault.server_error(PART, times=FOR_EVER))
    with in_bucket(
        s3, bucket, part_bytes=PART_BYTES, endpoint=proxy.url, patience_seconds=60, max_attempts=3, spare_repeats=0
    ) as open_store:
        reason, message = Custodian(server=server, open_store=open_store).outcome(compression=PLAIN)

    assert reason is Reason.STORAGE_UNREACHABLE
    assert re.search(r"InternalError.*\d+ requests were repeated in this run and only \d+ answered: given up", message)
    assert proxy.count(storm.pattern) <= 60
    proxy.heal()
    assert well.outcome(compression=PLAIN)[0] is Reason.SUCCEEDED
