"""The pod of a Job: the `restricted` profile of Kubernetes, no token, and every Secret optional."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dbcustody.api.database import Connection, Role, Roles, Tls
from dbcustody.api.job_template import JobTemplate, Resources, Toleration
from dbcustody.api.meta import ObjectRef, SecretKeyRef
from dbcustody.api.policy import CaptureOptions, Level, Scratch, Verification
from dbcustody.api.storage import S3, AccessMode, BackupStorageSpec, Encryption, Volume
from dbcustody.contract import MOUNT_ROOT, JobRequest, Mount, Verb, load_request
from dbcustody.plan.pod import CONTAINER, DEFAULT_RESOURCES, pod_template
from tests.fakes.seen import IMAGE, database

S3_ALL = S3(
    bucket="b",
    credentials_secret_ref=ObjectRef(name="s3-key"),
    ca_secret_ref=SecretKeyRef(name="s3-ca", key="ca.crt"),
)
BUCKET = BackupStorageSpec(
    s3=S3_ALL, encryption=Encryption(keyring_secret_ref=ObjectRef(name="keyring"), active_key_id="k1")
)
BARE_BUCKET = BackupStorageSpec(s3=S3(bucket="b"), acknowledge_unencrypted=True)
DISK = BackupStorageSpec(volume=Volume(claim_name="disk"), acknowledge_unencrypted=True)
SHOP = database().spec
GUARDED = replace(
    SHOP,
    connection=Connection(
        secret_ref=ObjectRef(name="shop-app"), tls=Tls(ca_secret_ref=SecretKeyRef(name="shop-ca", key="ca.crt"))
    ),
    roles=Roles(backup=Role(secret_ref=ObjectRef(name="shop-backup"))),
)
LABELS = {"dbcustody.dev/verb": "backup"}


def template(job: JobTemplate | None = None, *, is_tied: bool = True, **request: Any) -> dict[str, Any]:
    """Return the pod template for *request*, of `shop` in a bucket unless it says otherwise."""
    values: dict[str, Any] = {"verb": Verb.BACKUP, "namespace": "team", "name": "monday", "owner_uid": "u"}
    asked = JobRequest(**(values | {"database": SHOP, "storage": BUCKET, "storage_name": "main"} | request))
    return pod_template(asked, job or JobTemplate(), image=IMAGE, labels=LABELS, is_tied=is_tied)


def container(**request: Any) -> dict[str, Any]:
    """Return its one container."""
    (found,) = template(**request)["spec"]["containers"]
    return dict(found)


TESTED = CaptureOptions(
    verification=Verification(level=Level.RESTORE, image="postgres:17", scratch=Scratch(size_bytes=1))
)
CASES = {
    "bucket": {},
    "restore-test": {"options": TESTED},
    "volume": {"storage": DISK},
    "inspection": {"verb": Verb.INSPECT, "storage": None},
    "probe": {"verb": Verb.PROBE, "database": None},
}


@pytest.mark.parametrize("request_", CASES.values(), ids=CASES.keys())
def test_pods_meet_the_restricted_profile(request_: dict[str, Any]) -> None:
    """Each control of https://kubernetes.io/docs/concepts/security/pod-security-standards/ (restricted) is met by every pod."""
    spec, box = template(**request_)["spec"], container(**request_)
    pod_context, context = spec["securityContext"], box["securityContext"]

    assert not {"hostNetwork", "hostPID", "hostIPC", "ephemeralContainers"} & spec.keys()
    assert ("initContainers" in spec) is ("options" in request_)
    assert pod_context["runAsNonRoot"] is True
    assert pod_context["runAsUser"] != 0
    assert pod_context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert context == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "ports" not in box
    kinds = {kind for volume in spec["volumes"] for kind in volume if kind != "name"}
    assert kinds <= {"secret", "persistentVolumeClaim", "emptyDir"}


@pytest.mark.parametrize("request_", CASES.values(), ids=CASES.keys())
def test_a_stolen_pod_cannot_talk_to_the_api_server(request_: dict[str, Any]) -> None:
    """No token is mounted, and no service is told by the environment."""
    spec = template(JobTemplate(service_account_name="workload"), **request_)["spec"]

    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert spec["serviceAccountName"] == "workload"


SECRETS = {
    "bucket-with-everything": (
        {"database": GUARDED},
        {
            Mount.CONNECTION: "shop-backup",
            Mount.CONNECTION_CA: "shop-ca",
            Mount.S3_CREDENTIALS: "s3-key",
            Mount.S3_CA: "s3-ca",
            Mount.KEYRING: "keyring",
        },
    ),
    "bare-bucket": ({"storage": BARE_BUCKET}, {Mount.CONNECTION: "shop-app"}),
    "volume": ({"storage": DISK}, {Mount.CONNECTION: "shop-app"}),
    "probe": (
        {"database": None},
        {Mount.S3_CREDENTIALS: "s3-key", Mount.S3_CA: "s3-ca", Mount.KEYRING: "keyring"},
    ),
    "inspection": ({"storage": None}, {Mount.CONNECTION: "shop-app"}),
}


@pytest.mark.parametrize(("request_", "expected"), SECRETS.values(), ids=SECRETS.keys())
def test_every_secret_is_optional_and_mounted_to_be_read(request_: dict[str, Any], expected: dict[Mount, str]) -> None:
    """A missing Secret leaves an empty folder, so that the worker itself says which one; nobody else may read it."""
    spec, box = template(**request_)["spec"], container(**request_)
    secrets = {one["name"]: one["secret"] for one in spec["volumes"] if "secret" in one}
    mounts = {one["name"]: one for one in box["volumeMounts"]}

    assert {name: secret["secretName"] for name, secret in secrets.items()} == expected
    assert all(secret["optional"] is True and secret["defaultMode"] == 0o440 for secret in secrets.values())
    assert all(mounts[name]["readOnly"] is True for name in secrets)
    assert all(mounts[name]["mountPath"] == f"{MOUNT_ROOT}/{name}" for name in secrets)


@pytest.mark.parametrize("name", [Mount.CONNECTION_CA, Mount.S3_CA])
def test_of_a_ca_secret_only_the_certificate_is_mounted(name: Mount) -> None:
    """A private key that lies in the same Secret does not come along."""
    volumes = {one["name"]: one for one in template(database=GUARDED)["spec"]["volumes"]}

    assert volumes[name]["secret"]["items"] == [{"key": "ca.crt", "path": "ca.crt"}]


@pytest.mark.parametrize(
    ("mode", "is_read_only"), [(AccessMode.READ_WRITE, False), (AccessMode.READ_ONLY, True)], ids=str
)
def test_a_volume_is_mounted_as_the_storage_says(mode: AccessMode, is_read_only: bool) -> None:  # noqa: FBT001
    """A ReadOnly storage cannot be written even by a broken worker."""
    disk = replace(DISK, access_mode=mode)
    mounts = {one["name"]: one for one in container(storage=disk)["volumeMounts"]}
    volumes = {one["name"]: one for one in template(storage=disk)["spec"]["volumes"]}

    assert volumes[Mount.VOLUME]["persistentVolumeClaim"] == {"claimName": "disk"}
    assert mounts[Mount.VOLUME]["readOnly"] is is_read_only


@pytest.mark.parametrize(
    ("request_", "is_pinned"),
    [
        pytest.param({"storage": DISK}, True, id="volume"),
        pytest.param({}, False, id="bucket"),
        pytest.param({"storage": None}, False, id="no-storage"),
    ],
)
def test_pods_that_share_a_volume_run_on_one_node(request_: dict[str, Any], is_pinned: bool) -> None:  # noqa: FBT001
    """ReadWriteOnce allows several pods on one node and none elsewhere; with a bucket nothing pins a pod."""
    affinity = template(**request_)["spec"].get("affinity")
    term = {
        "labelSelector": {"matchLabels": {"dbcustody.dev/storage": "main"}},
        "topologyKey": "kubernetes.io/hostname",
    }
    expected = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}

    assert affinity == (expected if is_pinned else None)


def test_pods_that_share_a_volume_of_several_nodes_run_anywhere() -> None:
    """ReadWriteMany: a node that is lost must not take the next Job with it."""
    assert "affinity" not in template(storage=DISK, is_tied=False)["spec"]


def test_the_pod_gets_the_request_and_who_it_is() -> None:
    """The request travels whole; pod UID and Job name come by the downward API; no Secret is named in a variable."""
    env = {one["name"]: one for one in container()["env"]}

    assert load_request(env["DBCUSTODY_REQUEST"]["value"]).storage == BUCKET
    assert env["DBCUSTODY_ATTEMPT"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.uid"
    assert "job-name" in env["DBCUSTODY_JOB_NAME"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert not any("secretKeyRef" in one.get("valueFrom", {}) for one in env.values())
    assert container()["args"] == ["job", "backup"]


def test_only_tmp_can_be_written() -> None:
    """The one writable folder is an emptyDir of bounded size."""
    volumes = {one["name"]: one for one in template()["spec"]["volumes"]}
    writable = [one["name"] for one in container()["volumeMounts"] if not one.get("readOnly")]

    assert writable == ["tmp"]
    assert volumes["tmp"]["emptyDir"]["sizeLimit"]


def test_what_people_say_about_placement_is_done() -> None:
    """Each field of the `job` block reaches the pod."""
    said = JobTemplate(
        resources=Resources(requests={"cpu": "2"}, limits={"memory": "1Gi"}),
        node_selector={"disk": "fast"},
        tolerations=(Toleration(key="batch", operator="Exists", effect="NoSchedule"),),
        priority_class_name="low",
        service_account_name="workload",
        pod_labels={"team": "shop", "dbcustody.dev/verb": "forged"},
        pod_annotations={"note": "x"},
        image_pull_secrets=(ObjectRef(name="pull"),),
    )
    made = template(said)
    spec = made["spec"]

    assert made["metadata"] == {
        "labels": {"team": "shop", "dbcustody.dev/verb": "backup"},
        "annotations": {"note": "x"},
    }
    assert spec["containers"][0]["resources"] == {"requests": {"cpu": "2"}, "limits": {"memory": "1Gi"}}
    assert (spec["nodeSelector"], spec["priorityClassName"]) == ({"disk": "fast"}, "low")
    assert spec["tolerations"] == [{"key": "batch", "operator": "Exists", "effect": "NoSchedule"}]
    assert spec["imagePullSecrets"] == [{"name": "pull"}]


def test_what_nobody_says_is_left_out() -> None:
    """Kubernetes' own defaults hold, but for the resources."""
    made = template()
    absent = {"nodeSelector", "tolerations", "priorityClassName", "serviceAccountName", "imagePullSecrets"}

    assert not absent & made["spec"].keys()
    assert "annotations" not in made["metadata"]
    assert container()["resources"] == DEFAULT_RESOURCES


def test_the_result_comes_by_the_termination_message() -> None:
    """Kubernetes reads it from the file that the worker writes, under the name that the failure policy means."""
    box = container()

    assert (box["name"], box["terminationMessagePolicy"]) == (CONTAINER, "File")
    assert box["image"] == IMAGE
