"""What goes wrong with an S3 server, each on the real one: told apart by reason, with what helps, and without a secret."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from dbcustody.adapters.objectstore import DeletionState, S3Settings, S3Store
from dbcustody.errors import DbcustodyError, InvalidSpecError, RefusedError, UnavailableError
from dbcustody.reason import Reason
from ground.certificate import Authority
from ground.proxy import Fault, Proxy
from ground.s3 import S3Server

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    OpenStore = Callable[..., S3Store]

pytestmark = pytest.mark.s3
CANARY = "c4nary-secret"

OPERATIONS: dict[str, Callable[[S3Store], object]] = {
    "put": lambda store: store.put_once("a/key", b"x"),
    "get": lambda store: store.read("a/key"),
    "stream": lambda store: list(store.stream("a/key")),
    "list": lambda store: list(store.entries("a/")),
    "delete": lambda store: store.delete(["a/key"]),
    "upload": lambda store: store.open_writer("a/key", in_parts=True),
    "list uploads": lambda store: list(store.list_unfinished("a/")),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"secret_access_key": CANARY}, Reason.STORAGE_DENIED, id="wrong-secret"),
        pytest.param({"access_key_id": "nobody"}, Reason.STORAGE_DENIED, id="unknown-access-key"),
        pytest.param({"bucket": "no-such-bucket"}, Reason.BUCKET_NOT_FOUND, id="wrong-bucket"),
        pytest.param({"bucket": "NO such bucket"}, Reason.BUCKET_NOT_FOUND, id="impossible-bucket"),
        pytest.param({"endpoint": "http://127.0.0.1:1"}, Reason.STORAGE_UNREACHABLE, id="nobody-listens"),
        pytest.param({"endpoint": "http://nowhere.invalid"}, Reason.STORAGE_UNREACHABLE, id="unknown-host"),
    ],
)
def test_each_wrong_setting_has_its_reason(
    *, server: S3Server, open_store: OpenStore, operation: str, changes: dict[str, Any], reason: Reason
) -> None:
    """Whatever is asked for first, a wrong setting is told by its reason, with operation and bucket, and without the secret."""
    store = open_store(server, **changes, max_attempts=1)

    with pytest.raises(DbcustodyError) as caught:
        OPERATIONS[operation](store)

    assert caught.value.reason is reason
    assert caught.value.message.startswith(operation.split(maxsplit=1)[0] if operation != "stream" else "get")
    assert f"s3://{store.settings.bucket}" in caught.value.message
    assert CANARY not in caught.value.message
    assert server.secret_key not in caught.value.message
    assert isinstance(caught.value, UnavailableError) is (reason is Reason.STORAGE_UNREACHABLE)


@pytest.mark.parametrize(
    "head",
    [
        pytest.param("Last-Modified: Thu, 2", id="in-a-date"),
        pytest.param("X-Amz-Mp-Parts-Count: ", id="in-a-number"),
    ],
)
def test_answer_whose_head_breaks_off_is_asked_for_again(
    server: S3Server, proxy: Proxy, open_store: OpenStore, head: str
) -> None:
    """An answer that ends in the middle of what its head says is no finding about bucket or region."""
    store = open_store(server, endpoint=proxy.url)
    store.put_once("a/key", b"x")
    struck = proxy.add(
        Fault("GET", reply=f"HTTP/1.1 200 X\r\nConnection: close\r\nContent-Length: 1\r\n{head}\r\n\r\n?".encode())
    )

    assert store.read("a/key") == b"x"
    assert struck.times == 0


def test_wrong_region_is_put_right(server: S3Server, proxy: Proxy, open_store: OpenStore) -> None:
    """A store that names its own region when it refuses another one is asked again under that one, once: no harm is done."""
    store = open_store(server, endpoint=proxy.url, region="eu-north-1", max_attempts=1)

    assert store.put_once("a/key", b"x") is True
    assert store.read("a/key") == b"x"
    assert [line.split()[0] for line in proxy.requests if "a/key" in line] == ["PUT", "PUT", "GET"]
    assert (store.repeats.count, store.repeats.because) == (1, "AuthorizationHeaderMalformed")


@pytest.mark.parametrize("operation", OPERATIONS)
def test_user_without_rights_is_refused(server: S3Server, open_store: OpenStore, operation: str) -> None:
    """A user who may do nothing here hears so, whatever he tries first."""
    access, secret = server.make_user(f"powerless-{operation.replace(' ', '-')}")
    store = open_store(server, access_key_id=access, secret_access_key=secret, max_attempts=1)

    if operation == "delete":
        assert [deletion.state for deletion in store.delete(["a/key"])] == [DeletionState.DENIED]
        return
    with pytest.raises(RefusedError, match=r"AccessDenied.*rights") as caught:
        OPERATIONS[operation](store)

    assert caught.value.reason is Reason.STORAGE_DENIED


def test_user_who_may_only_read(server: S3Server, open_store: OpenStore) -> None:
    """With rights to read alone, reading works, writing is refused, and a deletion is denied key by key."""
    access, secret = server.make_user("only-reads")
    owner = open_store(server)
    owner.put_once("a/key", b"x")
    bucket = owner.settings.bucket
    where = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    statement = {"Effect": "Allow", "Principal": {"AWS": [access]}, "Action": ["s3:GetObject", "s3:ListBucket"]}
    owner.client.put_bucket_policy(
        Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement | {"Resource": where}]})
    )
    reader = open_store(server, bucket=bucket, access_key_id=access, secret_access_key=secret)

    assert reader.read("a/key") == b"x"
    assert [entry.key for entry in reader.entries("")] == ["a/key"]
    for operation in ("put", "upload"):
        with pytest.raises(RefusedError) as caught:
            OPERATIONS[operation](reader)
        assert caught.value.reason is Reason.STORAGE_DENIED
    assert [deletion.state for deletion in reader.delete(["a/key"])] == [DeletionState.DENIED]
    assert owner.read("a/key") == b"x"


def test_no_credentials_at_all(server: S3Server, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without credentials, given or ambient, that is what is said."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    store = open_store(server, access_key_id=None, secret_access_key=None)

    with pytest.raises(RefusedError, match="no credentials") as caught:
        store.read("x")

    assert caught.value.reason is Reason.STORAGE_DENIED


def test_ambient_credentials_are_used(server: S3Server, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without given credentials those of the environment are used."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.secret_key)
    store = open_store(server, access_key_id=None, secret_access_key=None)

    assert store.put_once("x", b"x") is True


@pytest.mark.parametrize("trusted", ["stranger", "nonsense", "missing", "system"])
def test_certificate_that_is_not_trusted(
    tls_server: S3Server, open_store: OpenStore, tmp_path: Path, trusted: str
) -> None:
    """A server that another authority vouches for, or an authority that cannot be read, is never spoken to; the CA is what is named."""
    nonsense = tmp_path / "nonsense.crt"
    nonsense.write_text("no certificate")
    files = {
        "stranger": str(Authority(tmp_path / "stranger", "stranger").path),
        "nonsense": str(nonsense),
        "missing": str(tmp_path / "missing.crt"),
        "system": None,
    }
    store = open_store(tls_server, ca_file=files[trusted])

    with pytest.raises(RefusedError, match="caSecretRef") as caught:
        store.put_once("x", b"x")

    assert caught.value.reason is Reason.TLS_FAILED


def test_certificate_for_another_host(tmp_path: Path, open_store: OpenStore) -> None:
    """A trusted certificate for another name is no proof of who answers."""
    authority = Authority(tmp_path)
    with S3Server(tls=authority.issue("s3", "s3", names=["elsewhere.example"]), ca=authority.path) as server:
        store = open_store(server, bucket="b")
        with pytest.raises(RefusedError) as caught:
            store.read("x")

    assert caught.value.reason is Reason.TLS_FAILED


def test_tls_where_none_is_spoken(server: S3Server, open_store: OpenStore) -> None:
    """https:// to a port that speaks plain HTTP is a wrong endpoint, not a wrong CA."""
    store = open_store(server, endpoint=server.url.replace("http:", "https:"))

    with pytest.raises(RefusedError, match=r"does not speak TLS.*endpoint") as caught:
        store.read("x")

    assert caught.value.reason is Reason.TLS_FAILED


@pytest.mark.parametrize(
    "endpoint",
    [
        "127.0.0.1:9000",
        "ftp://host",
        "https://user:c4nary-secret@host",
        "https://host/?x=c4nary-secret",
        "https://",
        "",
    ],
)
def test_endpoint_that_is_none(endpoint: str) -> None:
    """An endpoint is scheme, host and port: anything more, a password above all, is refused and not repeated."""
    with pytest.raises(InvalidSpecError, match="endpoint") as caught:
        S3Settings(bucket="b", endpoint=endpoint)

    assert CANARY not in caught.value.message


def test_half_of_the_credentials() -> None:
    """An access key without its secret is refused before boto3 looks elsewhere for the other half."""
    with pytest.raises(InvalidSpecError, match="together"):
        S3Settings(bucket="b", access_key_id="a")


def test_settings_show_no_secret() -> None:
    """Nobody reads a credential in a printed setting."""
    settings = S3Settings(bucket="b", access_key_id=CANARY, secret_access_key=CANARY, session_token=CANARY)

    assert CANARY not in repr(settings)


def answer(status: int, code: str, message: str = "") -> bytes:
    """Return an S3 server's refusal."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, len(body), body)


@pytest.mark.parametrize(
    ("status", "code", "kind", "reason"),
    [
        pytest.param(503, "SlowDown", UnavailableError, Reason.STORAGE_UNREACHABLE, id="slow-down"),
        pytest.param(500, "InternalError", UnavailableError, Reason.STORAGE_UNREACHABLE, id="internal-error"),
        pytest.param(429, "Whatever", UnavailableError, Reason.STORAGE_UNREACHABLE, id="too-many-requests"),
        pytest.param(507, "InsufficientStorage", UnavailableError, Reason.STORAGE_FULL, id="full"),
        pytest.param(403, "QuotaExceeded", UnavailableError, Reason.STORAGE_FULL, id="quota"),
        pytest.param(501, "NotImplemented", RefusedError, Reason.NOT_CONFORMANT, id="knows-no-condition"),
        pytest.param(403, "RequestTimeTooSkewed", RefusedError, Reason.STORAGE_UNREACHABLE, id="clock"),
        pytest.param(400, "AuthorizationHeaderMalformed", RefusedError, Reason.BUCKET_NOT_FOUND, id="wrong-region"),
        pytest.param(400, "ExpiredToken", RefusedError, Reason.STORAGE_DENIED, id="expired"),
        pytest.param(400, "Strange", RefusedError, Reason.STORAGE_UNREACHABLE, id="unknown-refusal"),
        pytest.param(
            409, "ConditionalRequestConflict", UnavailableError, Reason.STORAGE_UNREACHABLE, id="endless-race"
        ),
    ],
)
def test_each_refusal_has_its_reason(
    server: S3Server, proxy: Proxy, open_store: OpenStore, *, status: int, code: str, kind: type, reason: Reason
) -> None:
    """What a store can answer is sorted by what helps; its own text, which may quote the request's signature, is not repeated."""
    proxy.add(Fault("PUT", reply=answer(status, code, CANARY), times=1000))
    store = open_store(server, endpoint=proxy.url, max_attempts=1)

    with pytest.raises(DbcustodyError) as caught:
        store.put_once("a/key", b"x")

    assert isinstance(caught.value, kind)
    assert caught.value.reason is reason
    assert code in caught.value.message
    assert CANARY not in caught.value.message
    assert server.keys(store.settings.bucket) == []


@pytest.mark.parametrize("status", [500, 503, 429])
def test_passing_refusals_are_tried_again(server: S3Server, proxy: Proxy, open_store: OpenStore, status: int) -> None:
    """A store that is busy for a moment costs a moment, not the backup."""
    proxy.add(Fault("PUT", reply=answer(status, "SlowDown"), times=2))
    store = open_store(server, endpoint=proxy.url)

    assert store.put_once("a/key", b"x") is True
    assert proxy.count("PUT") == 3


def test_race_is_repeated(server: S3Server, proxy: Proxy, open_store: OpenStore) -> None:
    """409 means that another conditional request is under way: the same one is sent again."""
    fault = proxy.add(Fault("PUT", reply=answer(409, "ConditionalRequestConflict"), times=2))
    store = open_store(server, endpoint=proxy.url)

    assert store.put_once("a/key", b"x") is True
    assert fault.times == 0


@pytest.mark.parametrize("code", ["MissingContentMD5", "NotImplemented"])
def test_store_without_batches_is_deleted_from_one_by_one(
    server: S3Server, proxy: Proxy, open_store: OpenStore, code: str
) -> None:
    """A store that knows no DeleteObjects as we send it gets single deletions, and is asked for a batch once."""
    proxy.add(Fault("POST", reply=answer(400 if code == "MissingContentMD5" else 501, code), times=1000))
    store = open_store(server, endpoint=proxy.url)
    for key in ("a", "b", "c"):
        store.put_once(key, b"x")

    assert {deletion.state for deletion in store.delete(["a", "b", "none"])} == {DeletionState.GONE}
    assert server.keys(store.settings.bucket) == ["c"]
    assert (proxy.count("POST"), proxy.count("DELETE")) == (1, 3)


def test_single_deletion_that_is_denied(server: S3Server, proxy: Proxy, open_store: OpenStore) -> None:
    """Without batches, too, a denial is an answer for its key and not the end."""
    proxy.add(Fault("POST", reply=answer(501, "NotImplemented")))
    proxy.add(Fault("DELETE .*/a ", reply=answer(403, "AccessDenied")))
    store = open_store(server, endpoint=proxy.url)
    for key in ("a", "b"):
        store.put_once(key, b"x")

    states = [deletion.state for deletion in store.delete(["a", "b"])]

    assert states == [DeletionState.DENIED, DeletionState.GONE]


@pytest.mark.parametrize(
    ("message", "state"),
    [
        pytest.param("Access Denied because object protected by object lock.", DeletionState.HELD, id="lock"),
        pytest.param("Access Denied.", DeletionState.DENIED, id="no-lock"),
    ],
)
def test_lock_that_only_the_refusal_tells_of(
    *, server: S3Server, proxy: Proxy, open_store: OpenStore, message: str, state: DeletionState
) -> None:
    """Where the lock could not be looked up, the words of the refusal tell it from a missing right."""
    proxy.add(Fault("POST", reply=answer(501, "NotImplemented")))
    proxy.add(Fault("DELETE", reply=answer(403, "AccessDenied", message)))
    store = open_store(server, endpoint=proxy.url)

    (deletion,) = store.delete(["a"])

    assert (deletion.state, deletion.detail) == (state, f"AccessDenied {message}")
