"""The tools of a Job in a pod: everything comes from files that were mounted for it, and is read anew each time it is needed.

All mounts are optional, so that the Job itself can say within seconds which Secret or which key is missing; a required one would leave the
pod in ContainerCreating, and the reason in an Event that nobody reads.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from dbcustody.adapters.keyring import read_keyring
from dbcustody.adapters.objectstore import S3Settings, S3Store, VolumeStore
from dbcustody.adapters.postgres import PostgresTarget
from dbcustody.api.storage import AddressingStyle, Checksums
from dbcustody.contract import (
    ATTEMPT_VARIABLE,
    JOB_NAME_VARIABLE,
    MOUNT_ROOT,
    TEST_SUPERUSER,
    Mount,
    opened_by,
)
from dbcustody.errors import InvalidSpecError, RefusedError, UnavailableError
from dbcustody.jobs.custody import storage_of
from dbcustody.jobs.tools import Tools, application_name, database_of, find_target
from dbcustody.migration.layout import LaidFile
from dbcustody.reason import Reason

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from dbcustody.adapters.keyring import Keyring
    from dbcustody.adapters.objectstore import ObjectStore
    from dbcustody.api.database import Connection
    from dbcustody.api.meta import ObjectRef, SecretKeyRef
    from dbcustody.api.storage import S3
    from dbcustody.contract import AnyProgress, JobRequest, Verb

CLIENTS_VARIABLE: Final = "DBCUSTODY_CLIENTS"
"""Folders with PostgreSQL's clients, separated by colons; without it, where Debian puts them."""
DEBIAN_CLIENTS: Final = Path("/usr/lib/postgresql")
_SHOWN: Final = 200
LARGEST_FILE_BYTES: Final = 1024 * 1024
"""Kubernetes allows no larger Secret."""
_UNPLAIN: Final = re.compile(r"[^a-z0-9]")
_ADDRESSING: Final[dict[AddressingStyle, Literal["auto", "path", "virtual"]]] = {
    AddressingStyle.AUTO: "auto",
    AddressingStyle.PATH: "path",
    AddressingStyle.VIRTUAL: "virtual",
}
_CHECKSUMS: Final[dict[Checksums, Literal["when_supported", "when_required"]]] = {
    Checksums.WHEN_SUPPORTED: "when_supported",
    Checksums.WHEN_REQUIRED: "when_required",
}
_S3_KEYS: Final = {
    "access_key_id": ("awsaccesskeyid", "accesskeyid", "accesskey", "s3accesskey", "s3accesskeyid"),
    "secret_access_key": (
        "awssecretaccesskey",
        "secretaccesskey",
        "accesssecretkey",
        "secretkey",
        "s3secretkey",
        "s3secretaccesskey",
    ),
    "session_token": ("awssessiontoken", "sessiontoken", "accesssessiontoken"),
}
"""Names of a credentials Secret's keys, without case and punctuation: AWS's, CloudNativePG's, MinIO's."""


def mounted_tools(
    request: JobRequest,
    *,
    environ: Mapping[str, str],
    now: Callable[[], datetime],
    report: Callable[[AnyProgress], None],
    stop: threading.Event,
    root: Path = Path(MOUNT_ROOT),
) -> Tools:
    """Return the tools for *request* from the files below *root* and the variables of the downward API in *environ*."""
    return Tools(
        now=now,
        report=report,
        stop=stop,
        attempt=environ.get(ATTEMPT_VARIABLE) or str(uuid.uuid4()),
        job_name=environ.get(JOB_NAME_VARIABLE) or request.name,
        target=lambda verb: _mounted_target(request, verb, root),
        store=lambda: _mounted_store(request, root),
        keyring=lambda: _mounted_keyring(request, root),
        clients=client_folders(environ),
        test_server=lambda: _test_server(request, root),
        sources=lambda: _mounted_sources(request, root),
    )


def client_folders(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the folders in which PostgreSQL's clients are looked for, in the order of preference."""
    named = environ.get(CLIENTS_VARIABLE)
    if named:
        return tuple(Path(folder) for folder in named.split(":") if folder)
    return tuple(sorted(DEBIAN_CLIENTS.glob("*/bin")))


def read_folder(folder: Path, secret_name: str) -> dict[str, str]:
    """Return the text files of a mounted Secret by key; raises UnavailableError (SecretNotFound) when there is none.

    Kubernetes' own links in the folder begin with two dots; a value that is no text is left aside.
    """
    files = {path.name: path for path in _listed(folder) if not path.name.startswith("..") and path.is_file()}
    found = {key: text for key, path in files.items() if (text := _read_text(path)) is not None}
    if not found:
        raise UnavailableError(
            f"Secret {secret_name!r}: is missing or empty; create it in the same namespace",
            reason=Reason.SECRET_NOT_FOUND,
        )
    return found


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _read_text(path: Path) -> str | None:
    with path.open("rb") as file:
        data = file.read(LARGEST_FILE_BYTES)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _mounted_target(request: JobRequest, verb: Verb, root: Path) -> PostgresTarget:
    """Return the target of the role that works, from the one connection Secret that the operator mounted for the verb."""
    spec = database_of(request)
    secret_ref = opened_by(spec, request.verb)
    connection = _named(spec.connection, secret_ref)
    files = read_folder(root / Mount.CONNECTION, secret_ref.name)
    ca_file = _mounted_ca(spec.connection.tls.ca_secret_ref, root / Mount.CONNECTION_CA)
    return find_target(files, connection, application=application_name(verb, request.custody_id), ca_file=ca_file)


def _named(connection: Connection, secret_ref: ObjectRef) -> Connection:
    """Return *connection* under the Secret that is really read, so that messages name the right one."""
    return replace(connection, secret_ref=secret_ref)


def _test_server(request: JobRequest, root: Path) -> PostgresTarget | None:
    """Return the throw-away server in the same pod, behind its socket; None when the pod was made without one."""
    folder = root / Mount.TEST_SERVER
    if not folder.is_dir():
        return None
    return PostgresTarget(
        host=str(folder),
        port="5432",
        database="postgres",
        user=TEST_SUPERUSER,
        sslmode="disable",
        application=application_name("restore test", request.custody_id),
    )


def _mounted_sources(request: JobRequest, root: Path) -> tuple[LaidFile, ...]:
    """Return the files of the request itself, and those that were mounted for it, in the order of the request."""
    terms = request.migration
    if terms is None:
        return ()
    if terms.image is not None:
        return tuple(_copied_files(root / Mount.SOURCE_IMAGE))
    files = [LaidFile(path=one.name, content=one.sql.encode()) for one in terms.inline]
    for number, reference in enumerate(terms.config_map_refs):
        paths = [path for path in _listed(root / f"{Mount.SOURCE}-{number}") if not path.name.startswith("..")]
        if not paths:
            raise UnavailableError(
                f"ConfigMap {reference.name!r}: is missing or empty; create it in the same namespace",
                reason=Reason.SOURCE_NOT_FOUND,
            )
        files += [LaidFile(path=path.name, content=path.read_bytes()) for path in paths]
    return tuple(files)


def _copied_files(folder: Path) -> Iterator[LaidFile]:
    """Yield what was copied out of an image; what is no plain file, such as a link that would lead out of the folder, is not read.

    Raises RefusedError (SourceInvalid) for a name that nobody could show, or tell apart from others in a digest.
    """
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            name = path.relative_to(folder).as_posix()
            if not name.isprintable():
                shown = ascii(name)[:_SHOWN]
                raise RefusedError(
                    f"{shown}: is no name of a file that can be shown; rename it", reason=Reason.SOURCE_INVALID
                )
            yield LaidFile(path=name, content=path.read_bytes())


def _mounted_ca(reference: SecretKeyRef | None, folder: Path) -> Path | None:
    """Return the mounted CA file; raises UnavailableError (SecretKeyMissing) when it is named and not there.

    Of this Secret only the one key is mounted, so that a missing Secret and a missing key look alike from here.
    """
    if reference is None:
        return None
    path = folder / reference.key
    if not path.is_file() or not (_read_text(path) or "").strip():
        raise UnavailableError(
            f"Secret {reference.name!r}: is missing, or has no key {reference.key!r}, or an empty one; add it",
            reason=Reason.SECRET_KEY_MISSING,
        )
    return path


def _mounted_store(request: JobRequest, root: Path) -> ObjectStore:
    spec = storage_of(request)
    if spec.s3 is not None:
        return S3Store(_s3_settings(spec.s3, root))
    if spec.volume is not None:
        return VolumeStore(root / Mount.VOLUME, spec.volume.path)
    raise InvalidSpecError(f"storage {request.storage_name or ''}: has neither s3 nor volume; must have one of them")


def _s3_settings(s3: S3, root: Path) -> S3Settings:
    credentials: dict[str, str | None] = {}
    if s3.credentials_secret_ref is not None:
        credentials = read_credentials(root / Mount.S3_CREDENTIALS, s3.credentials_secret_ref.name)
    ca_file = _mounted_ca(s3.ca_secret_ref, root / Mount.S3_CA)
    return S3Settings(
        bucket=s3.bucket,
        prefix=s3.prefix,
        region=s3.region,
        endpoint=s3.endpoint,
        addressing_style=_ADDRESSING[s3.addressing_style],
        access_key_id=credentials.get("access_key_id"),
        secret_access_key=credentials.get("secret_access_key"),
        session_token=credentials.get("session_token"),
        ca_file=str(ca_file) if ca_file else None,
        checksums=_CHECKSUMS[s3.checksums],
        max_parts=s3.max_parts,
    )


def read_credentials(folder: Path, secret_name: str) -> dict[str, str | None]:
    """Return the S3 credentials in a mounted Secret, whatever their keys are called; a session token may be absent (None).

    Raises UnavailableError (SecretNotFound, SecretKeyMissing).
    """
    plain = {_UNPLAIN.sub("", key.lower()): text.strip() for key, text in read_folder(folder, secret_name).items()}
    found = {field: next((plain[name] for name in names if plain.get(name)), None) for field, names in _S3_KEYS.items()}
    for field, classic in (("access_key_id", "AWS_ACCESS_KEY_ID"), ("secret_access_key", "AWS_SECRET_ACCESS_KEY")):
        if found[field] is None:
            raise _lacks_key(secret_name, classic)
    return found


def _mounted_keyring(request: JobRequest, root: Path) -> Keyring | None:
    encryption = storage_of(request).encryption
    if encryption is None:
        return None
    return read_keyring(root / Mount.KEYRING, encryption.active_key_id, secret_name=encryption.keyring_secret_ref.name)


def _lacks_key(secret_name: str, key: str) -> UnavailableError:
    return UnavailableError(
        f"Secret {secret_name!r}: has no key {key!r}, or an empty one; add it", reason=Reason.SECRET_KEY_MISSING
    )
