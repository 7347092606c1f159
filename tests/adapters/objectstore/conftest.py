"""A real S3 server, with TLS and without, a proxy that breaks things, and a store of every kind."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from dbcustody.adapters.objectstore import ObjectStore, S3Settings, S3Store, VolumeStore
from ground.certificate import Authority
from ground.proxy import Proxy
from ground.s3 import S3Server

if TYPE_CHECKING:
    from pathlib import Path

PART_BYTES = 5 * 1024 * 1024
"""The smallest part that S3 takes."""

OpenStore = Callable[..., S3Store]


@pytest.fixture(scope="session")
def server() -> Iterator[S3Server]:
    """Return a real S3 server without TLS."""
    with S3Server() as server:
        yield server


@pytest.fixture(scope="session")
def tls_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Return a real S3 server with TLS under an authority of its own."""
    authority = Authority(tmp_path_factory.mktemp("ca"))
    pair = authority.issue("s3", "s3", names=["127.0.0.1", "localhost"])
    with S3Server(tls=pair, ca=authority.path) as server:
        yield server


@pytest.fixture
def open_store() -> Iterator[OpenStore]:
    """Return a function that opens a store in a new bucket of a server; what it opened is closed at the end."""
    with ExitStack() as opened:

        def open_one(server: S3Server, **changes: Any) -> S3Store:
            """Return the store; *changes* are to the settings, and with `bucket` no bucket is made."""
            settings = S3Settings(
                bucket=changes.get("bucket") or server.make_bucket(f"b-{uuid.uuid4().hex[:12]}"),
                endpoint=server.url,
                addressing_style="path",
                access_key_id=server.access_key,
                secret_access_key=server.secret_key,
                ca_file=str(server.ca) if server.ca else None,
                part_bytes=PART_BYTES,
                connect_timeout_seconds=2,
                read_timeout_seconds=20,
            )
            store = S3Store(replace(settings, **changes))
            opened.callback(store.close)
            return store

        yield open_one


@pytest.fixture
def proxy(server: S3Server) -> Iterator[Proxy]:
    """Return a proxy in front of the server without TLS."""
    with Proxy(server.host, server.port) as proxy:
        yield proxy


@pytest.fixture
def tls_proxy(tls_server: S3Server) -> Iterator[Proxy]:
    """Return a proxy in front of the server with TLS."""
    with Proxy(tls_server.host, tls_server.port) as proxy:
        yield proxy


@pytest.fixture(
    params=[
        pytest.param("s3", marks=pytest.mark.s3),
        pytest.param("s3-tls", marks=pytest.mark.s3),
        pytest.param("s3-no-checksums", marks=pytest.mark.s3),
        "volume",
    ]
)
def store(request: pytest.FixtureRequest, tmp_path: Path, open_store: OpenStore) -> ObjectStore:
    """Return an empty store of each kind."""
    if request.param == "volume":
        return VolumeStore(tmp_path, "deep/inside")
    if request.param == "s3-tls":
        return open_store(request.getfixturevalue("tls_server"), prefix="deep/inside")
    if request.param == "s3-no-checksums":
        return open_store(request.getfixturevalue("server"), checksums="when_required")
    return open_store(request.getfixturevalue("server"), prefix="/deep/inside/")
