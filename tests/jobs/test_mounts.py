"""The tools of a pod: read from mounted files, anew each time, with a clear word for each that is missing."""

from __future__ import annotations

import os
import threading
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dbcustody.adapters.objectstore import S3Store, VolumeStore
from dbcustody.api.database import Connection, DatabaseSpec, Role, Roles, Tls
from dbcustody.api.meta import ObjectRef, SecretKeyRef
from dbcustody.api.migration_source import SourceImage
from dbcustody.api.storage import S3, AddressingStyle, BackupStorageSpec, Encryption, Volume
from dbcustody.contract import ATTEMPT_VARIABLE, JOB_NAME_VARIABLE, JobRequest, MigrationTerms, Mount, Verb
from dbcustody.errors import DbcustodyError, InvalidSpecError
from dbcustody.jobs.mounts import CLIENTS_VARIABLE, client_folders, mounted_tools, read_credentials, read_folder
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dbcustody.api.backup import Progress
    from dbcustody.jobs.tools import Tools

CANARY = "c4nary-p4ssword"
CONNECTION = Connection(secret_ref=ObjectRef(name="shop-app"))
DATABASE = DatabaseSpec(connection=CONNECTION)
ENCRYPTION = Encryption(keyring_secret_ref=ObjectRef(name="keys"), active_key_id="k1")
BUCKET = S3(
    bucket="b",
    endpoint="http://127.0.0.1:1",
    credentials_secret_ref=ObjectRef(name="s3"),
    ca_secret_ref=SecretKeyRef(name="s3-ca", key="ca"),
)
REQUEST = JobRequest(
    verb=Verb.BACKUP, namespace="web", name="shop-1", owner_uid="u", custody_id="web.shop", database=DATABASE, storage_name="main",
    storage=BackupStorageSpec(s3=BUCKET, encryption=ENCRYPTION),
)  # fmt: skip
URL = f"postgresql://app:{CANARY}@db/shop"


def pod(root: Path, request: JobRequest = REQUEST, environ: Mapping[str, str] | None = None) -> Tools:
    """Return the tools of a pod whose mounts lie below *root*."""

    def report(_: Progress) -> None:
        return

    return mounted_tools(
        request, environ=environ or {}, now=lambda: datetime.now(UTC), report=report, stop=threading.Event(), root=root
    )


def mount(root: Path, where: Mount, **files: str | bytes) -> None:
    """Lay a Secret out as the kubelet does: a dated folder, a link to it, and a link per key; a second call replaces it at once."""
    folder = root / where
    folder.mkdir(exist_ok=True)
    dated = folder / f"..{uuid.uuid4().hex}"
    dated.mkdir()
    for key, content in files.items():
        (dated / key).write_bytes(content.encode() if isinstance(content, str) else content)
    link = folder / "..new"
    link.symlink_to(dated.name)
    link.rename(folder / "..data")
    for key in files:
        if not (folder / key).is_symlink():
            (folder / key).symlink_to(f"..data/{key}")


def test_connection_is_read_as_it_is_now(tmp_path: Path) -> None:
    """A rotated Secret is seen by the next look; the session says for whom it works."""
    tools = pod(tmp_path)
    mount(tmp_path, Mount.CONNECTION, url=URL)
    first = tools.target(Verb.BACKUP)
    mount(tmp_path, Mount.CONNECTION, url="postgresql://app:rotated@db/shop")

    assert (first.password, tools.target(Verb.BACKUP).password) == (CANARY, "rotated")
    assert first.application == "dbcustody backup web.shop"


def test_role_of_the_dump_is_named_in_complaints(tmp_path: Path) -> None:
    """With a role of its own for backups, it is that role's Secret that is missing."""
    role = replace(DATABASE, roles=Roles(backup=Role(secret_ref=ObjectRef(name="shop-backup"))))

    with pytest.raises(DbcustodyError, match="'shop-backup'") as caught:
        pod(tmp_path, replace(REQUEST, database=role)).target(Verb.BACKUP)

    assert caught.value.reason is Reason.SECRET_NOT_FOUND


@pytest.mark.parametrize(
    ("prepare", "ask", "reason", "name"),
    [
        pytest.param(lambda _: None, lambda t: t.target(Verb.BACKUP), Reason.SECRET_NOT_FOUND, "'shop-app'", id="connection"),
        pytest.param(
            lambda root: mount(root, Mount.CONNECTION), lambda t: t.target(Verb.BACKUP), Reason.SECRET_NOT_FOUND, "'shop-app'",
            id="empty-connection",
        ),
        pytest.param(
            lambda root: mount(root, Mount.CONNECTION, host="db", username="app"), lambda t: t.target(Verb.BACKUP),
            Reason.SECRET_KEY_MISSING, "database", id="database-key",
        ),
        pytest.param(
            lambda root: mount(root, Mount.CONNECTION, foo="x", bar="y"), lambda t: t.target(Verb.BACKUP),
            Reason.CONVENTION_UNKNOWN, "keyMap", id="unknown-keys",
        ),
        pytest.param(lambda _: None, lambda t: t.store(), Reason.SECRET_NOT_FOUND, "'s3'", id="credentials"),
        pytest.param(
            lambda root: mount(root, Mount.S3_CREDENTIALS, AWS_ACCESS_KEY_ID="a"), lambda t: t.store(),
            Reason.SECRET_KEY_MISSING, "AWS_SECRET_ACCESS_KEY", id="secret-access-key",
        ),
        pytest.param(
            lambda root: mount(root, Mount.S3_CREDENTIALS, AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b"), lambda t: t.store(),
            Reason.SECRET_KEY_MISSING, "'s3-ca'", id="ca",
        ),
        pytest.param(lambda _: None, lambda t: t.keyring(), Reason.SECRET_NOT_FOUND, "'keys'", id="keyring"),
        pytest.param(
            lambda root: mount(root, Mount.KEYRING, k2=bytes(range(32))), lambda t: t.keyring(), Reason.KEY_MISSING, "'k1'", id="key-file"
        ),
        pytest.param(
            lambda root: mount(root, Mount.KEYRING, k1=b"short"), lambda t: t.keyring(), Reason.KEY_INVALID, "5 bytes", id="key-length"
        ),
        pytest.param(
            lambda root: mount(root, Mount.KEYRING, k1="p" * 32), lambda t: t.keyring(), Reason.KEY_INVALID, "printable",
            id="printable-key",
        ),
    ],
)  # fmt: skip
def test_each_missing_mount_is_named(
    tmp_path: Path, prepare: Callable[[Path], None], ask: Callable[[Tools], object], *, reason: Reason, name: str
) -> None:
    """Which Secret or which key is missing is said by name and reason, and no value is quoted."""
    prepare(tmp_path)

    with pytest.raises(DbcustodyError) as caught:
        ask(pod(tmp_path))

    assert caught.value.reason is reason
    assert name in caught.value.message


def test_missing_key_of_a_ca_is_named(tmp_path: Path) -> None:
    """A CA is awaited under its Secret's and its key's name: the pod has only this key, and cannot tell which of the two is missing."""
    tls = Tls(ca_secret_ref=SecretKeyRef(name="shop-ca", key="ca.crt"))
    request = replace(REQUEST, database=DatabaseSpec(connection=replace(CONNECTION, tls=tls)))
    mount(tmp_path, Mount.CONNECTION, url=URL)
    mount(tmp_path, Mount.CONNECTION_CA)

    with pytest.raises(DbcustodyError, match=r"'shop-ca': is missing, or has no key 'ca\.crt'") as caught:
        pod(tmp_path, request).target(Verb.BACKUP)
    (tmp_path / Mount.CONNECTION_CA / "ca.crt").write_text("PEM")

    assert caught.value.reason is Reason.SECRET_KEY_MISSING
    target = pod(tmp_path, request).target(Verb.BACKUP)
    assert (target.sslmode, target.ca_file) == ("verify-full", str(tmp_path / Mount.CONNECTION_CA / "ca.crt"))


@pytest.mark.parametrize(
    "files",
    [
        pytest.param(
            {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token"}, id="aws"
        ),
        pytest.param(
            {"ACCESS_KEY_ID": "id", "ACCESS_SECRET_KEY": "secret", "ACCESS_SESSION_TOKEN": "token"}, id="cloudnative-pg"
        ),
        pytest.param({"accessKey": "id", "secretKey": "secret\n", "sessionToken": "token"}, id="minio"),
        pytest.param({"access-key-id": "id", "secret-access-key": "secret", "session-token": "token"}, id="kebab"),
    ],
)
def test_credentials_have_many_names(tmp_path: Path, files: dict[str, str]) -> None:
    """The same three values under the names that people use."""
    mount(tmp_path, Mount.S3_CREDENTIALS, **files)

    found = read_credentials(tmp_path / Mount.S3_CREDENTIALS, "s3")

    assert found == {"access_key_id": "id", "secret_access_key": "secret", "session_token": "token"}


def test_bucket_is_opened_with_everything_that_is_said(tmp_path: Path) -> None:
    """Every field of the spec reaches the S3 settings; the secret stays out of their repr."""
    mount(tmp_path, Mount.S3_CREDENTIALS, AWS_ACCESS_KEY_ID="id", AWS_SECRET_ACCESS_KEY=CANARY)
    s3 = replace(
        BUCKET,
        ca_secret_ref=None,
        prefix="p",
        region="eu-north-1",
        addressing_style=AddressingStyle.PATH,
        max_parts=1000,
    )

    store = pod(tmp_path, replace(REQUEST, storage=BackupStorageSpec(s3=s3))).store()

    assert isinstance(store, S3Store)
    settings = store.settings
    assert (settings.bucket, settings.prefix, settings.region, settings.addressing_style) == (
        "b",
        "p",
        "eu-north-1",
        "path",
    )
    assert (settings.access_key_id, settings.secret_access_key, settings.max_parts) == ("id", CANARY, 1000)
    assert CANARY not in repr(settings)
    store.client.close()


def test_volume_is_opened_below_its_path(tmp_path: Path) -> None:
    """A volume's objects lie below the path that the spec names."""
    (tmp_path / Mount.VOLUME).mkdir()

    store = pod(
        tmp_path, replace(REQUEST, storage=BackupStorageSpec(volume=Volume(claim_name="c", path="sub")))
    ).store()

    assert isinstance(store, VolumeStore)
    assert store.location == f"volume:{tmp_path}/{Mount.VOLUME.value}/sub"


def test_storage_without_encryption_has_no_keyring(tmp_path: Path) -> None:
    """None stands for a storage that is not encrypted."""
    assert pod(tmp_path, replace(REQUEST, storage=BackupStorageSpec(s3=BUCKET))).keyring() is None


def test_storage_of_no_kind_is_refused(tmp_path: Path) -> None:
    """A request whose storage is neither bucket nor volume cannot be meant."""
    with pytest.raises(InvalidSpecError, match="neither s3 nor volume"):
        pod(tmp_path, replace(REQUEST, storage=BackupStorageSpec())).store()
    with pytest.raises(InvalidSpecError, match="storage: is missing"):
        pod(tmp_path, replace(REQUEST, storage=None)).store()


def test_pod_names_the_attempt(tmp_path: Path) -> None:
    """The pod's UID names the attempt; without a pod it is a random UUID."""
    named = pod(tmp_path, environ={ATTEMPT_VARIABLE: "uid", JOB_NAME_VARIABLE: "shop-123"})
    first, second = pod(tmp_path), pod(tmp_path)

    assert (named.attempt, named.job_name) == ("uid", "shop-123")
    assert uuid.UUID(first.attempt) != uuid.UUID(second.attempt)
    assert first.job_name == "shop-1"


def test_binary_values_are_left_aside(tmp_path: Path) -> None:
    """A key store beside the texts is no reason to fail."""
    mount(tmp_path, Mount.CONNECTION, url=URL, keystore=b"\xff\xfe\x00")

    assert read_folder(tmp_path / Mount.CONNECTION, "shop-app") == {"url": URL}


def test_clients_are_where_they_are_said_to_be() -> None:
    """The variable wins; without it Debian's folders are taken."""
    assert client_folders({CLIENTS_VARIABLE: "/a:/b:"}) == (Path("/a"), Path("/b"))
    assert all(folder.name == "bin" for folder in client_folders({}))


def test_of_an_image_plain_files_are_read_and_nothing_else(tmp_path: Path) -> None:
    """A link would be followed beside the password, and a pipe be waited for."""
    folder = tmp_path / Mount.SOURCE_IMAGE
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "migration.sql").write_text("select 1;")
    (tmp_path / "secret").write_text(CANARY)
    (folder / "b.sql").symlink_to(tmp_path / "secret")
    os.mkfifo(folder / "c.sql")
    request = replace(
        REQUEST, verb=Verb.PLAN_MIGRATION, migration=MigrationTerms(image=SourceImage(reference="i:1", path="/m"))
    )
    files = pod(tmp_path, request).sources()
    assert [(one.path, one.content) for one in files] == [("a/migration.sql", b"select 1;")]


@pytest.mark.parametrize("name", [b"a\nb.sql", b"\xff.sql"])
def test_a_name_that_cannot_be_shown_is_refused(tmp_path: Path, name: bytes) -> None:
    """It could pass for two files where their digests stand line by line."""
    folder = tmp_path / Mount.SOURCE_IMAGE
    folder.mkdir()
    (folder / os.fsdecode(name)).write_text("select 1;")
    request = replace(
        REQUEST, verb=Verb.PLAN_MIGRATION, migration=MigrationTerms(image=SourceImage(reference="i:1", path="/m"))
    )
    with pytest.raises(DbcustodyError) as caught:
        pod(tmp_path, request).sources()
    assert (caught.value.reason, caught.value.message.isprintable()) == (Reason.SOURCE_INVALID, True)
