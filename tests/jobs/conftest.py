"""The repository's root is importable, so that tests share `tests.fakes`; and what the tests of storages share: a store and its proxy."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ground.proxy import Proxy
from ground.s3 import S3Server

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = str(Path(__file__).parents[2])
if ROOT not in sys.path:
    sys.path.append(ROOT)


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    """Return a real S3 server."""
    with S3Server() as server:
        yield server


@pytest.fixture
def bucket_name(request: pytest.FixtureRequest) -> str:
    """Return a name that no other test of the module gives to a bucket."""
    return "t-" + "".join(letter for letter in request.node.name.lower() if letter.isalnum())[-50:]


@pytest.fixture
def bucket(s3: S3Server, bucket_name: str) -> str:
    """Return a new bucket."""
    return s3.make_bucket(bucket_name)


@pytest.fixture
def proxy(s3: S3Server) -> Iterator[Proxy]:
    """Return a proxy in front of the S3 server."""
    with Proxy(s3.host, s3.port) as proxy:
        yield proxy
