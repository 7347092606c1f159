"""Probes and retention in a sick storage: what passes leaves what was wanted, and what does not pass deletes nothing that is good."""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from dbcustody.adapters.objectstore import S3Store, VolumeStore
from dbcustody.api.meta import ObjectRef
from dbcustody.api.storage import S3, BackupStorageSpec, Encryption
from dbcustody.contract import Verb
from dbcustody.errors import DbcustodyError
from dbcustody.jobs import probe
from dbcustody.jobs.stock import take_stock
from dbcustody.reason import Reason
from ground import fault
from ground.fault import COMPLETION, FOR_EVER
from tests.fakes.prunes import TODAY, facts_of, nights, open_bucket, pruned
from tests.fakes.vault import CUSTODY, Vault, request_for, ring, tools_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from dbcustody.adapters.objectstore import ObjectEntry
    from dbcustody.contract import JobResult
    from ground.fault import Fault
    from ground.proxy import Proxy
    from ground.s3 import S3Server

LISTING, DELETION, TOMBSTONE = "GET .*list-type", r"POST \S+\?delete", r"PUT \S+/tombstone\.json"
MANIFEST_READ = r"GET \S+/manifest\.json"


@pytest.fixture
def vault(s3: S3Server, bucket: str) -> Iterator[Vault]:
    """Return a vault with four nights, of which retention lets two go, reached without the proxy."""
    with closing(open_bucket(s3, bucket)) as store:
        vault = Vault(store)
        nights(vault, 4)
        yield vault


@pytest.fixture
def sick(s3: S3Server, bucket: str, proxy: Proxy) -> Iterator[S3Store]:
    """Return the same store behind the proxy, with little patience."""
    with closing(open_bucket(s3, bucket, proxy.url)) as patient:
        store = S3Store(replace(patient.settings, patience_seconds=2))
    with closing(store):
        yield store


@pytest.fixture
def unchecked(sick: S3Store) -> Iterator[S3Store]:
    """Return the same without checksums: whatever turns on the way arrives like that."""
    with closing(S3Store(replace(sick.settings, checksums="when_required"))) as store:
        yield store


PASSING: dict[str, Callable[[], Fault]] = {
    "500-at-a-deletion": lambda: fault.server_error(DELETION),
    "503-in-a-listing": lambda: fault.slow_down(LISTING),
    "503-at-a-manifest": lambda: fault.slow_down(MANIFEST_READ),
    "409-at-a-tombstone": lambda: fault.conflict(TOMBSTONE, times=2),
    "lost-answer-to-a-tombstone": lambda: fault.answer_lost(TOMBSTONE, times=2),
    "lost-answer-to-a-deletion": lambda: fault.answer_lost(DELETION),
    "manifest-cut": lambda: fault.truncated_read(600, MANIFEST_READ),
    "manifest-shortened": lambda: fault.shortened_read(200, MANIFEST_READ),
    "bit-flipped-in-a-manifest": lambda: fault.flipped_bit(40, MANIFEST_READ),
}


@pytest.mark.s3
@pytest.mark.parametrize("case", PASSING)
def test_retention_gets_through(vault: Vault, sick: S3Store, proxy: Proxy, case: str) -> None:
    """What had to go is gone, what had to stay is there and believed."""
    trouble = proxy.add(PASSING[case]())

    result = pruned(vault, store=sick)

    assert (result.reason, trouble.times) == (Reason.RETENTION_ENFORCED, 0), result.message
    assert sorted(facts_of(result).deleted) == ["night-1", "night-2"]
    stock = vault.stock()
    assert [one.manifest.name for one in stock.live if one.is_good] == ["night-3", "night-4"]
    assert (stock.doubts, stock.breaks) == ((), ())


@pytest.mark.s3
@pytest.mark.parametrize(
    ("trouble", "reason", "words"),
    [
        pytest.param(fault.slow_down(LISTING, times=FOR_EVER), Reason.STORAGE_UNREACHABLE, "SlowDown", id="503"),
        pytest.param(fault.clock_skewed(), Reason.STORAGE_UNREACHABLE, "our clock", id="clock"),
        pytest.param(
            fault.truncated_read(50, LISTING, times=FOR_EVER),
            Reason.STORAGE_UNREACHABLE,
            "breaks off",
            id="listing-cut",
        ),
        pytest.param(
            fault.flipped_bit(40, MANIFEST_READ, times=FOR_EVER), Reason.RETENTION_FROZEN, "", id="manifests-flipped"
        ),
        pytest.param(
            fault.truncated_read(400, MANIFEST_READ, times=FOR_EVER), Reason.STORAGE_UNREACHABLE, "", id="manifests-cut"
        ),
    ],
)
def test_retention_that_cannot_see_deletes_nothing(
    *, vault: Vault, sick: S3Store, proxy: Proxy, trouble: Fault, reason: Reason, words: str
) -> None:
    """What cannot be listed or read cannot be judged: everything stays, and the next run does what is due."""
    proxy.add(replace(trouble))

    found = pruned_or_error(vault, sick)

    assert found[0] is reason, found
    assert words in found[1]
    assert len(vault.stock().live) == 4
    assert facts_of(pruned(vault)).deleted == ("night-1", "night-2")


@pytest.mark.s3
def test_deletion_that_is_broken_off_is_finished(vault: Vault, sick: S3Store, proxy: Proxy) -> None:
    """A storage that stops answering in the middle of a deletion is told as such, and the next run finishes what was begun."""
    proxy.add(fault.server_error(DELETION, times=FOR_EVER))

    reason, message = pruned_or_error(vault, sick)

    assert (reason, "InternalError" in message) == (Reason.STORAGE_UNREACHABLE, True)
    assert [one.manifest.name for one in vault.stock().live] == ["night-2", "night-3", "night-4"]
    assert sorted(facts_of(pruned(vault)).deleted) == ["night-1", "night-2"]
    assert [one.manifest.name for one in vault.stock().live if one.is_good] == ["night-3", "night-4"]


@pytest.mark.s3
@pytest.mark.parametrize("times", [1, 2])
def test_chain_goes_on_where_it_ends(vault: Vault, unchecked: S3Store, proxy: Proxy, times: int) -> None:
    """A manifest that arrived wrong once, with nobody else to notice, does not make the next backup follow another one."""
    proxy.add(fault.flipped_bit(40, MANIFEST_READ, times=times))

    seen = take_stock(replace(vault.storage, store=unchecked), CUSTODY, vault.tools)

    assert seen.doubts == ()
    assert seen.next_link == vault.stock().next_link
    assert seen.next_link.generation == 5


class Forgetful(VolumeStore):
    """A store whose listing leaves a manifest out."""

    def entries(self, prefix: str, *, page_size: int | None = None) -> Iterator[ObjectEntry]:
        """Yield everything but manifests."""
        return (entry for entry in super().entries(prefix, page_size=page_size) if "manifest" not in entry.key)


def test_what_a_listing_leaves_out_is_no_garbage(tmp_path: Path) -> None:
    """A committed backup whose manifest a listing does not show is asked for by name before its data goes as a dead run's."""
    vault = Vault(VolumeStore(tmp_path))
    vault.commit("night-1", TODAY - timedelta(days=9), verified=None)

    result = pruned(vault, store=Forgetful(tmp_path), later=timedelta(days=9))

    assert (result.reason, facts_of(result).swept_objects) == (Reason.RETENTION_ENFORCED, 0)
    assert (len(vault.stock().live), vault.stock().doubts) == (1, ())


def pruned_or_error(vault: Vault, store: S3Store) -> tuple[Reason, str]:
    """Return reason and message of a prune, result or error."""
    try:
        result = pruned(vault, store=store)
    except DbcustodyError as error:
        return error.reason, error.message
    return result.reason, result.message


def probed(store: S3Store, bucket: str) -> JobResult:
    """Return what a probe finds."""
    encryption = Encryption(keyring_secret_ref=ObjectRef(name="keys"), active_key_id="k1")
    spec = BackupStorageSpec(s3=S3(bucket=bucket), encryption=encryption)
    return probe.run(request_for(Verb.PROBE, storage=spec), tools_for(store, ring()))


@pytest.mark.s3
@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(fault.server_error(), id="500"),
        pytest.param(fault.slow_down("PUT"), id="503"),
        pytest.param(fault.conflict("PUT", times=3), id="409"),
        pytest.param(fault.conflict(COMPLETION, times=2), id="409-at-a-completion"),
        pytest.param(fault.answer_lost("PUT", times=2), id="lost-answers"),
        pytest.param(fault.answer_lost(COMPLETION), id="lost-answer-to-a-completion"),
        pytest.param(fault.truncated_read(50, r"GET \S+\.probe"), id="answer-cut"),
        pytest.param(fault.flipped_bit(3, r"GET \S+\.probe\S+/put"), id="bit-flipped"),
    ],
)
def test_probe_gets_through(*, sick: S3Store, s3: S3Server, bucket: str, proxy: Proxy, trouble: Fault) -> None:
    """What passes is no finding about the storage, and nothing of the test stays there."""
    struck = proxy.add(replace(trouble))

    result = probed(sick, bucket)

    assert (result.reason, struck.times) == (Reason.STORAGE_REACHABLE, 0), result.message
    assert [key for key in s3.keys(bucket) if "/.probe/" in key] == []


@pytest.mark.s3
@pytest.mark.parametrize(
    ("trouble", "reason", "words"),
    [
        pytest.param(fault.slow_down(times=FOR_EVER), Reason.STORAGE_UNREACHABLE, "SlowDown", id="503"),
        pytest.param(fault.clock_skewed(), Reason.STORAGE_UNREACHABLE, "our clock", id="clock"),
        pytest.param(fault.no_conditional_put(), Reason.NOT_CONFORMANT, r"NotImplemented", id="knows-no-condition"),
        pytest.param(
            fault.ignored_condition(),
            Reason.NOT_CONFORMANT,
            r"5 of 5 puts .* If-None-Match does not hold",
            id="ignores-it",
        ),
        pytest.param(
            fault.ignored_condition(COMPLETION),
            Reason.NOT_CONFORMANT,
            r"5 of 5 completed uploads",
            id="for-uploads-only",
        ),
    ],
)
def test_probe_says_what_a_storage_lacks(
    *, sick: S3Store, bucket: str, proxy: Proxy, trouble: Fault, reason: Reason, words: str
) -> None:
    """A storage that cannot promise what safety rests on is refused by the name of what it lacks, and nothing is minted in it."""
    proxy.add(replace(trouble))

    result = probed(sick, bucket)

    assert result.reason is reason, result.message
    assert re.search(words, result.message), result.message
    assert not proxy.count(r"PUT \S+/dbcustody\.json")
