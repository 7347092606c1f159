"""Every way in which a bucket can be spoken to, a whole backup each: few parts, names in hosts, own CA, checksums, ambient credentials."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from subprocess import run
from typing import TYPE_CHECKING, Any

import pytest

from dbcustody import decryptor
from dbcustody.adapters.objectstore import S3Settings
from dbcustody.api.policy import Algorithm, Compression
from dbcustody.api.storage import S3, AddressingStyle, BackupStorageSpec
from dbcustody.errors import RefusedError
from dbcustody.jobs.artefact import Artefact, Shelf
from dbcustody.reason import ExitCode, Reason
from dbcustody.repository.binding import Place
from dbcustody.repository.layout import data_object
from ground import fault
from ground.certificate import Authority
from ground.root import client_folder
from ground.s3 import S3Server
from tests.fakes.custodian import ENCRYPTION, KEY, Custodian, in_bucket
from tests.fakes.jobpod import JobPod, connection_of
from tests.fakes.parts import server_of_parts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ground.postgres import PostgresServer
    from ground.proxy import Proxy

pytestmark = [pytest.mark.postgres, pytest.mark.s3]
PLAIN = Compression(algorithm=Algorithm.NONE)
PART_BYTES = 5 * 1024 * 1024
DOMAIN = "s3.test"
ROWS = 1500


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server with a shop of 28 MiB."""
    with server_of_parts(1500) as server:
        yield server


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    """Return a real S3 server that is also asked by names below a domain."""
    with S3Server(virtual_domain=DOMAIN) as server:
        yield server


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every name below DOMAIN be this machine."""
    find = socket.getaddrinfo

    def find_ours(host: Any, *arguments: Any, **options: Any) -> Any:
        ours = isinstance(host, str) and host.endswith(DOMAIN)
        return find("127.0.0.1" if ours else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", find_ours)


def restored_rows(s3: S3Server, bucket: str, folder: Path) -> int:
    """Return how many rows come back with nothing of ours but the decryptor, and pg_restore."""
    (manifest,) = (key for key in s3.keys(bucket) if key.endswith("/manifest.json"))
    key_file, output = folder / "k1.key", folder / "open"
    key_file.write_bytes(KEY)
    source = s3.file(bucket, manifest).parent
    assert (
        decryptor.main(
            ["--backup", str(source), "--key-file", str(key_file), "--key-id", "k1", "--output", str(output)]
        )
        == 0
    )
    words = [client_folder(17) / "pg_restore", "--section=data", "--file=-", output / "whole.pgc"]
    script = run(words, check=True, capture_output=True, text=True).stdout
    return sum(line.split("\t")[0].isdigit() for line in script.splitlines())


@pytest.mark.parametrize(("max_parts", "objects"), [(2, 4), (3, 2), (1000, 1)])
def test_archive_goes_on_in_the_next_object(
    *, server: PostgresServer, s3: S3Server, bucket: str, tmp_path: Path, max_parts: int, objects: int
) -> None:
    """However few parts an upload may have, the archive is whole: read back by the run, and by the decryptor alone."""
    with in_bucket(s3, bucket, part_bytes=PART_BYTES, max_parts=max_parts) as open_store:
        custodian = Custodian(server=server, open_store=open_store)
        reason, message = custodian.outcome(compression=PLAIN)
        assert reason is Reason.SUCCEEDED, message
        (backup,) = custodian.stock().live

    parts = [one for one in backup.manifest.objects if one.name.startswith("whole.pgc")]
    assert [one.name for one in parts] == ["whole.pgc", *(f"whole.pgc.{n:03d}" for n in range(1, objects))]
    assert max(one.bytes for one in parts) <= max_parts * PART_BYTES
    assert restored_rows(s3, bucket, tmp_path) == ROWS


def test_one_part_of_a_mebibyte_is_refused(server: PostgresServer, s3: S3Server, bucket: str) -> None:
    """Where not even one chunk fits into an object, that is said before anything is dumped for long."""
    with in_bucket(s3, bucket, part_bytes=1024 * 1024, max_parts=1) as open_store:
        reason, message = Custodian(server=server, open_store=open_store).outcome(compression=PLAIN)
    assert (reason, "maxParts" in message) == (Reason.NOT_CONFORMANT, True)


def test_archive_that_needs_too_many_objects(s3: S3Server, bucket: str) -> None:
    """There are a thousand names for the objects of one archive; what does not fit into them is refused with what helps."""
    place = Place(
        storage_id="s", custody_id="web.shop", backup_id="20260131T020000Z-shop-5e1d0c2a", attempt="0b9c3f52-6c0e-4a55-8f3a-2f4d5e6a7b8c"
    )  # fmt: skip
    with in_bucket(s3, bucket, part_bytes=PART_BYTES, max_parts=1) as open_store:
        shelf = Shelf(store=open_store(), place=place)
        artefact = Artefact(shelf, lambda part: data_object(1, 998 + part), stored=lambda _: None)
        with pytest.raises(RefusedError, match=r"objects there do not hold one archive; raise `maxParts`") as caught:
            artefact.write(memoryview(bytes(2 * PART_BYTES + 1)))
        artefact.abort()
    assert caught.value.reason is Reason.NOT_CONFORMANT


@pytest.mark.usefixtures("names")
@pytest.mark.parametrize(
    ("host", "style", "in_path"),
    [
        pytest.param("127.0.0.1", "path", True, id="path"),
        pytest.param("127.0.0.1", "auto", True, id="auto-by-address"),
        pytest.param(DOMAIN, "path", True, id="path-by-name"),
        pytest.param(DOMAIN, "virtual", False, id="virtual"),
        pytest.param(DOMAIN, "auto", True, id="auto-by-name"),
    ],
)
def test_bucket_stands_where_the_addressing_says(
    *, server: PostgresServer, bucket: str, s3: S3Server, proxy: Proxy, host: str, style: str, in_path: bool
) -> None:
    """In the path or in the host name: the whole backup goes that way, its uploads, listings and deletions too."""
    endpoint = f"http://{host}:{proxy.port}"
    with in_bucket(s3, bucket, part_bytes=PART_BYTES, endpoint=endpoint, addressing_style=style) as open_store:
        custodian = Custodian(server=server, open_store=open_store)
        reason, message = custodian.outcome(compression=PLAIN)
        assert reason is Reason.SUCCEEDED, message
        assert open_store().delete(["nothing"])
        assert [one.is_good for one in custodian.stock().live] == [True]

    assert {
        line.startswith(tuple(f"{verb} /{bucket}" for verb in ("GET", "PUT", "POST", "HEAD")))
        for line in proxy.requests
    } == {in_path}
    assert proxy.count("partNumber")


@pytest.mark.parametrize("checksums", ["when_supported", "when_required"])
def test_store_that_knows_no_checksums(
    *, server: PostgresServer, s3: S3Server, bucket: str, proxy: Proxy, checksums: str
) -> None:
    """A store that refuses the newer checksums takes a backup when they are sent only where they are required, and it is as safe."""
    proxy.add(fault.no_checksums("PUT"))
    with in_bucket(s3, bucket, part_bytes=PART_BYTES, endpoint=proxy.url, checksums=checksums) as open_store:
        custodian = Custodian(server=server, open_store=open_store)
        reason, message = custodian.outcome(compression=PLAIN)
        if checksums == "when_supported":
            assert (reason, "checksums: WhenRequired" in message) == (Reason.NOT_CONFORMANT, True), message
            return
        assert reason is Reason.SUCCEEDED, message
        assert [one.is_good for one in custodian.stock().live] == [True]


@pytest.mark.parametrize("checksums", ["when_supported", "when_required"])
def test_own_authority(*, server: PostgresServer, bucket_name: str, tmp_path: Path, checksums: str) -> None:
    """Behind TLS of an authority of one's own: with its certificate a backup, without it none and the reason."""
    authority = Authority(tmp_path / "ca")
    with S3Server(tls=authority.issue("s3", "s3", names=["127.0.0.1"]), ca=authority.path) as s3:
        bucket = s3.make_bucket(bucket_name)
        own = {"ca_file": str(authority.path), "checksums": checksums, "part_bytes": PART_BYTES}
        with in_bucket(s3, bucket, **own) as trusting, in_bucket(s3, bucket) as doubting:
            assert Custodian(server=server, open_store=doubting).outcome()[0] is Reason.TLS_FAILED
            reason, message = Custodian(server=server, open_store=trusting).outcome(compression=PLAIN)
            assert reason is Reason.SUCCEEDED, message
            assert [one.is_good for one in Custodian(server=server, open_store=trusting).stock().live] == [True]
        assert restored_rows(s3, bucket, tmp_path) == ROWS


def ambient_pod(*, server: PostgresServer, s3: S3Server, bucket: str, folder: Path, **variables: str) -> JobPod:
    """Return a Job's process whose storage names no credentials."""
    with in_bucket(s3, bucket) as open_store:
        request = Custodian(server=server, open_store=open_store).request(compression=PLAIN)
    place = S3(bucket=bucket, endpoint=s3.url, addressing_style=AddressingStyle.PATH)
    storage = BackupStorageSpec(s3=place, encryption=ENCRYPTION)
    calm = {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/nowhere",
        "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
    }
    return JobPod(
        folder / "pod", replace(request, storage=storage), {"connection": connection_of(server)}, calm | variables
    )


def test_credentials_of_the_environment(*, server: PostgresServer, s3: S3Server, bucket: str, tmp_path: Path) -> None:
    """Without a Secret the process's own surroundings are asked; nothing of them is told."""
    pod = ambient_pod(
        server=server,
        s3=s3,
        bucket=bucket,
        folder=tmp_path,
        AWS_ACCESS_KEY_ID=s3.access_key,
        AWS_SECRET_ACCESS_KEY=s3.secret_key,
    )
    with pod:
        assert pod.wait() == ExitCode.DONE, pod.said
        assert s3.secret_key not in pod.said


def test_no_credentials_anywhere(*, server: PostgresServer, s3: S3Server, bucket: str, tmp_path: Path) -> None:
    """Without any, that is what is said."""
    with ambient_pod(server=server, s3=s3, bucket=bucket, folder=tmp_path) as pod:
        assert pod.wait() == ExitCode.REFUSED, pod.said
        assert pod.result.reason is Reason.STORAGE_DENIED
        assert "no credentials" in pod.result.message


GIVEN = """<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult>
<Credentials><AccessKeyId>{access}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey><SessionToken></SessionToken>
<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"""
"""The session token is empty: the S3 server at hand knows none."""
REFUSAL = "<ErrorResponse><Error><Type>Sender</Type><Code>InvalidIdentityToken</Code><Message>no</Message></Error></ErrorResponse>"
ANSWERS = {
    "wrong": (400, REFUSAL),
    "garbage": (200, "<html"),
    "trouble": (503, REFUSAL.replace("InvalidIdentityToken", "Busy")),
}
TOKENS = {
    "right": (ExitCode.DONE, Reason.SUCCEEDED, "stored"),
    "wrong": (
        ExitCode.REFUSED,
        Reason.STORAGE_DENIED,
        "the pod's identity gives no credentials (InvalidIdentityToken)",
    ),
    "garbage": (ExitCode.UNAVAILABLE, Reason.STORAGE_UNREACHABLE, "no answer of S3"),
    "trouble": (ExitCode.UNAVAILABLE, Reason.STORAGE_UNREACHABLE, "the service for the pod's identity answers Busy"),
}


@contextmanager
def token_service(s3: S3Server, expected_token: str) -> Iterator[str]:
    """Yield the address of something that gives the S3 server's credentials for a token, as AWS's service for web identities does."""

    class Exchange(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
            is_known = "Action=AssumeRoleWithWebIdentity" in asked and f"WebIdentityToken={expected_token}" in asked
            status, answer = (
                (200, GIVEN) if is_known else ANSWERS[asked.rpartition("WebIdentityToken=")[2].partition("&")[0]]
            )
            self.send_response(status)
            self.end_headers()
            self.wfile.write(answer.format(access=s3.access_key, secret=s3.secret_key).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Exchange) as service:
        thread = threading.Thread(target=service.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{service.server_port}"
        finally:
            service.shutdown()
            thread.join()


@pytest.mark.parametrize("token", TOKENS)
def test_web_identity(*, server: PostgresServer, s3: S3Server, bucket: str, tmp_path: Path, token: str) -> None:
    """What a cluster projects into a pod for a role (IRSA) is used: the token is exchanged for credentials, and they open the bucket."""
    (tmp_path / "token").write_text(token)
    with token_service(s3, "right") as address:
        role = {"AWS_ROLE_ARN": "arn:aws:iam::1:role/backups", "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token")}
        service = {"AWS_ENDPOINT_URL_STS": address, "AWS_REGION": "us-east-1"}
        with ambient_pod(server=server, s3=s3, bucket=bucket, folder=tmp_path, **role, **service) as pod:
            code = pod.wait()
            result = pod.result
    wanted_code, reason, words = TOKENS[token]
    assert (code, result.reason) == (wanted_code, reason), result.message
    assert words in result.message, result.message


def test_identity_that_cannot_be_asked(*, server: PostgresServer, s3: S3Server, bucket: str, tmp_path: Path) -> None:
    """A node's service for pod identities that does not answer leaves the pod without credentials, and that is the word."""
    nobody = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/"}
    with ambient_pod(server=server, s3=s3, bucket=bucket, folder=tmp_path, **nobody) as pod:
        assert pod.wait() == ExitCode.REFUSED, pod.said
        assert pod.result.reason is Reason.STORAGE_DENIED, pod.said


def test_parts_are_counted_for_every_setting() -> None:
    """The defaults are those of the documentation: 16 MiB a part, 10 000 parts, 200 repeats to spare."""
    settings = S3Settings(bucket="b")
    assert (settings.part_bytes, settings.max_parts, settings.spare_repeats) == (16 * 1024 * 1024, 10_000, 200)
