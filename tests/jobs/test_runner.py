"""The frame around every verb: whatever happens inside, a result and an exit code come out, and no secret does."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from dbcustody.api.backup import Progress, Stage
from dbcustody.api.database import Connection, DatabaseSpec
from dbcustody.api.meta import ObjectRef
from dbcustody.api.storage import BackupStorageSpec, Volume
from dbcustody.cli.main import VERBS
from dbcustody.contract import (
    ATTEMPT_VARIABLE,
    REQUEST_VARIABLE,
    JobRequest,
    JobResult,
    Mount,
    RecordKind,
    Verb,
    digest_of,
    dump_request,
    load_result,
    unframe,
)
from dbcustody.errors import DamagedError, InterruptedRunError, RefusedError, UnavailableError
from dbcustody.jobs.mounts import CLIENTS_VARIABLE
from dbcustody.jobs.runner import Surroundings, _find_work, main
from dbcustody.jobs.tools import check_stop
from dbcustody.jobs.verdict import fail, give
from dbcustody.reason import ExitCode, Reason
from ground.postgres import PostgresServer
from ground.root import client_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dbcustody.contract import Record
    from dbcustody.jobs.runner import Work
    from dbcustody.jobs.tools import Tools

CANARY = "c4nary-p4ssword"
REQUEST = JobRequest(
    verb=Verb.INSPECT, namespace="web", name="shop", owner_uid="u", custody_id="web.shop",
    database=DatabaseSpec(connection=Connection(secret_ref=ObjectRef(name="shop-app"))),
)  # fmt: skip
ENVIRON = {REQUEST_VARIABLE: dump_request(REQUEST), ATTEMPT_VARIABLE: "uid-1"}


class Pod:
    """A pod's surroundings in a folder; remembers everything that the Job says."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "mounts"
        self.root.mkdir()
        self.termination = folder / "termination-log"
        self.stdout, self.stderr = io.StringIO(), io.StringIO()
        self.left_with: list[int] = []

    def run(self, work: Work | None = None, environ: dict[str, str] | None = None, **changes: Any) -> int:
        """Run the verb inspect, with *work* in its place if given."""
        around = Surroundings(
            termination_file=self.termination, mount_root=self.root, stdout=self.stdout, stderr=self.stderr,
            find_work=None if work is None else lambda _: work, leave=self.left_with.append,
        )  # fmt: skip
        return main("inspect", ENVIRON if environ is None else environ, replace(around, **changes))

    @property
    def records(self) -> list[Record]:
        """The framed records on standard output."""
        return [record for line in self.stdout.getvalue().splitlines() if (record := unframe(line)) is not None]

    @property
    def result(self) -> JobResult:
        """The result in the termination message."""
        return load_result(self.termination.read_text())

    @property
    def everything(self) -> str:
        """Every byte that the Job said anywhere."""
        return self.stdout.getvalue() + self.stderr.getvalue() + self.termination.read_text()


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[Pod]:
    """Return a pod; the process's own logging comes back afterwards."""
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    yield Pod(tmp_path)
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)
    structlog.reset_defaults()


def test_result_comes_back_twice(pod: Pod) -> None:
    """Termination message and standard output say the same, tied to the request and the attempt."""
    code = pod.run(lambda request, _: give(request.verb, Reason.CONNECTED, "all well"))

    assert code == 0
    assert (pod.result.reason, pod.result.message) == (Reason.CONNECTED, "all well")
    assert (pod.result.attempt, pod.result.request_sha256) == ("uid-1", digest_of(ENVIRON[REQUEST_VARIABLE]))
    assert [record.kind for record in pod.records] == [RecordKind.RESULT]
    assert load_result(json.dumps(pod.records[0].data)) == pod.result


def raising(error: Exception) -> Work:
    """Return work that ends with *error*."""

    def work(_: JobRequest, __: Tools) -> JobResult:
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "reason", "code"),
    [
        pytest.param(
            RefusedError("no", reason=Reason.AUTHENTICATION_FAILED), Reason.AUTHENTICATION_FAILED, 10, id="refused"
        ),
        pytest.param(UnavailableError("later"), Reason.CONNECTION_LOST, 20, id="unavailable"),
        pytest.param(DamagedError("bad"), Reason.ARCHIVE_DAMAGED, 10, id="damaged"),
        pytest.param(InterruptedRunError("stopped"), Reason.INTERRUPTED, 20, id="interrupted"),
        pytest.param(
            RefusedError("odd", reason=Reason.SUCCEEDED), Reason.INTERNAL_ERROR, 30, id="error-with-a-good-reason"
        ),
    ],
)
def test_each_error_has_its_exit_code(pod: Pod, error: Exception, reason: Reason, code: int) -> None:
    """The reason decides how the process ends, and with it whether Kubernetes tries again."""
    assert pod.run(raising(error)) == code
    assert (pod.result.reason, int(pod.result.exit_code)) == (reason, code)


def test_unforeseen_exception_tells_its_class_alone(pod: Pod) -> None:
    """A bug ends with 30; its text, which may hold values, is nowhere, its place is in the log."""
    assert pod.run(raising(KeyError(CANARY))) == int(ExitCode.BUG)

    assert (pod.result.reason, pod.result.message) == (
        Reason.INTERNAL_ERROR,
        "inspect: KeyError; the Job's log says where",
    )
    assert CANARY not in pod.everything
    assert "raising" in pod.stderr.getvalue() or "work" in pod.stderr.getvalue()


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        pytest.param({}, Reason.INVALID_SPEC, id="no-request"),
        pytest.param({REQUEST_VARIABLE: "{"}, Reason.INVALID_SPEC, id="not-json"),
        pytest.param({REQUEST_VARIABLE: '{"contract": 99}'}, Reason.CONTRACT_UNKNOWN, id="newer-contract"),
        pytest.param(
            {REQUEST_VARIABLE: dump_request(replace(REQUEST, verb=Verb.PROBE))}, Reason.INVALID_SPEC, id="another-verb"
        ),
    ],
)
def test_request_that_cannot_be_meant_is_refused(pod: Pod, environ: dict[str, str], reason: Reason) -> None:
    """A Job without a request of its own kind does nothing and says why."""
    assert pod.run(raising(AssertionError("must not run")), environ) == 10
    assert pod.result.reason is reason


def test_sigterm_ends_the_work(pod: Pod) -> None:
    """SIGTERM sets the stop event; the run ends as Interrupted, which Kubernetes tries again; the handlers of before come back."""
    before = signal.getsignal(signal.SIGTERM)

    def work(_: JobRequest, tools: Tools) -> JobResult:
        os.kill(os.getpid(), signal.SIGTERM)
        assert tools.stop.wait(10)
        check_stop(tools)
        raise AssertionError("unreachable")

    assert pod.run(work) == 20
    assert pod.result.reason is Reason.INTERRUPTED
    assert signal.getsignal(signal.SIGTERM) is before


def test_connection_that_breaks_while_stopping_is_an_interruption(pod: Pod) -> None:
    """What fails because of the stop is told as the stop."""

    def work(_: JobRequest, tools: Tools) -> JobResult:
        tools.stop.set()
        raise UnavailableError("server closed the connection")

    assert pod.run(work) == 20
    assert pod.result.reason is Reason.INTERRUPTED
    assert "server closed the connection" in pod.result.message


def test_run_past_its_time_is_timed_out(pod: Pod) -> None:
    """The worker keeps its own deadline, and that is not tried again."""
    environ = ENVIRON | {REQUEST_VARIABLE: dump_request(replace(REQUEST, timeout_seconds=0))}

    def work(_: JobRequest, tools: Tools) -> JobResult:
        assert tools.stop.wait(10)
        check_stop(tools)
        raise AssertionError("unreachable")

    assert pod.run(work, environ) == 10
    assert pod.result.reason is Reason.TIMED_OUT


def test_work_that_does_not_listen_is_cut_off(pod: Pod) -> None:
    """After the grace the result is written and the process left, whatever the work is stuck in."""
    environ = ENVIRON | {REQUEST_VARIABLE: dump_request(replace(REQUEST, timeout_seconds=0))}
    left = threading.Event()

    def leave(code: int) -> None:
        pod.left_with.append(code)
        left.set()

    def deaf(request: JobRequest, _: Tools) -> JobResult:
        assert left.wait(10)
        assert pod.result.reason is Reason.TIMED_OUT
        return give(request.verb, Reason.CONNECTED)

    pod.run(deaf, environ, leave=leave, grace_seconds=0.05)

    assert pod.left_with == [10]


def test_cut_off_run_tells_what_it_had_to_repeat(pod: Pod) -> None:
    """A storage may be what holds a run up until its time is over: the last word counts its repeats like every other."""
    storage = BackupStorageSpec(volume=Volume(claim_name="backups"))
    request = replace(REQUEST, timeout_seconds=0, storage_name="main", storage=storage)
    (pod.root / Mount.VOLUME).mkdir()
    left = threading.Event()

    def deaf(request: JobRequest, tools: Tools) -> JobResult:
        tools.store()
        assert left.wait(10)
        return give(request.verb, Reason.CONNECTED)

    def leave(code: int) -> None:
        pod.left_with.append(code)
        last_words.append(pod.result)
        left.set()

    last_words: list[JobResult] = []
    pod.run(deaf, ENVIRON | {REQUEST_VARIABLE: dump_request(request)}, leave=leave, grace_seconds=0.05)

    assert (last_words[0].reason, last_words[0].repeated_requests) == (Reason.TIMED_OUT, 0)


def test_run_that_opens_no_storage_counts_no_repeats(pod: Pod) -> None:
    """Not asked is something else than never asked twice."""
    assert pod.run(lambda request, _: give(request.verb, Reason.CONNECTED)) == 0
    assert pod.result.repeated_requests is None


def test_listener_who_left_is_no_failure(pod: Pod) -> None:
    """When nobody reads standard output any more, the work goes on and the termination message is written."""
    reading, writing = os.pipe()
    os.close(reading)

    def work(request: JobRequest, tools: Tools) -> JobResult:
        for percent in range(3):
            tools.report(Progress(stage=list(Stage)[percent], summary="x", percent=percent))
        return give(request.verb, Reason.CONNECTED)

    with os.fdopen(writing, "w") as deaf:
        assert pod.run(work, stdout=deaf) == 0
    assert pod.result.reason is Reason.CONNECTED


def test_message_of_a_failure_loses_what_looks_like_a_secret() -> None:
    """A verdict's message is redacted, wherever it came from."""
    assert CANARY not in fail(Verb.BACKUP, Reason.DUMP_FAILED, f"postgresql://app:{CANARY}@db/shop").message


def test_real_inspection_keeps_the_password_to_itself(pod: Pod) -> None:
    """On a real server, from the mounted Secret to the result: the password is nowhere, and a corrected one is picked up."""
    folder = pod.root / Mount.CONNECTION
    folder.mkdir()
    environ = ENVIRON | {CLIENTS_VARIABLE: str(client_folder(17))}
    with PostgresServer(17) as server:
        server.execute(f"create role app login password '{CANARY}'", "create database shop owner app")
        url = f"postgresql://app:{{}}@{server.host}:{server.port}/shop?sslmode=disable"
        (folder / "url").write_text(url.format(f"wrong-{CANARY}"))
        refused = pod.run(environ=environ)
        reason = pod.result.reason
        (folder / "url").write_text(url.format(CANARY))
        done = pod.run(environ=environ)

    assert (refused, reason) == (10, Reason.AUTHENTICATION_FAILED)
    assert (done, pod.result.reason) == (0, Reason.CONNECTED)
    assert pod.result.inspection is not None
    assert pod.result.inspection.endpoint == f"{server.host}:{server.port}"
    assert CANARY not in pod.everything


def test_missing_secret_is_said_at_once(pod: Pod) -> None:
    """Without a mounted Secret the Job says which one is missing, and is tried again."""
    assert pod.run() == 20
    assert pod.result.reason is Reason.SECRET_NOT_FOUND
    assert "'shop-app'" in pod.result.message


def test_every_verb_has_its_work_and_its_command() -> None:
    """What the operator may ask for, the image's command line takes, and a module does."""
    assert [verb.value for verb in Verb] == VERBS
    assert [callable(_find_work(verb)) for verb in Verb] == [True] * len(Verb)
