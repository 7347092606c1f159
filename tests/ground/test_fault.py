"""The proxy does to a request what the fault's name says, and nothing to any other: seen by a client that knows nothing of us."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, IncompleteReadError, ResponseStreamingError

from ground import fault
from ground.fault import Where
from ground.proxy import Proxy
from ground.s3 import S3Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ground.fault import Fault

pytestmark = pytest.mark.s3
DATA = bytes(range(256)) * 1200


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    """Return a real S3 server with an object in a bucket."""
    with S3Server() as server:
        server.make_bucket("bucket")
        with closing(server.client()) as client:
            client.put_object(Bucket="bucket", Key="a.json", Body=DATA)
        yield server


@pytest.fixture
def proxy(server: S3Server) -> Iterator[Proxy]:
    """Return a proxy in front of it."""
    with Proxy(server.host, server.port) as proxy:
        yield proxy


@pytest.fixture
def client(server: S3Server, proxy: Proxy) -> Iterator[Any]:
    """Return a client that tries once and checks nothing."""
    config = Config(
        s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, response_checksum_validation="when_required"
    )
    session = boto3.session.Session(server.access_key, server.secret_key, region_name="us-east-1")
    with closing(session.client("s3", endpoint_url=proxy.url, config=config)) as client:
        yield client


def read(client: Any) -> bytes:
    """Return what comes of the object."""
    body: bytes = client.get_object(Bucket="bucket", Key="a.json")["Body"].read()
    return body


@pytest.mark.parametrize(
    ("trouble", "code"),
    [
        (fault.server_error(), "InternalError"),
        (fault.slow_down(), "SlowDown"),
        (fault.clock_skewed(times=1), "RequestTimeTooSkewed"),
    ],
)
def test_refusals(client: Any, proxy: Proxy, trouble: Fault, code: str) -> None:
    """The store's refusal comes as often as was asked for, and no oftener."""
    proxy.add(trouble)
    with pytest.raises(ClientError) as caught:
        read(client)
    assert caught.value.response["Error"]["Code"] == code
    assert read(client) == DATA


@pytest.mark.parametrize("trouble", [fault.conflict(times=9), fault.no_conditional_put()])
def test_conditions(client: Any, server: S3Server, proxy: Proxy, trouble: Fault) -> None:
    """What is about conditional requests leaves the others alone, and the store never hears of the one that is struck."""
    proxy.add(trouble)
    client.put_object(Bucket="bucket", Key="plain", Body=b"x")
    with pytest.raises(ClientError):
        client.put_object(Bucket="bucket", Key="conditional", Body=b"x", IfNoneMatch="*")
    assert "plain" in server.keys("bucket")
    assert "conditional" not in server.keys("bucket")


def test_ignored_condition(client: Any, proxy: Proxy) -> None:
    """Who comes late hears of success, and what was there before is what is read."""
    proxy.add(fault.ignored_condition())
    client.put_object(Bucket="bucket", Key="a.json", Body=b"late", IfNoneMatch="*")
    assert read(client) == DATA


@pytest.mark.parametrize("at_byte", [0, 1, 70_000, len(DATA) - 1])
def test_flipped_bit(client: Any, proxy: Proxy, at_byte: int) -> None:
    """Exactly one bit of exactly that byte of the body is another, wherever it lies."""
    proxy.add(fault.flipped_bit(at_byte))
    seen = read(client)
    assert [index for index, byte in enumerate(seen) if byte != DATA[index]] == [at_byte]
    assert seen[at_byte] ^ DATA[at_byte] == 1
    assert read(client) == DATA


def test_flipped_bit_on_its_way_in(client: Any, server: S3Server, proxy: Proxy) -> None:
    """The store gets other bytes than were signed, and takes none of them."""
    trouble = proxy.add(fault.flipped_bit(5, "PUT", where=Where.REQUEST))
    with pytest.raises(ClientError):
        client.put_object(Bucket="bucket", Key="turned", Body=DATA)
    assert trouble.struck.is_set()
    assert "turned" not in server.keys("bucket")


@pytest.mark.parametrize("to_bytes", [0, 1, 70_000])
def test_shortened_read(client: Any, proxy: Proxy, to_bytes: int) -> None:
    """The answer ends early, and its head says that it is whole."""
    proxy.add(fault.shortened_read(to_bytes))
    answer = client.get_object(Bucket="bucket", Key="a.json")
    assert (answer["ContentLength"], answer["Body"].read()) == (to_bytes, DATA[:to_bytes])
    assert read(client) == DATA


def test_truncated_read(client: Any, proxy: Proxy) -> None:
    """The answer ends early, and its head says how much is missing."""
    proxy.add(fault.truncated_read(70_000))
    with pytest.raises((IncompleteReadError, ResponseStreamingError)):
        read(client)
    assert read(client) == DATA


def test_answer_lost(client: Any, server: S3Server, proxy: Proxy) -> None:
    """The store has done it, and the client does not know."""
    proxy.add(fault.answer_lost())
    with pytest.raises(ConnectionClosedError):
        client.put_object(Bucket="bucket", Key="unheard", Body=b"x")
    assert "unheard" in server.keys("bucket")


def test_slow(client: Any, proxy: Proxy) -> None:
    """Bytes take the time that was asked for, either way, until the proxy is healed."""
    proxy.add(fault.slow(len(DATA) * 2, "PUT"))
    proxy.add(fault.slow(len(DATA) * 2, "GET", where=Where.ANSWER))
    times = []
    for do in (lambda: client.put_object(Bucket="bucket", Key="slow", Body=DATA), lambda: read(client)):
        before = time.monotonic()
        do()
        times.append(time.monotonic() - before)
    assert min(times) > 0.4
    proxy.heal()
    before = time.monotonic()
    assert read(client) == DATA
    assert time.monotonic() - before < 0.4
