"""A Job's process and a sick storage: what it says while it runs and at its end, and that it ends when told to."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dbcustody.api.policy import Algorithm, Compression
from dbcustody.contract import RecordKind, unframe
from dbcustody.reason import ExitCode, Reason
from ground import fault
from ground.fault import PART
from ground.package import require
from ground.process import wait_until
from tests.fakes.custodian import Custodian, in_bucket
from tests.fakes.jobpod import JobPod, pod_into_bucket
from tests.fakes.parts import server_of_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ground.postgres import PostgresServer
    from ground.proxy import Proxy
    from ground.s3 import S3Server

    StartPod = Callable[..., JobPod]

pytestmark = [pytest.mark.postgres, pytest.mark.s3]
PLAIN = Compression(algorithm=Algorithm.NONE)
KUBERNETES_WAITS_SECONDS = 30
DATA = r"PUT \S+/whole\.pgc"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server with a shop of two parts."""
    with server_of_parts(1000) as server:
        yield server


@pytest.fixture
def well(server: PostgresServer, s3: S3Server, bucket: str) -> Iterator[Custodian]:
    """Return who looks into the storage afterwards, without the proxy."""
    with in_bucket(s3, bucket) as open_store:
        yield Custodian(server=server, open_store=open_store)


@pytest.fixture
def pod_for(*, s3: S3Server, proxy: Proxy, bucket: str, well: Custodian, tmp_path: Path) -> StartPod:
    """Return what makes a Job's process that works through the proxy; *variables* are added to its environment."""

    def make(**variables: str) -> JobPod:
        return pod_into_bucket(tmp_path / "pod", well, s3, bucket=bucket, endpoint=proxy.url, variables=variables)

    return make


def told(pod: JobPod) -> list[str]:
    """Return what the process said that it waits for."""
    records = [record for line in pod.said.splitlines() if (record := unframe(line)) is not None]
    said = [record.data.get("waitingFor") for record in records if record.kind is RecordKind.PROGRESS]
    return [text for text in said if text]


def counted(pod: JobPod) -> list[int | None]:
    """Return how many repeats the process had counted at its first and its last progress."""
    records = [record for line in pod.said.splitlines() if (record := unframe(line)) is not None]
    said = [record.data.get("repeatedRequests") for record in records if record.kind is RecordKind.PROGRESS]
    return [said[0], said[-1]]


def test_repeats_are_told_on_the_way_and_at_the_end(*, proxy: Proxy, well: Custodian, pod_for: StartPod) -> None:
    """A storage that is asked again stands in the progress while it lasts, in the log, and in the message of a run that succeeds."""
    proxy.add(fault.slow_down(PART, times=3))
    with pod_for() as pod:
        assert pod.wait() == ExitCode.DONE, pod.said
        result, said, waits = pod.result, pod.said, told(pod)

    assert re.search(r"stored; 3 storage requests were repeated \(last: SlowDown\)$", result.message), result.message
    assert re.search(r"^the storage: \d storage requests? w\w+ repeated \(last: SlowDown\)$", waits[0])
    lines = [line for line in said.splitlines() if "storage request repeated" in line]
    assert [re.search(r'"repeated": ?(\d)', line)[1] for line in lines] == ["1", "2"]
    assert (result.repeated_requests, counted(pod)) == (3, [0, 3])
    assert [one.is_good for one in well.stock().live] == [True]


def test_run_without_repeats_says_nothing_of_them(pod_for: StartPod) -> None:
    """A storage that answers is not worth a word."""
    with pod_for() as pod:
        assert pod.wait() == ExitCode.DONE, pod.said
        assert "were repeated" not in pod.said
        assert "request repeated" not in pod.said
        assert told(pod) == []
        assert pod.result.repeated_requests == 0, "none is a number, too"


def test_repeats_are_told_by_a_run_that_fails(proxy: Proxy, pod_for: StartPod) -> None:
    """Who reads of a storage that was not reached reads how often it was tried."""
    proxy.add(fault.server_error(times=fault.FOR_EVER))
    with pod_for() as pod:
        assert pod.wait() == ExitCode.UNAVAILABLE, pod.said
        assert re.search(r"InternalError.*; 4 storage requests were repeated", pod.result.message), pod.result.message
        assert (pod.result.repeated_requests, pod.result.backup) == (4, None)


def test_slow_storage_makes_a_slow_backup(*, proxy: Proxy, well: Custodian, pod_for: StartPod) -> None:
    """However slowly bytes go in, nothing is given up as long as they go."""
    trouble = proxy.add(fault.slow(5_000_000, DATA))
    before = time.monotonic()
    with pod_for() as pod:
        assert pod.wait() == ExitCode.DONE, pod.said

    assert trouble.struck.is_set()
    assert time.monotonic() - before > 19_200_000 / 5_000_000 / 2, "two parts at once take half as long"
    assert [one.is_good for one in well.stock().live] == [True]


@pytest.mark.parametrize("bytes_per_second", [3_000_000, 20_000])
def test_told_to_end_while_the_storage_is_slow(
    *, proxy: Proxy, well: Custodian, pod_for: StartPod, bytes_per_second: int
) -> None:
    """SIGTERM ends the run before Kubernetes would, whether the part at hand can be finished or not; the next run succeeds."""
    trouble = proxy.add(fault.slow(bytes_per_second, DATA))
    with pod_for() as pod:
        assert trouble.struck.wait(30), pod.said
        pod.terminate()
        code = pod.wait(KUBERNETES_WAITS_SECONDS)
        assert (code, pod.result.reason) == (ExitCode.UNAVAILABLE, Reason.INTERRUPTED), pod.said
    proxy.heal()
    assert wait_until(lambda: not well.backends(), 20), well.backends()
    assert well.outcome(compression=PLAIN)[0] is Reason.SUCCEEDED


def test_storage_that_stops_in_the_middle_is_waited_for(*, proxy: Proxy, well: Custodian, pod_for: StartPod) -> None:
    """A download that stands still and is broken off goes on where it was; what was read before is not read again."""
    trouble = proxy.add(fault.held(r"GET \S+/whole\.pgc", where=fault.Where.ANSWER))
    with pod_for() as pod:
        assert trouble.struck.wait(30), pod.said
        proxy.cut()
        trouble.release.set()
        assert pod.wait() == ExitCode.DONE, pod.said
    assert [one.is_good for one in well.stock().live] == [True]


@pytest.fixture(scope="module")
def clock_library() -> str:
    """Return the library that gives a process another time."""
    require(["faketime"])
    assert shutil.which("faketime")
    (library,) = Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
    return str(library)


@pytest.mark.parametrize(
    ("offset", "words"),
    [
        pytest.param("-20m", r"our clock is 1[12]\d\d s behind the store's", id="behind"),
        pytest.param("+20m", r"our clock is 1[12]\d\d s ahead of the store's", id="ahead"),
    ],
)
def test_clocks_that_differ_are_told(
    *, s3: S3Server, bucket: str, pod_for: StartPod, clock_library: str, offset: str, words: str
) -> None:
    """A process whose clock is off by more than S3 bears with is refused with which way and how far, and has written nothing."""
    clock = {"LD_PRELOAD": clock_library, "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    with pod_for(**clock) as pod:
        assert pod.wait() == ExitCode.UNAVAILABLE, pod.said
        result = pod.result

    assert result.reason is Reason.STORAGE_UNREACHABLE
    assert re.search(words + r" .*RequestTimeTooSkewed", result.message), result.message
    assert s3.keys(bucket) == []
