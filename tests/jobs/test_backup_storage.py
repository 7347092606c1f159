"""What goes wrong between a dump and its storage, on a real S3 server and a real file system, and who may commit."""

from __future__ import annotations

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from dbcustody.api.policy import Algorithm, Compression
from dbcustody.reason import Reason
from ground.process import wait_until
from ground.proxy import Fault, Proxy, Where
from ground.s3 import S3Server
from tests.fakes.custodian import Custodian, in_bucket, in_volume
from tests.fakes.gate import Gate
from tests.fakes.parts import server_of_parts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ground.postgres import PostgresServer

pytestmark = [pytest.mark.postgres, pytest.mark.s3]

PLAIN = Compression(algorithm=Algorithm.NONE)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server with a shop that is larger than a few parts of an upload."""
    with server_of_parts(1500) as server:
        yield server


def assert_nothing_counts(custodian: Custodian) -> None:
    """No session of ours stays at the server."""
    assert wait_until(lambda: not custodian.backends(), 20), custodian.backends()


def test_server_that_is_killed_in_the_middle(server: PostgresServer) -> None:
    """A storage that goes away while parts are uploaded ends the dump with its reason; when it is back, the same name succeeds."""
    with S3Server() as s3:
        bucket = s3.make_bucket("gone")
        with in_bucket(s3, bucket, part_bytes=5 * 1024 * 1024) as open_store:
            custodian = Custodian(server=server, open_store=open_store)
            with Gate(server) as gate, custodian.running(compression=PLAIN, parallelism=2) as run:
                gate.wait_reached()
                s3.stop()
                gate.open()
                reason, message = run.outcome(90)
            assert reason is Reason.STORAGE_UNREACHABLE, message
            assert_nothing_counts(custodian)
            s3.start()
            assert custodian.stock().backups == ()
            assert custodian.outcome(compression=PLAIN)[0] is Reason.SUCCEEDED


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"secret_access_key": "c4nary-wrong"}, Reason.STORAGE_DENIED, id="wrong-secret"),
        pytest.param({"access_key_id": "nobody"}, Reason.STORAGE_DENIED, id="wrong-key"),
        pytest.param({"bucket": "nowhere"}, Reason.BUCKET_NOT_FOUND, id="wrong-bucket"),
        pytest.param({"endpoint": "http://127.0.0.1:1"}, Reason.STORAGE_UNREACHABLE, id="wrong-endpoint"),
    ],
)
def test_wrong_settings(
    server: PostgresServer, s3: S3Server, bucket: str, *, changes: dict[str, str], reason: Reason
) -> None:
    """Each wrong setting is told before the database is asked for anything."""
    connected = server.log.count("connection authorized")
    with in_bucket(s3, bucket, **changes) as open_store:
        found, message = Custodian(server=server, open_store=open_store).outcome()
    assert found is reason, message
    assert "c4nary" not in message
    assert server.log.count("connection authorized") == connected


def test_bucket_without_write_permission(server: PostgresServer, s3: S3Server, bucket: str) -> None:
    """Credentials that may only read are denied, whether the prefix is in use already or not."""
    name, secret = s3.make_user(f"reader-{bucket[:20]}")
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": [name]},
                "Action": ["s3:GetObject", "s3:ListBucket"],
                "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
            }
        ],
    }
    with closing(s3.client()) as client:
        client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    with (
        in_bucket(s3, bucket) as writable,
        in_bucket(s3, bucket, access_key_id=name, secret_access_key=secret) as store,
    ):
        reader = Custodian(server=server, open_store=store)
        assert reader.outcome()[0] is Reason.STORAGE_DENIED
        assert Custodian(server=server, open_store=writable).outcome("first")[0] is Reason.SUCCEEDED
        assert reader.outcome("second")[0] is Reason.STORAGE_DENIED
        assert_nothing_counts(reader)


def test_volume_without_space(server: PostgresServer, tmp_path: Path) -> None:
    """A file system that is full in the middle of a stream is told as such; nothing half is left, and with more space it succeeds."""
    subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", tmp_path], check=True)
    try:
        custodian = Custodian(server=server, open_store=in_volume(tmp_path))
        reason, message = custodian.outcome(compression=PLAIN, parallelism=2)
        assert reason is Reason.STORAGE_FULL, message
        assert_nothing_counts(custodian)
        assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.name.startswith((".", "data-001"))]
        subprocess.run(["/bin/mount", "-o", "remount,size=300m", tmp_path], check=True)
        assert custodian.outcome(compression=PLAIN, parallelism=2)[0] is Reason.SUCCEEDED
    finally:
        subprocess.run(["/bin/umount", "-l", tmp_path], check=True)


def test_answer_to_the_manifest_that_is_lost(server: PostgresServer, s3: S3Server, bucket: str) -> None:
    """The manifest is there, its answer is not: it is recognised as our own, and the run succeeds as if nothing had been."""
    with Proxy(s3.host, s3.port) as proxy:
        fault = proxy.add(Fault(r"PUT \S+/manifest\.json", where=Where.ANSWER))
        with in_bucket(s3, bucket, endpoint=proxy.url) as open_store:
            custodian = Custodian(server=server, open_store=open_store)
            assert custodian.outcome()[0] is Reason.SUCCEEDED
            assert fault.struck.is_set()
            assert [one.is_good for one in custodian.stock().live] == [True]


@pytest.mark.parametrize("times", [1, 4])
def test_answer_to_an_archive_that_is_lost(server: PostgresServer, s3: S3Server, bucket: str, times: int) -> None:
    """Answers to the completion of an upload get lost: it is looked what became of it, and the backup is good."""
    with Proxy(s3.host, s3.port) as proxy:
        fault = proxy.add(Fault(r"POST \S+/whole\.pgc\?uploadId", where=Where.ANSWER, times=times))
        with in_bucket(s3, bucket, endpoint=proxy.url) as open_store:
            custodian = Custodian(server=server, open_store=open_store)
            reason, message = custodian.outcome(compression=PLAIN)
            assert reason is Reason.SUCCEEDED, message
            assert fault.struck.is_set()


def test_two_attempts_commit_at_once(server: PostgresServer, s3: S3Server, bucket: str) -> None:
    """An attempt that was thought dead commits while another holds its manifest in hand: there is one manifest, and the later adopts it.

    The database's lock is taken from the first by ending its session, as when a node loses its network and not its pods.
    """
    with (
        Proxy(s3.host, s3.port) as proxy,
        in_bucket(s3, bucket, endpoint=proxy.url) as slow,
        in_bucket(s3, bucket) as fast,
    ):
        fault = proxy.add(Fault(r"PUT \S+/manifest\.json", holds=True))
        late, soon = (Custodian(server=server, open_store=store) for store in (slow, fast))
        with late.running() as first:
            assert fault.struck.wait(60)
            server.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'dbcustody backup%'"
            )
            assert soon.outcome()[0] is Reason.SUCCEEDED
            fault.release.set()
            assert first.outcome()[0] is Reason.ADOPTED, first.outcome()
        assert len([key for key in s3.keys(bucket) if key.endswith("/manifest.json")]) == 1
        stock = soon.stock()
        assert [one.is_good for one in stock.live] == [True]
        assert stock.doubts == ()


@pytest.mark.parametrize("parallelism", [1, 3])
def test_first_use_of_a_storage_by_two(server: PostgresServer, s3: S3Server, bucket: str, parallelism: int) -> None:
    """Two backups of different names that open an empty storage at the same moment agree on its marker and its key."""
    with in_bucket(s3, bucket) as open_store:
        custodians = [Custodian(server=server, open_store=open_store) for _ in range(2)]
        with ThreadPoolExecutor(2) as pool:
            found = list(
                pool.map(lambda pair: pair[0].outcome(pair[1], parallelism=parallelism), zip(custodians, ["one", "two"], strict=True))
            )  # fmt: skip
        assert [reason for reason, _ in found] == [Reason.SUCCEEDED] * 2, found
        assert sorted(one.manifest.generation for one in custodians[0].stock().live) == [1, 2]
