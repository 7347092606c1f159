"""Memory does not grow with what is streamed: three parts in flight, whatever the size."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from dbcustody.adapters.objectstore import S3Store
    from ground.s3 import S3Server

PROGRAM = """
import os, sys
from dbcustody.adapters.objectstore import S3Settings, S3Store

store = S3Store(S3Settings(bucket=sys.argv[1], endpoint=sys.argv[2], addressing_style="path", ca_file=sys.argv[3]))
writer, block = store.open_writer(sys.argv[4]), os.urandom(1 << 20)
for _ in range(int(sys.argv[4])):
    writer.write(block)
writer.commit()
size_bytes = sum(map(len, store.stream(sys.argv[4])))
store.close()
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(size_bytes >> 20, int(peak.split()[1]) >> 10)
"""


@pytest.mark.s3
def test_memory_is_bounded(tls_server: S3Server, open_store: Callable[..., S3Store]) -> None:
    """Four times as much needs no more memory, and all of it with boto3 stays below 130 MiB: 48 of them are the parts."""
    bucket = open_store(tls_server).settings.bucket
    peaks = [stream(tls_server, bucket, size_mebibytes) for size_mebibytes in (96, 384)]

    assert peaks[1] - peaks[0] <= 8
    assert peaks[1] <= 130


def stream(server: S3Server, bucket: str, size_mebibytes: int) -> int:
    """Return the peak in MiB of a process that writes and reads an object of that size with the default settings."""
    environment = {"AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key}
    command = [sys.executable, "-c", PROGRAM, bucket, server.url, str(server.ca), str(size_mebibytes)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    read, peak = map(int, done.stdout.split())
    assert read == size_mebibytes
    return peak
