"""The throw-away server of a restore test: a PostgreSQL beside the worker, in the same pod, that nobody else can reach.

It goes with its pod, and listens on a socket in a folder that the two share, and on no network. Its data may be lost at any time, so
nothing waits for a disk; its log names no row: complaints of sessions are not logged, and what is logged has no details.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from math import log2
from typing import TYPE_CHECKING, Any, Final

from dbcustody.api.policy import CaptureOptions, Level, Scratch
from dbcustody.contract import MOUNT_ROOT, TEST_SERVER_SAID, TEST_SUPERUSER, Mount, Verb
from dbcustody.plan.job_lifecycle import Stand, judge, newest_pod
from dbcustody.plan.restricted import RESTRICTED
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from datetime import datetime

    from dbcustody.api.database import Database
    from dbcustody.api.policy import Verification
    from dbcustody.contract import JobRequest
    from dbcustody.plan.observed import SeenJob

SERVER: Final = "test-server"
"""The container's name, and that of the folder with its socket."""
DATA: Final = "test-data"
NEWEST_MAJOR: Final = 18
"""What a database of an unknown version is restored on: an older backup goes into a newer server, never the other way round."""
SERVER_USER: Final = 999
"""The number that the public image gives to the user postgres; in an image where it has no name, nss_wrapper lends one."""
RESOURCES: Final[dict[str, dict[str, str]]] = {
    "requests": {"cpu": "100m", "memory": "256Mi"},
    "limits": {"memory": "1Gi"},
}
IMAGE_PATIENCE: Final = timedelta(seconds=120)
"""How long a run waits for the image of its throw-away server before it begins without."""
PLACE_PATIENCE: Final = timedelta(minutes=10)
"""How long it waits for a node on which both have room; some clusters make one first."""
_REFUSED: Final = frozenset({Reason.IMAGE_NOT_AVAILABLE, Reason.POD_NOT_CREATED})
LEAST_SCRATCH_BYTES: Final = 1 << 30
UNKNOWN_SCRATCH_BYTES: Final = 10 << 30
"""Room for a database whose size nobody knows yet."""
_SOCKETS: Final = f"{MOUNT_ROOT}/{SERVER}"
_DATA_FOLDER: Final = f"{MOUNT_ROOT}/{DATA}"
_SETTINGS: Final = {
    "listen_addresses": "",
    "unix_socket_directories": _SOCKETS,
    "port": "5432",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "dynamic_shared_memory_type": "mmap",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_min_messages": "fatal",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_statement": "none",
}
"""`mmap`, because a container has 64 MiB of shared memory only, and building indexes side by side takes more."""
_SCRIPT: Final = f"""\
set -u
umask 077
said={_SOCKETS}/{TEST_SERVER_SAID}
rm -rf "$said" {_SOCKETS}/.s.PGSQL.* {_DATA_FOLDER}/data
for folder in /usr/lib/postgresql/*/bin /usr/local/pgsql/bin /opt/bitnami/postgresql/bin; do
  [ -x "$folder/initdb" ] && PATH="$PATH:$folder"
done
export PATH
if ! id -un >/tmp/said 2>&1; then
  for library in /usr/lib/libnss_wrapper.so /usr/lib/*/libnss_wrapper.so /usr/lib64/libnss_wrapper.so; do
    if [ -r "$library" ]; then
      echo "{TEST_SUPERUSER}:x:$(id -u):$(id -g)::/tmp:/bin/sh" >/tmp/passwd
      echo "{TEST_SUPERUSER}:x:$(id -g):" >/tmp/group
      export LD_PRELOAD="$library" NSS_WRAPPER_PASSWD=/tmp/passwd NSS_WRAPPER_GROUP=/tmp/group
      break
    fi
  done
fi
if initdb -D {_DATA_FOLDER}/data -U {TEST_SUPERUSER} -A trust -E UTF8 --no-locale --no-sync >/tmp/said 2>&1; then
  exec postgres -D {_DATA_FOLDER}/data "$@"
fi
(umask 022; grep -E "error|fatal|not found" /tmp/said | tail -1 >"$said.new"; mv "$said.new" "$said")
exit 1
"""

Json = dict[str, Any]


def options_with_server(options: CaptureOptions, database: Database) -> CaptureOptions:
    """Return *options* with everything said about the throw-away server that people left open; without level Restore as they are."""
    wanted = options.verification
    if wanted.level is not Level.RESTORE:
        return options
    server, scratch = database.status.server, wanted.scratch or Scratch()
    major = server.major_version if server is not None else NEWEST_MAJOR
    size = scratch.size_bytes or _room_for(server.size_bytes if server is not None else None)
    image = wanted.image or f"postgres:{major}"
    return replace(options, verification=replace(wanted, image=image, scratch=replace(scratch, size_bytes=size)))


def _room_for(size_bytes: int | None) -> int:
    """Return twice *size_bytes* or more: a power of two, so that a database which grows does not change its CronJob every day."""
    if size_bytes is None:
        return UNKNOWN_SCRATCH_BYTES
    return max(LEAST_SCRATCH_BYTES, 1 << int(log2(max(1, size_bytes)) + 2))


def server_parts(request: JobRequest) -> Json:
    """Return the fields of the pod's spec that give the worker of *request* its throw-away server; none when it needs none.

    A native sidecar: it is started before the worker, ended after it, and its end never decides the pod's.
    """
    options = request.options
    if request.verb is not Verb.BACKUP or options is None or request.untestable is not None:
        return {}
    if options.verification.level is not Level.RESTORE:
        return {}
    return {"initContainers": [_container(options.verification)], "volumes": _volumes(options.verification)}


def trouble_with_server(job: SeenJob, now: datetime) -> str | None:
    """Return why *job* has not begun and would without its throw-away server; None: it has, or that is not known yet.

    A pod that nobody can place may be too large with the server in it; one that is not created may break a quota because of it.
    """
    verdict, pod = judge(job, now), newest_pod(job)
    if not job.has_server or verdict.stand is not Stand.BLOCKED:
        return None
    is_servers = pod is not None and pod.lacks_server
    is_unplaced = verdict.reason is Reason.POD_NOT_SCHEDULED or (pod is None and verdict.reason in _REFUSED)
    if not (is_unplaced or (is_servers and verdict.reason in _REFUSED)):
        return None
    since = (pod.created_time if pod is not None else None) or job.created_time
    patience = IMAGE_PATIENCE if is_servers else PLACE_PATIENCE
    return verdict.message if since is not None and now - since >= patience else None


def socket_mount() -> Json:
    """Return where the worker finds the server's socket; it may write there what no server needs, and reads its last words."""
    return {"name": Mount.TEST_SERVER.value, "mountPath": _SOCKETS, "readOnly": True}


def _container(wanted: Verification) -> Json:
    arguments = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
    return {
        "name": SERVER,
        "image": wanted.image,
        "imagePullPolicy": "IfNotPresent",
        "restartPolicy": "Always",
        "command": ["/bin/sh", "-c", _SCRIPT, SERVER],
        "args": arguments,
        "resources": RESOURCES,
        "securityContext": {"runAsUser": SERVER_USER, **RESTRICTED},
        "volumeMounts": [
            {"name": SERVER, "mountPath": _SOCKETS},
            {"name": DATA, "mountPath": _DATA_FOLDER},
            {"name": "test-tmp", "mountPath": "/tmp"},  # noqa: S108 - in the pod: an emptyDir of its own
        ],
    }


def _volumes(wanted: Verification) -> list[Json]:
    scratch = wanted.scratch or Scratch()
    return [
        {"name": SERVER, "emptyDir": {"sizeLimit": "1Mi"}},
        {"name": "test-tmp", "emptyDir": {"sizeLimit": "16Mi"}},
        {"name": DATA, **_data_source(scratch)},
    ]


def _data_source(scratch: Scratch) -> Json:
    size = str(scratch.size_bytes)
    if scratch.storage_class_name is None:
        return {"emptyDir": {"sizeLimit": size}}
    claim = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": scratch.storage_class_name,
        "resources": {"requests": {"storage": size}},
    }
    return {"ephemeral": {"volumeClaimTemplate": {"spec": claim}}}
