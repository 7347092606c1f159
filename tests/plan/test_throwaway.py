"""The throw-away server beside a worker: as shut as the worker, as large as the database wants, and no obstacle to a backup."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from dbcustody.api.job_template import JobTemplate
from dbcustody.api.policy import CaptureOptions, Level, Scratch, Verification
from dbcustody.contract import MOUNT_ROOT, JobRequest, Verb
from dbcustody.plan.pod import pod_template
from dbcustody.plan.throwaway import (
    LEAST_SCRATCH_BYTES,
    UNKNOWN_SCRATCH_BYTES,
    options_with_server,
    trouble_with_server,
)
from tests.fakes.seen import IMAGE, NOW, SERVER, database, job, pod, running, with_status

if TYPE_CHECKING:
    from dbcustody.api.database import Server

GIB = 1 << 30
RESTORE = Verification(level=Level.RESTORE)


def options(verification: Verification = RESTORE, server: Server | None = SERVER) -> CaptureOptions:
    """Return the options with everything said about the server, for a database on *server* (None: not looked at yet)."""
    return options_with_server(CaptureOptions(verification=verification), with_status(database(), server=server))


def spec(verification: Verification = RESTORE, **request: Any) -> dict[str, Any]:
    """Return the spec of the pod that takes a backup at the level of *verification*."""
    asked = JobRequest(verb=Verb.BACKUP, namespace="team", name="monday", owner_uid="u", options=options(verification))
    template = pod_template(replace(asked, **request), JobTemplate(), image=IMAGE, labels={})
    return dict(template["spec"])


@pytest.mark.parametrize(
    ("wanted", "server", "image", "size_bytes"),
    [
        pytest.param(RESTORE, None, "postgres:18", UNKNOWN_SCRATCH_BYTES, id="not-looked-at-yet"),
        pytest.param(RESTORE, SERVER, "postgres:17", UNKNOWN_SCRATCH_BYTES, id="size-is-not-known"),
        pytest.param(RESTORE, replace(SERVER, size_bytes=0), "postgres:17", LEAST_SCRATCH_BYTES, id="empty"),
        pytest.param(RESTORE, replace(SERVER, size_bytes=3 * GIB), "postgres:17", 8 * GIB, id="at-least-twice"),
        pytest.param(RESTORE, replace(SERVER, size_bytes=4 * GIB), "postgres:17", 16 * GIB, id="room-to-grow"),
        pytest.param(
            replace(RESTORE, image="own/postgis:3", scratch=Scratch(size_bytes=5 * GIB)),
            SERVER,
            "own/postgis:3",
            5 * GIB,
            id="as-people-said",
        ),
        pytest.param(
            replace(RESTORE, scratch=Scratch(storage_class_name="fast")),
            SERVER,
            "postgres:17",
            UNKNOWN_SCRATCH_BYTES,
            id="only-where",
        ),
    ],
)
def test_what_people_left_open_is_decided(
    wanted: Verification, server: Server | None, image: str, size_bytes: int
) -> None:
    """The operator writes down which server exactly, and how much room it has; the Job reads that and guesses nothing."""
    found = options(wanted, server).verification

    assert (found.image, found.scratch and found.scratch.size_bytes) == (image, size_bytes)
    assert (found.level, found.scratch and found.scratch.storage_class_name) == (
        Level.RESTORE,
        wanted.scratch and wanted.scratch.storage_class_name,
    )


@pytest.mark.parametrize("level", [Level.CHECKSUM, Level.READ])
def test_other_levels_have_no_server(level: Level) -> None:
    """Whoever does not ask for a restore gets the pod of before."""
    wanted = Verification(level=level)

    assert options(wanted).verification == wanted
    assert "initContainers" not in spec(wanted)
    assert len(spec(wanted)["volumes"]) == 1


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param({"verb": Verb.SETTLE}, id="another-verb"),
        pytest.param({"options": None}, id="no-options"),
        pytest.param({"untestable": "no image"}, id="it-could-not-start"),
    ],
)
def test_who_makes_no_test_has_no_server(request_: dict[str, Any]) -> None:
    """Only the run that may test has a server beside it."""
    assert "initContainers" not in spec(**request_)


def test_the_server_is_as_shut_as_the_worker() -> None:
    """It meets the `restricted` profile, has no port and no Secret, and shares with the worker nothing but the folder of its socket."""
    found = spec()
    (server,), (worker,) = found["initContainers"], found["containers"]
    ours, theirs = ({mount["name"] for mount in box["volumeMounts"]} for box in (worker, server))
    kinds = {one["name"]: {kind for kind in one if kind != "name"} for one in found["volumes"]}

    assert server["restartPolicy"] == "Always"
    assert server["securityContext"] == {
        "runAsUser": 999,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"ports", "env", "envFrom"} & server.keys()
    assert "listen_addresses=" in server["args"]
    assert f"unix_socket_directories={MOUNT_ROOT}/test-server" in server["args"]
    assert ours & theirs == {"test-server"}
    assert [one["readOnly"] for one in worker["volumeMounts"] if one["name"] == "test-server"] == [True]
    assert {kinds[name] == {"emptyDir"} for name in theirs} == {True}
    assert {"requests", "limits"} == server["resources"].keys()


def test_its_data_lies_where_people_say() -> None:
    """On the node's disk up to a bound, or on a volume that is made for the test and goes with it."""
    scratch = Scratch(size_bytes=GIB, storage_class_name="fast")
    near, far = (
        next(one for one in spec(wanted)["volumes"] if one["name"] == "test-data")
        for wanted in (RESTORE, replace(RESTORE, scratch=scratch))
    )

    assert near["emptyDir"] == {"sizeLimit": str(UNKNOWN_SCRATCH_BYTES)}
    assert far["ephemeral"]["volumeClaimTemplate"]["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "fast",
        "resources": {"requests": {"storage": str(GIB)}},
    }


WITHOUT_IMAGE = {"waiting_reason": "ErrImagePull", "waiting_message": "no such image", "lacks_server": True}


@pytest.mark.parametrize(
    ("seen", "seconds", "is_trouble"),
    [
        pytest.param(job("j", pods=(pod(**WITHOUT_IMAGE),), has_server=True), 100, False, id="image-may-come"),
        pytest.param(job("j", pods=(pod(**WITHOUT_IMAGE),), has_server=True), 120, True, id="image-does-not-come"),
        pytest.param(
            job("j", pods=(pod(**(WITHOUT_IMAGE | {"lacks_server": False})),), has_server=True),
            9999,
            False,
            id="image-of-the-worker",
        ),
        pytest.param(job("j", pods=(pod(**WITHOUT_IMAGE),)), 9999, False, id="no-server"),
        pytest.param(job("j", pods=(pod(unscheduled="full"),), has_server=True), 500, False, id="node-may-come"),
        pytest.param(job("j", pods=(pod(unscheduled="full"),), has_server=True), 600, True, id="no-node-comes"),
        pytest.param(job("j", has_server=True, warnings=("exceeded quota",)), 600, True, id="no-pod-is-made"),
        pytest.param(running("j", has_server=True), 9999, False, id="it-runs"),
        pytest.param(
            job("j", pods=(pod(unscheduled="full", created_time=None),), has_server=True), 9999, True, id="timeless-pod"
        ),
    ],
)
def test_when_a_run_goes_on_without(seen: Any, seconds: float, is_trouble: bool) -> None:  # noqa: FBT001 - of the table
    """Only what the server may be the cause of, and only after a while; the text says what Kubernetes said."""
    start = (seen.pods[0].created_time if seen.pods else None) or seen.created_time
    found = trouble_with_server(seen, start + timedelta(seconds=seconds))

    assert is_trouble is (found is not None)


def test_a_job_of_no_time_is_waited_for() -> None:
    """Without any time nobody can say how long it has waited."""
    timeless = job("j", pods=(pod(unscheduled="full", created_time=None),), has_server=True)
    timeless = replace(timeless, metadata=replace(timeless.metadata, creation_timestamp=None))

    assert trouble_with_server(timeless, NOW) is None
