"""Migrations out of an image of containers: copied into the pod of a Job before it starts, without running anything that the image holds.

An image of an application need not have a shell, or any program that copies. So a static one is laid beside it, out of our own image, and
runs in the other's file system: as a user without rights, without a token, and with nothing mounted but the folder that it fills. Symbolic
links are followed there, so that none is left that would lead anywhere in the container that holds the password of the database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dbcustody.contract import MOUNT_ROOT, Mount
from dbcustody.plan.restricted import RESTRICTED

if TYPE_CHECKING:
    from dbcustody.api.migration_source import SourceImage

COPIER: Final = "copier"
"""The container that lays the program out, and the folder that it lies in."""
CONTAINER: Final = "source"
"""The container of the image with the files."""
PROGRAM: Final = "/bin/busybox"
"""In our image; linked with nothing."""
FILLERS: Final = frozenset({COPIER, CONTAINER})
"""What has to end well before the worker can start."""
_FOLDER: Final = f"{MOUNT_ROOT}/{Mount.SOURCE_IMAGE}"
_COPY: Final = f"{MOUNT_ROOT}/{COPIER}/busybox"
SIZE: Final = "64Mi"
"""How much may lie in the folder, all that is none of the migrations included."""
_RESOURCES: Final[dict[str, dict[str, str]]] = {
    "requests": {"cpu": "10m", "memory": "32Mi"},
    "limits": {"memory": "256Mi"},
}

Json = dict[str, Any]


def source_parts(source: SourceImage, image: str) -> Json:
    """Return the fields of the pod's spec by which the files of *source* lie in its volume; *image* is ours."""
    program, files = {"name": COPIER, "mountPath": f"{MOUNT_ROOT}/{COPIER}"}, _mount(is_read_only=False)
    laying = _container(COPIER, image, ["cp", PROGRAM, _COPY], [program])
    copying = [_COPY, "cp", "-rL", f"{source.path.rstrip('/')}/.", _FOLDER]
    return {
        "initContainers": [
            laying | {"imagePullPolicy": "IfNotPresent"},
            _container(CONTAINER, source.reference, copying, [program | {"readOnly": True}, files])
            | {"imagePullPolicy": source.pulls.value},
        ],
        "volumes": [
            {"name": COPIER, "emptyDir": {"sizeLimit": SIZE}},
            # in memory, where the limit holds for each write: elsewhere somebody looks once in a while, and ends the pod
            {"name": Mount.SOURCE_IMAGE.value, "emptyDir": {"medium": "Memory", "sizeLimit": SIZE}},
        ],
    }


def source_mount() -> Json:
    """Return where the worker finds the files."""
    return _mount(is_read_only=True)


def _mount(*, is_read_only: bool) -> Json:
    return {"name": Mount.SOURCE_IMAGE.value, "mountPath": _FOLDER, "readOnly": is_read_only}


def _container(name: str, image: str, command: list[str], mounts: list[Json]) -> Json:
    return {
        "name": name,
        "image": image,
        "command": command,
        "resources": _RESOURCES,
        "securityContext": RESTRICTED,
        # what the program complains of stands in its log alone
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    }
