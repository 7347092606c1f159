"""The pod of a Job: one container that may do nothing but its work, under the `restricted` profile of Kubernetes.

A restore test has a throw-away server beside it (`throwaway`), under the same profile.

Every Secret is mounted as optional, so that the worker itself says which one is missing; no token of the API is mounted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dbcustody.api.storage import AccessMode
from dbcustody.codec import encode
from dbcustody.contract import (
    ATTEMPT_VARIABLE,
    JOB_NAME_VARIABLE,
    MOUNT_ROOT,
    REQUEST_VARIABLE,
    Mount,
    dump_request,
    opened_by,
)
from dbcustody.naming import LABEL_STORAGE, label_value
from dbcustody.plan.image_source import source_mount, source_parts
from dbcustody.plan.restricted import RESTRICTED
from dbcustody.plan.throwaway import server_parts, socket_mount

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dbcustody.api.database import DatabaseSpec
    from dbcustody.api.job_template import JobTemplate
    from dbcustody.api.meta import SecretKeyRef
    from dbcustody.api.storage import S3, BackupStorageSpec
    from dbcustody.contract import JobRequest, Verb

CONTAINER: Final = "job"
USER: Final = 65532
"""The customary number of a user without rights; files of mounted volumes belong to its group."""
GRACE_SECONDS: Final = 60
DEFAULT_RESOURCES: Final[dict[str, dict[str, str]]] = {
    "requests": {"cpu": "100m", "memory": "256Mi"},
    "limits": {"memory": "512Mi"},
}
_SECRET_MODE: Final = 0o440
_TMP_SIZE: Final = "64Mi"

Json = dict[str, Any]


def pod_template(
    request: JobRequest, template: JobTemplate, *, image: str, labels: Mapping[str, str], is_tied: bool = True
) -> Json:
    """Return the pod template of the Job that does *request*; *labels* win over those that people chose.

    *is_tied* keeps pods that use the same volume on one node.
    """
    metadata: Json = {"labels": {**template.pod_labels, **labels}}
    if template.pod_annotations:
        metadata["annotations"] = dict(template.pod_annotations)
    spec = _pod_spec(request, template, image) | (_beside_the_volume(request) if is_tied else {})
    return {"metadata": metadata, "spec": spec}


def _pod_spec(request: JobRequest, template: JobTemplate, image: str) -> Json:
    volumes, server = list(_volumes(request)), server_parts(request)
    spec: Json = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(request, template, image, [name for name, _ in volumes])],
        "volumes": [source for _, source in volumes] + [{"name": "tmp", "emptyDir": {"sizeLimit": _TMP_SIZE}}],
    }
    if server:
        _add(spec, server, socket_mount())
    if request.migration is not None and request.migration.image is not None:
        _add(spec, source_parts(request.migration.image, image), source_mount())
    return spec | _placement(template)


def _add(spec: Json, parts: Json, mount: Json) -> None:
    """Add *parts* to the pod's *spec*, and *mount* to its worker."""
    spec["initContainers"] = parts["initContainers"]
    spec["volumes"] += parts["volumes"]
    spec["containers"][0]["volumeMounts"].append(mount)


def _container(request: JobRequest, template: JobTemplate, image: str, mounts: list[str]) -> Json:
    return {
        "name": CONTAINER,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["job", request.verb.value],
        "env": _environment(request),
        "resources": encode(template.resources) if template.resources is not None else DEFAULT_RESOURCES,
        "securityContext": RESTRICTED,
        "terminationMessagePolicy": "File",
        "volumeMounts": [
            {
                "name": name,
                "mountPath": f"{MOUNT_ROOT}/{name}",
                "readOnly": name != Mount.VOLUME or _is_read_only(request),
            }
            for name in mounts
        ]
        + [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - in the pod: an emptyDir of its own
    }


def _environment(request: JobRequest) -> list[Json]:
    return [
        {"name": REQUEST_VARIABLE, "value": dump_request(request)},
        {"name": ATTEMPT_VARIABLE, "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
        {
            "name": JOB_NAME_VARIABLE,
            "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['batch.kubernetes.io/job-name']"}},
        },
        {"name": "HOME", "value": "/tmp"},  # noqa: S108 - as above
    ]


def _placement(template: JobTemplate) -> Json:
    """Return what people said about where the pods run."""
    placed: Json = {
        "nodeSelector": dict(template.node_selector),
        "tolerations": [encode(one) for one in template.tolerations],
        "priorityClassName": template.priority_class_name,
        "serviceAccountName": template.service_account_name,
        "imagePullSecrets": [encode(one) for one in template.image_pull_secrets],
    }
    return {name: value for name, value in placed.items() if value}


def _beside_the_volume(request: JobRequest) -> Json:
    """Pods that share a volume run on one node: ReadWriteOnce allows several pods there and none elsewhere."""
    if request.storage is None or request.storage.volume is None:
        return {}
    same = {
        "labelSelector": {"matchLabels": {LABEL_STORAGE: label_value(request.storage_name or "")}},
        "topologyKey": "kubernetes.io/hostname",
    }
    return {"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [same]}}}


def _is_read_only(request: JobRequest) -> bool:
    return request.storage is not None and request.storage.access_mode is AccessMode.READ_ONLY


def _volumes(request: JobRequest) -> Iterator[tuple[str, Json]]:
    """Yield what *request* needs mounted: name of the mount and the volume."""
    sources: list[tuple[Mount, Json]] = []
    if request.database is not None:
        sources += _database_sources(request.database, request.verb)
    if request.storage is not None:
        sources += _storage_sources(request.storage)
    for mount, source in sources:
        yield mount.value, {"name": mount.value, **source}
    for number, reference in enumerate(request.migration.config_map_refs if request.migration is not None else ()):
        name = f"{Mount.SOURCE}-{number}"
        yield name, {"name": name, "configMap": {"name": reference.name, "optional": True, "defaultMode": _SECRET_MODE}}


def _database_sources(database: DatabaseSpec, verb: Verb) -> Iterator[tuple[Mount, Json]]:
    yield Mount.CONNECTION, _secret(opened_by(database, verb).name)
    ca = database.connection.tls.ca_secret_ref
    if ca is not None:
        yield Mount.CONNECTION_CA, _one_key(ca)


def _storage_sources(storage: BackupStorageSpec) -> Iterator[tuple[Mount, Json]]:
    if storage.s3 is not None:
        yield from _bucket_sources(storage.s3)
    if storage.volume is not None:
        yield Mount.VOLUME, {"persistentVolumeClaim": {"claimName": storage.volume.claim_name}}
    if storage.encryption is not None:
        yield Mount.KEYRING, _secret(storage.encryption.keyring_secret_ref.name)


def _bucket_sources(s3: S3) -> Iterator[tuple[Mount, Json]]:
    if s3.credentials_secret_ref is not None:
        yield Mount.S3_CREDENTIALS, _secret(s3.credentials_secret_ref.name)
    if s3.ca_secret_ref is not None:
        yield Mount.S3_CA, _one_key(s3.ca_secret_ref)


def _secret(name: str) -> Json:
    return {"secret": {"secretName": name, "optional": True, "defaultMode": _SECRET_MODE}}


def _one_key(reference: SecretKeyRef) -> Json:
    source = _secret(reference.name)
    source["secret"]["items"] = [{"key": reference.key, "path": reference.key}]
    return source
