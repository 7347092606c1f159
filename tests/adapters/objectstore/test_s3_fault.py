"""What breaks on the way to and from a real S3 server: nothing is lost, nothing is doubled, and nothing is believed that was not seen."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from dbcustody.adapters.objectstore import DeletionState, PartLimitReachedError, S3Store
from dbcustody.errors import ConflictError, DamagedError, DbcustodyError, UnavailableError
from dbcustody.reason import Reason
from ground.proxy import Fault, Proxy, Where
from ground.s3 import S3Server

if TYPE_CHECKING:
    from collections.abc import Callable

    from dbcustody.adapters.objectstore import ObjectWriter

    OpenStore = Callable[..., S3Store]

pytestmark = pytest.mark.s3
PART_BYTES = 5 * 1024 * 1024
DATA = os.urandom(3 * PART_BYTES + 12_345)


@pytest.mark.parametrize("attempts", [pytest.param(1, id="settled-by-us"), pytest.param(5, id="repeated-by-botocore")])
def test_lost_answer_to_a_put_is_settled_by_looking(
    server: S3Server, proxy: Proxy, open_store: OpenStore, attempts: int
) -> None:
    """The object was created and the answer got lost: what is there carries our token, so we created it."""
    proxy.add(Fault("PUT", Where.ANSWER))
    store = open_store(server, endpoint=proxy.url, max_attempts=attempts)

    assert store.put_once("manifest.json", b"ours") is True
    assert store.read("manifest.json") == b"ours"


@pytest.mark.parametrize("theirs", [pytest.param(b"theirs", id="other-bytes"), pytest.param(b"ours", id="equal-bytes")])
def test_lost_answer_does_not_make_it_ours(
    server: S3Server, proxy: Proxy, open_store: OpenStore, theirs: bytes
) -> None:
    """A refusal whose answer got lost is still a refusal: another writer's object is never taken for ours, equal bytes included."""
    store = open_store(server, endpoint=proxy.url, max_attempts=1)
    open_store(server, bucket=store.settings.bucket).put_once("manifest.json", theirs)
    proxy.add(Fault("PUT", Where.ANSWER))

    if theirs == b"ours":
        assert store.put_once("manifest.json", b"ours") is False
    else:
        with pytest.raises(ConflictError, match="other bytes"):
            store.put_once("manifest.json", b"ours")
    assert store.read("manifest.json") == theirs


def test_put_that_never_arrived_is_no_success(server: S3Server, proxy: Proxy, open_store: OpenStore) -> None:
    """The request was cut before it arrived: nothing is there, and that is said."""
    proxy.add(Fault("PUT", after_bytes=100))
    store = open_store(server, endpoint=proxy.url, max_attempts=1)

    with pytest.raises(UnavailableError) as caught:
        store.put_once("manifest.json", b"ours")

    assert caught.value.reason is Reason.STORAGE_UNREACHABLE
    assert store.read("manifest.json") is None


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault("partNumber=2", after_bytes=PART_BYTES // 2), id="part-cut"),
        pytest.param(Fault("partNumber=2", Where.ANSWER), id="answer-to-a-part-lost"),
        pytest.param(Fault("partNumber", after_bytes=1000, times=4), id="every-part-cut"),
        pytest.param(Fault(r"POST .*uploadId", Where.ANSWER), id="answer-to-the-completion-lost"),
        pytest.param(Fault(r"POST .*uploadId", after_bytes=10), id="completion-cut"),
    ],
)
@pytest.mark.parametrize("attempts", [pytest.param(1, id="by-us"), pytest.param(5, id="by-botocore")])
def test_upload_survives_a_broken_connection(
    *, server: S3Server, proxy: Proxy, open_store: OpenStore, fault: Fault, attempts: int
) -> None:
    """Whatever request of an upload breaks, the object is there once, whole, and no upload is left over."""
    store = open_store(server, endpoint=proxy.url, max_attempts=attempts)
    proxy.add(Fault(fault.pattern, fault.where, fault.after_bytes, fault.times))
    writer = store.open_writer("data.pgc")

    writer.write(DATA)
    stored = writer.commit()

    assert stored.size_bytes == len(DATA)
    assert b"".join(store.stream("data.pgc")) == DATA
    assert list(store.list_unfinished("")) == []


def test_lost_completion_of_another_is_a_conflict(server: S3Server, proxy: Proxy, open_store: OpenStore) -> None:
    """Somebody else's object is there and the refusal got lost: a conflict all the same, theirs stays and ours is swept away."""
    store = open_store(server, endpoint=proxy.url, max_attempts=1)
    writer = store.open_writer("data.pgc", in_parts=True)
    writer.write(b"ours")
    store.put_once("data.pgc", b"theirs")
    proxy.add(Fault(r"POST .*uploadId", Where.ANSWER))

    with pytest.raises(ConflictError):
        writer.commit()

    assert store.read("data.pgc") == b"theirs"
    assert list(store.list_unfinished("")) == []


@pytest.mark.parametrize("theirs", [pytest.param(None, id="ours"), pytest.param(b"theirs", id="theirs")])
def test_small_stream_settles_its_lost_answer(
    server: S3Server, proxy: Proxy, open_store: OpenStore, theirs: bytes | None
) -> None:
    """A stream that stayed small is one put; its lost answer is settled like that of any other, and theirs is not ours."""
    store = open_store(server, endpoint=proxy.url, max_attempts=1)
    if theirs is not None:
        open_store(server, bucket=store.settings.bucket).put_once("small.pgc", theirs)
    proxy.add(Fault("PUT", Where.ANSWER))
    writer = store.open_writer("small.pgc")
    writer.write(b"small")

    if theirs is None:
        assert writer.commit().size_bytes == 5
    else:
        with pytest.raises(ConflictError):
            writer.commit()
    assert store.read("small.pgc") == (theirs or b"small")


def test_unclear_answer_stays_unclear(server: S3Server, proxy: Proxy, open_store: OpenStore) -> None:
    """When a put is refused as taken and nobody can say by whom, neither success nor conflict is claimed."""
    store = open_store(server, endpoint=proxy.url, max_attempts=1)
    store.put_once("x", b"theirs")
    proxy.add(Fault("GET|HEAD", after_bytes=10, times=1000))
    writer = store.open_writer("x")

    with pytest.raises(UnavailableError):
        store.put_once("x", b"ours")
    with pytest.raises(UnavailableError):
        writer.commit()


def test_upload_outlives_a_server_that_is_killed(open_store: OpenStore) -> None:
    """The server is killed in the middle of an upload and comes back: the upload goes on where it was."""
    with S3Server() as mortal:
        store = open_store(mortal, max_attempts=2)
        writer = store.open_writer("data.pgc")
        writer.write(DATA[: 2 * PART_BYTES])
        mortal.stop(signal.SIGKILL)
        mortal.start()
        writer.write(DATA[2 * PART_BYTES :])
        writer.commit()

        assert b"".join(store.stream("data.pgc")) == DATA


def test_dead_upload_is_found_after_both_were_killed(open_store: OpenStore) -> None:
    """Neither writer nor server lives to abort the upload: after the restart it is no object, it is listed, and it is removed."""
    with S3Server() as mortal:
        store = open_store(mortal)
        writer = store.open_writer("a/data.pgc")
        writer.write(DATA)
        mortal.stop(signal.SIGKILL)
        mortal.start()

        found = list(store.list_unfinished("a/"))

        assert [one.key for one in found] == ["a/data.pgc"]
        assert list(store.entries("")) == []
        store.abort_unfinished(found[0])
        assert list(store.list_unfinished("")) == []
        with pytest.raises(DbcustodyError):
            writer.commit()
        assert list(store.entries("")) == []


def fill(writer: ObjectWriter, piece_bytes: int, *, commits: bool = False) -> None:
    """Write everything in pieces."""
    for start in range(0, len(DATA), piece_bytes):
        writer.write(DATA[start : start + piece_bytes])
    if commits:
        writer.commit()


def test_patience_ends(open_store: OpenStore) -> None:
    """A store that does not come back ends the upload within the patience given, and aborting does not hang or raise."""
    with S3Server() as mortal:
        store = open_store(mortal, max_attempts=1, patience_seconds=1)
        writer = store.open_writer("data.pgc", in_parts=True)
        mortal.stop(signal.SIGKILL)

        with pytest.raises(UnavailableError) as caught:
            fill(writer, len(DATA), commits=True)

        assert caught.value.reason is Reason.STORAGE_UNREACHABLE
        assert "data.pgc" in caught.value.message
        with pytest.raises(ValueError, match="aborted"):
            writer.commit()


def test_hole_is_never_committed(server: S3Server, proxy: Proxy, open_store: OpenStore) -> None:
    """A part that failed fails the stream; whoever goes on all the same cannot commit what is left of it."""
    store = open_store(server, endpoint=proxy.url, max_attempts=1, patience_seconds=0.1)
    proxy.add(Fault(r"partNumber=1\b", after_bytes=100, times=1000))
    writer = store.open_writer("data.pgc")

    with pytest.raises(UnavailableError, match="part 1"):
        fill(writer, 1000_000)

    with pytest.raises(ValueError, match="aborted"):
        writer.commit()
    assert server.keys(store.settings.bucket) == []
    assert list(store.list_unfinished("")) == []


def test_part_limit_is_told_beforehand(server: S3Server, open_store: OpenStore) -> None:
    """The writer says how much more it takes; beyond that it takes nothing and what it has can still be committed."""
    store = open_store(server, max_parts=2)
    writer = store.open_writer("data.pgc")
    writer.write(DATA[: PART_BYTES + 1])

    with pytest.raises(PartLimitReachedError):
        writer.write(DATA[: PART_BYTES + 1])
    assert writer.remaining_bytes == PART_BYTES - 1
    writer.write(DATA[: PART_BYTES - 1])
    stored = writer.commit()

    assert (writer.remaining_bytes, stored.size_bytes) == (0, 2 * PART_BYTES)
    assert b"".join(store.stream("data.pgc")) == DATA[: PART_BYTES + 1] + DATA[: PART_BYTES - 1]


def stored_data(server: S3Server, open_store: OpenStore, endpoint: str) -> S3Store:
    """Return a store behind *endpoint* that holds DATA."""
    store = open_store(server, endpoint=endpoint)
    writer = store.open_writer("data.pgc")
    writer.write(DATA)
    writer.commit()
    return store


@pytest.mark.parametrize("times", [pytest.param(1, id="once"), pytest.param(3, id="again-and-again")])
def test_broken_download_goes_on_where_it_broke(
    server: S3Server, proxy: Proxy, open_store: OpenStore, times: int
) -> None:
    """A download that is cut is taken up by range; every byte arrives once."""
    store = stored_data(server, open_store, proxy.url)
    fault = proxy.add(Fault("GET", Where.ANSWER, after_bytes=2_500_000, times=times))

    assert b"".join(store.stream("data.pgc")) == DATA
    assert fault.times == 0
    assert proxy.count("GET .*data.pgc") == times + 1


def test_broken_download_over_tls_goes_on(tls_server: S3Server, tls_proxy: Proxy, open_store: OpenStore) -> None:
    """A connection that breaks under TLS is a broken connection, not a wrong certificate."""
    stored = stored_data(tls_server, open_store, tls_server.url)
    tls_proxy.add(Fault("", Where.ANSWER, after_bytes=2_500_000))
    store = open_store(
        tls_server, bucket=stored.settings.bucket, endpoint=tls_proxy.url.replace("http:", "https:"), max_attempts=1
    )

    assert b"".join(store.stream("data.pgc")) == DATA


def test_broken_connection_under_tls_is_not_the_certificate(
    tls_server: S3Server, tls_proxy: Proxy, open_store: OpenStore
) -> None:
    """A server that hangs up is unreachable, also while TLS is being agreed on or in the middle of a request."""
    store = open_store(tls_server, endpoint=tls_proxy.url.replace("http:", "https:"), max_attempts=1)
    for where, after_bytes in ((Where.ANSWER, 0), (Where.ANSWER, 500), (Where.REQUEST, 600)):
        tls_proxy.add(Fault("", where, after_bytes))
        with pytest.raises(UnavailableError) as caught:
            store.put_once("x", b"x" * 100_000)
        assert caught.value.reason is Reason.STORAGE_UNREACHABLE


def test_refusal_over_tls_is_a_refusal(tls_server: S3Server, open_store: OpenStore) -> None:
    """A server that answers `taken` and hangs up while the body is still on its way has answered, every time."""
    store = open_store(tls_server, max_attempts=1)
    store.put_once("x", b"theirs")
    for _ in range(20):
        with pytest.raises(ConflictError):
            store.put_once("x", b"o" * 300_000)


def test_small_read_is_never_cut_short(server: S3Server, proxy: Proxy, open_store: OpenStore) -> None:
    """A manifest whose transfer breaks is read again from where it broke; half of it is never taken for the whole."""
    store = open_store(server, endpoint=proxy.url)
    store.put_once("manifest.json", DATA[:1_000_000])
    proxy.add(Fault("GET", Where.ANSWER, after_bytes=400_000))

    assert store.read("manifest.json") == DATA[:1_000_000]


def slow_down(proxy: Proxy) -> None:
    """Let the download take some seconds, so that it is cut in the middle, and not when all of it is in somebody's buffer."""
    proxy.add(Fault("GET", Where.ANSWER, bytes_per_second=4_000_000))


def test_object_that_changes_under_the_reader_is_damage(server: S3Server, proxy: Proxy, open_store: OpenStore) -> None:
    """When a download breaks and another object stands there afterwards, two halves are not glued together."""
    store = stored_data(server, open_store, proxy.url)
    slow_down(proxy)
    pieces = store.stream("data.pgc")
    next(pieces)
    server.client().put_object(Bucket=store.settings.bucket, Key="data.pgc", Body=DATA[::-1])
    proxy.cut()

    with pytest.raises(DamagedError, match="changed"):
        list(pieces)


def test_object_that_vanishes_under_the_reader_is_damage(server: S3Server, proxy: Proxy, open_store: OpenStore) -> None:
    """The same for one that is gone when the download is taken up again."""
    store = stored_data(server, open_store, proxy.url)
    slow_down(proxy)
    pieces = store.stream("data.pgc")
    next(pieces)
    assert [deletion.state for deletion in store.delete(["data.pgc"])] == [DeletionState.GONE]
    proxy.cut()

    with pytest.raises(DamagedError, match="missing"):
        list(pieces)


def test_download_patience_ends(open_store: OpenStore) -> None:
    """A store that does not come back ends the download within the patience given."""
    with S3Server() as mortal:
        store = open_store(mortal, max_attempts=1, patience_seconds=1)
        writer = store.open_writer("data.pgc")
        writer.write(DATA)
        writer.commit()
        with Proxy(mortal.host, mortal.port) as proxy:
            proxy.add(Fault("GET", Where.ANSWER, after_bytes=2_500_000, times=1000))
            reader = open_store(
                mortal,
                bucket=store.settings.bucket,
                endpoint=proxy.url,
                max_attempts=1,
                patience_seconds=1,
                read_timeout_seconds=2,
            )
            pieces = reader.stream("data.pgc")
            next(pieces)
            mortal.stop(signal.SIGKILL)
            with pytest.raises(UnavailableError):
                list(pieces)


def test_listing_fails_rather_than_ends_early(server: S3Server, proxy: Proxy, open_store: OpenStore) -> None:
    """A listing whose second page cannot be had is an error: retention must not decide on half of what is there."""
    store = open_store(server, endpoint=proxy.url, max_attempts=1)
    for number in range(4):
        store.put_once(f"{number}", b"x")
    proxy.add(Fault("continuation-token", after_bytes=10))

    with pytest.raises(UnavailableError, match="list objects"):
        list(store.entries("", page_size=2))
