"""What each client is asked for, and what the manifest says of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dbcustody.adapters.postgres import Client
from dbcustody.api.policy import Algorithm, Compression
from dbcustody.jobs.compression import compression_argument


@pytest.mark.parametrize(
    ("major", "algorithm", "level", "argument", "manifest"),
    [
        pytest.param(17, Algorithm.ZSTD, 3, "--compress=zstd:3", "zstd:3", id="zstd"),
        pytest.param(16, Algorithm.LZ4, 1, "--compress=lz4:1", "lz4:1", id="lz4"),
        pytest.param(18, Algorithm.GZIP, 9, "--compress=gzip:9", "gzip:9", id="gzip"),
        pytest.param(17, Algorithm.NONE, 5, "--compress=none", "none", id="none"),
        pytest.param(15, Algorithm.ZSTD, 3, "--compress=3", "gzip:3", id="old-zstd"),
        pytest.param(15, Algorithm.ZSTD, 19, "--compress=9", "gzip:9", id="old-zstd-beyond-gzip"),
        pytest.param(14, Algorithm.LZ4, 1, "--compress=1", "gzip:1", id="old-lz4"),
        pytest.param(15, Algorithm.NONE, 1, "--compress=0", "none", id="old-none"),
    ],
)
def test_argument(*, major: int, algorithm: Algorithm, level: int, argument: str, manifest: str) -> None:
    """A client of 16 or newer is asked by name; an older one takes Gzip, at most at its highest level."""
    client = Client(major=major, version=str(major), folder=Path("/"))
    assert compression_argument(Compression(algorithm=algorithm, level=level), client) == (argument, manifest)
