"""The Job's process killed, or told to end, at every step: what counts afterwards is read from the storage and from the server."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from dbcustody.api.policy import Algorithm, Compression, Retention
from dbcustody.contract import Verb
from dbcustody.jobs import prune
from dbcustody.reason import ExitCode, Reason
from ground.process import wait_until
from ground.proxy import Fault, Proxy
from tests.fakes.custodian import Custodian, in_bucket
from tests.fakes.gate import Gate
from tests.fakes.jobpod import JobPod, pod_into_bucket
from tests.fakes.parts import server_of_parts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ground.postgres import PostgresServer
    from ground.s3 import S3Server

pytestmark = [pytest.mark.postgres, pytest.mark.s3]

PLAIN = Compression(algorithm=Algorithm.NONE)
POINTS = {
    "marker": r"PUT \S+/dbcustody\.json",
    "storage-key": r"PUT \S+/storage-key\.",
    "custody": r"PUT \S+/custody\.json",
    "name-claim": r"PUT \S+/names/",
    "data-key": r"PUT \S+/key\.k1\.json",
    "upload-begun": r"POST \S+/whole\.pgc\?uploads",
    "first-part": r"PUT \S+/whole\.pgc\?\S*partNumber=1",
    "complete": r"POST \S+/whole\.pgc\?uploadId",
    "catalogue": r"PUT \S+/catalogue\.json",
    "manifest": r"PUT \S+/manifest\.json",
    "manifest-read-back": r"GET \S+/manifest\.json",
    "verification": r"GET \S+/whole\.pgc",
    "verified-fact": r"PUT \S+/verified\.1\.json",
}
COMMITTED = {"manifest-read-back", "verification", "verified-fact"}


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server with a shop that is larger than one part of an upload."""
    with server_of_parts(1000) as server:
        yield server


@pytest.fixture
def custodian(server: PostgresServer, s3: S3Server, bucket: str) -> Iterator[Custodian]:
    """Return who looks into the storage afterwards, without the proxy, and takes the next backup."""
    with in_bucket(s3, bucket) as open_store:
        yield Custodian(server=server, open_store=open_store)


@pytest.fixture
def pod(*, s3: S3Server, proxy: Proxy, bucket: str, custodian: Custodian, tmp_path: Path) -> JobPod:
    """Return a Job's process that is yet to be started."""
    return pod_into_bucket(tmp_path / "pod", custodian, s3, bucket=bucket, endpoint=proxy.url)


def manifests(s3: S3Server, bucket: str) -> list[str]:
    """Return the keys of all manifests."""
    return [key for key in s3.keys(bucket) if key.endswith("/manifest.json")]


def assert_next_run(custodian: Custodian, s3: S3Server, bucket: str, reasons: set[Reason]) -> None:
    """Our backends go, the next run of the same name ends as one of *reasons*, and there is exactly one manifest, of a good backup."""
    assert wait_until(lambda: not custodian.backends(), 20), custodian.backends()
    reason, message = custodian.outcome(compression=PLAIN)
    assert reason in reasons, message
    assert len(manifests(s3, bucket)) == 1
    stock = custodian.stock()
    assert [one.is_good for one in stock.live] == [True]
    assert (stock.doubts, stock.breaks) == ((), ())


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_a_request_to_the_storage(
    *, s3: S3Server, bucket: str, proxy: Proxy, custodian: Custodian, pod: JobPod, point: str
) -> None:  # fmt: skip
    """SIGKILL at a request that may or may not have arrived: the next run of the name adopts what was committed, or takes the backup."""
    fault = proxy.add(Fault(POINTS[point], holds=True))
    with pod:
        assert fault.struck.wait(60), pod.said
        pod.kill()
        fault.release.set()
    committed = {Reason.ADOPTED} if point in COMMITTED else set()
    either = {Reason.SUCCEEDED, Reason.ADOPTED} if point == "manifest" else {Reason.SUCCEEDED}
    assert_next_run(custodian, s3, bucket, committed or either)


@pytest.mark.parametrize("point", ["upload-begun", "first-part", "complete", "catalogue"])
def test_what_a_killed_run_left_is_swept(
    *, s3: S3Server, bucket: str, proxy: Proxy, custodian: Custodian, pod: JobPod, point: str
) -> None:  # fmt: skip
    """What the dead attempt put beside the good one goes with retention's sweep when nobody can be at work on it any more."""
    fault = proxy.add(Fault(POINTS[point], holds=True))
    with pod:
        assert fault.struck.wait(60), pod.said
        pod.kill()
        fault.release.set()
    assert_next_run(custodian, s3, bucket, {Reason.SUCCEEDED})
    (good,) = custodian.stock().live
    committed = f"/{good.manifest.backup_id}/{good.manifest.attempt}/"
    before = s3.keys(bucket)
    assert strays(s3, bucket, committed)

    work = replace(custodian.request(), verb=Verb.PRUNE, retention=Retention(), policy_name="nightly")
    tomorrow = datetime.now(UTC) + timedelta(days=2)
    result = prune.run(work, replace(custodian.tools(), now=lambda: tomorrow))

    assert result.reason is Reason.RETENTION_ENFORCED, result.message
    assert strays(s3, bucket, committed) == []
    assert set(before) - set(s3.keys(bucket)) == {key for key in before if is_stray(key, committed)}
    assert [one.is_good for one in custodian.stock().live] == [True]


def strays(s3: S3Server, bucket: str, committed: str) -> list[str]:
    """Return the objects of attempts other than the *committed* one, and the uploads that nobody completed."""
    with closing(s3.client()) as client:
        uploads = client.list_multipart_uploads(Bucket=bucket).get("Uploads") or ()
    return [*(key for key in s3.keys(bucket) if is_stray(key, committed)), *(one["Key"] for one in uploads)]


def is_stray(key: str, committed: str) -> bool:
    """Return whether an object lies in the folder of an attempt, and not in that of the *committed* one."""
    return key.partition("/backups/")[2].count("/") == 2 and committed not in key


def test_killed_in_the_middle_of_a_copy(
    *, s3: S3Server, bucket: str, custodian: Custodian, server: PostgresServer, pod: JobPod
) -> None:  # fmt: skip
    """SIGKILL while the server is busy for us: its backends notice that we are gone, and no child of ours lives on."""
    with Gate(server) as gate, pod:
        gate.wait_reached()
        pod.kill()
        assert wait_until(lambda: not custodian.backends(), 20), custodian.backends()
        gate.open()
        assert_next_run(custodian, s3, bucket, {Reason.SUCCEEDED})


def test_killed_while_a_lock_is_awaited(
    *, s3: S3Server, bucket: str, custodian: Custodian, server: PostgresServer, pod: JobPod
) -> None:  # fmt: skip
    """SIGKILL while the coordinator waits for a table: nobody waits behind a dead one for longer than a moment."""
    with server.connect("shop") as other, pod:
        other.execute("begin; lock table a in access exclusive mode")
        assert wait_until(lambda: waits_for_lock(custodian), 60)
        pod.kill()
        assert wait_until(lambda: not custodian.backends(), 20), custodian.backends()
        other.execute("commit")
        assert_next_run(custodian, s3, bucket, {Reason.SUCCEEDED})


def waits_for_lock(custodian: Custodian) -> bool:
    """Return whether a session of ours waits for a lock."""
    return any(wait_event == "relation" for *_, wait_event in custodian.backends())


@pytest.mark.parametrize("point", ["first-part", "manifest", "verification", "verified-fact"])
def test_told_to_end_at_a_request_to_the_storage(
    *, s3: S3Server, bucket: str, proxy: Proxy, custodian: Custodian, pod: JobPod, point: str
) -> None:  # fmt: skip
    """SIGTERM while a request is under way: exit code 20, and what was committed before or by that request is adopted next time."""
    fault = proxy.add(Fault(POINTS[point], holds=True))
    with pod:
        assert fault.struck.wait(60), pod.said
        pod.terminate()
        fault.release.set()
        code = pod.wait(60)
        ended = (code, pod.result.reason)
    if point == "verified-fact":
        assert ended in {(ExitCode.DONE, Reason.SUCCEEDED), (ExitCode.UNAVAILABLE, Reason.INTERRUPTED)}
    else:
        assert ended == (ExitCode.UNAVAILABLE, Reason.INTERRUPTED), pod.said
    if point == "first-part":
        assert manifests(s3, bucket) == []
        assert_next_run(custodian, s3, bucket, {Reason.SUCCEEDED})
    else:
        assert "nothing was committed" not in pod.result.message
        assert_next_run(custodian, s3, bucket, {Reason.ADOPTED})


@pytest.mark.parametrize("stage", ["waiting", "locking", "dumping"])
def test_told_to_end_in_a_stage(
    *, s3: S3Server, bucket: str, custodian: Custodian, server: PostgresServer, pod: JobPod, stage: str
) -> None:  # fmt: skip
    """SIGTERM while the run waits for its turn, for a table or for the server: it ends within seconds, and has committed nothing."""
    keep = {
        "waiting": "select pg_advisory_lock(x'64626375'::int, 2)",
        "locking": "begin; lock table a in access exclusive mode",
        "dumping": "select 1",
    }[stage]
    reached = {
        "waiting": lambda: '"stage":"Waiting"' in pod.said,
        "locking": lambda: waits_for_lock(custodian),
        "dumping": lambda: gate.is_reached,
    }[stage]
    with Gate(server) as gate, server.connect("shop") as other:
        other.execute(keep.encode())
        with pod:
            assert wait_until(reached, 60), pod.said
            pod.terminate()
            code = pod.wait(10)
            assert (code, pod.result.reason) == (ExitCode.UNAVAILABLE, Reason.INTERRUPTED), pod.said
            assert wait_until(lambda: not custodian.backends(), 5), custodian.backends()
    assert manifests(s3, bucket) == []
    assert_next_run(custodian, s3, bucket, {Reason.SUCCEEDED})
