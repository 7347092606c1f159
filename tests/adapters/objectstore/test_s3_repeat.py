"""Answers that are none, and requests that are sent again: nothing is believed for lack of a word against it, and nobody asks for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dbcustody.errors import DamagedError, UnavailableError
from ground import fault
from ground.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from dbcustody.adapters.objectstore import S3Store
    from ground.proxy import Proxy
    from ground.s3 import S3Server

    OpenStore = Callable[..., S3Store]

pytestmark = pytest.mark.s3
NOTHING = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize("in_parts", [True, False], ids=["completion", "put"])
def test_success_that_says_nothing_is_none(
    *, server: S3Server, proxy: Proxy, open_store: OpenStore, in_parts: bool
) -> None:
    """200 and nothing behind it, from somebody who never passed the request on: what is there decides, and it is asked for again."""
    store = open_store(server, endpoint=proxy.url, max_attempts=1)
    writer = store.open_writer("data.pgc", in_parts=in_parts)
    writer.write(b"ours")
    trouble = proxy.add(Fault(fault.COMPLETION if in_parts else "PUT", reply=NOTHING))

    writer.commit()

    assert trouble.times == 0
    assert store.read("data.pgc") == b"ours"


def test_put_that_says_nothing_is_none(server: S3Server, proxy: Proxy, open_store: OpenStore) -> None:
    """The same for a small object."""
    store = open_store(server, endpoint=proxy.url, max_attempts=1)
    proxy.add(Fault("PUT", reply=NOTHING))

    assert store.put_once("a.json", b"ours") is True
    assert store.read("a.json") == b"ours"


def test_small_read_that_arrives_wrong_is_asked_for_again(
    server: S3Server, proxy: Proxy, open_store: OpenStore
) -> None:
    """A bit that turned on its way is found by the store's checksum, and costs one more request; twice is damage."""
    store = open_store(server, endpoint=proxy.url)
    store.put_once("manifest.json", b"manifest")
    proxy.add(fault.flipped_bit(3))
    assert store.read("manifest.json") == b"manifest"

    proxy.add(fault.flipped_bit(3, times=2))
    with pytest.raises(DamagedError, match="checksum"):
        store.read("manifest.json")


def test_head_without_content_settles_nothing(server: S3Server, proxy: Proxy, open_store: OpenStore) -> None:
    """When the answer to a completion is lost and the next one says nothing, another's object is not claimed to be there."""
    store = open_store(server, endpoint=proxy.url, max_attempts=1)
    writer = store.open_writer("data.pgc", in_parts=True)
    writer.write(b"ours")
    proxy.add(fault.answer_lost(fault.COMPLETION))
    proxy.add(fault.truncated_read(20, "HEAD"))

    assert writer.commit().size_bytes == 4
    assert store.read("data.pgc") == b"ours"


def test_half_a_listing_is_none(server: S3Server, proxy: Proxy, open_store: OpenStore) -> None:
    """A listing whose answer broke off in its head looks like an empty bucket, and is an error."""
    store = open_store(server, endpoint=proxy.url, max_attempts=1)
    store.put_once("a.json", b"x")
    proxy.add(fault.truncated_read(50, "GET .*list-type"))

    with pytest.raises(UnavailableError, match="breaks off"):
        list(store.entries(""))


def test_repeats_are_bounded_and_counted_for_the_whole_store(
    server: S3Server, proxy: Proxy, open_store: OpenStore
) -> None:
    """One budget for all that a store does: requests that are answered add to it, and when it is spent the next failure is the last."""
    store = open_store(server, endpoint=proxy.url, max_attempts=1, spare_repeats=1, patience_seconds=60)
    store.put_once("a", b"x")
    proxy.add(fault.server_error(fault.PART, times=fault.FOR_EVER))
    writer = store.open_writer("data.pgc", in_parts=True)
    writer.write(b"ours")

    with pytest.raises(
        UnavailableError, match=r"InternalError.*3 requests were repeated in this run and only 2 answered"
    ):
        writer.commit()

    assert (store.repeats.count, store.repeats.because) == (3, "InternalError")
    assert proxy.count(fault.PART) == 4
