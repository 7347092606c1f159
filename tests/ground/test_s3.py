"""The S3 server: TLS with an own authority, secrets that count, conditional writes that hold, users with few rights."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError, SSLError

from ground.certificate import Authority
from ground.s3 import S3Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.s3


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One server with TLS."""
    authority = Authority(tmp_path_factory.mktemp("authority"))
    with S3Server(tls=authority.issue("s3", "s3", names=["127.0.0.1"]), ca=authority.path) as started:
        yield started


def refusal(action: Callable[[], object]) -> str:
    """Return the code with which the server refuses *action*."""
    with pytest.raises(ClientError) as caught:
        action()
    return str(caught.value.response["Error"]["Code"])


def test_what_is_put_can_be_read_over_tls(server: S3Server) -> None:
    """Content comes back as it was, is listed, and lies in the file that tests may damage."""
    bucket = server.make_bucket("round-trip")
    client = server.client()
    client.put_object(Bucket=bucket, Key="a/b", Body=b"content")

    assert server.url.startswith("https://")
    assert client.get_object(Bucket=bucket, Key="a/b")["Body"].read() == b"content"
    assert server.keys(bucket, "a/") == ["a/b"]
    assert server.file(bucket, "a/b").read_bytes() == b"content"


def test_a_stranger_to_the_authority_does_not_connect(
    server: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A client that trusts another authority refuses the server."""
    stranger = S3Server(
        host=server.host, port=server.port, tls=server.tls, ca=Authority(tmp_path_factory.mktemp("other")).path
    )
    client = stranger.client(access_key=server.access_key, secret_key=server.secret_key)

    with pytest.raises(SSLError, match="certificate verify failed"):
        client.list_buckets()


def test_a_wrong_secret_is_refused(server: S3Server) -> None:
    """The signature is checked."""
    client = server.client(secret_key="wrong")

    assert refusal(client.list_buckets) == "SignatureDoesNotMatch"


def test_one_of_many_conditional_writers_wins() -> None:
    """Of 16 who create the same key only if it is not there, exactly one succeeds, and its content stays."""
    with S3Server() as plain:
        bucket = plain.make_bucket("race")

        def create(number: int) -> str:
            try:
                plain.client().put_object(Bucket=bucket, Key="manifest", Body=str(number).encode(), IfNoneMatch="*")
            except ClientError as error:
                return str(error.response["Error"]["Code"])
            return str(number)

        with ThreadPoolExecutor(16) as pool:
            outcomes = list(pool.map(create, range(16)))
        content = plain.file(bucket, "manifest").read_text()

    assert sorted([content, *["PreconditionFailed"] * 15]) == sorted(outcomes)


def test_a_user_may_only_what_the_policy_says() -> None:
    """A user with read rights on a bucket reads it, and can neither write there nor see another bucket."""
    with S3Server() as plain:  # over TLS the server closes before a refused body is sent, and its answer may be lost
        bucket, other = plain.make_bucket("readable"), plain.make_bucket("closed")
        plain.client().put_object(Bucket=bucket, Key="key", Body=b"content")
        access_key, secret_key = plain.make_user("reader")
        rights = {"Effect": "Allow", "Principal": access_key, "Action": ["s3:GetObject", "s3:ListBucket"]}
        policy = {"Statement": [{**rights, "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]}]}
        plain.client().put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
        reader = plain.client(access_key=access_key, secret_key=secret_key)

        assert reader.get_object(Bucket=bucket, Key="key")["Body"].read() == b"content"
        assert refusal(lambda: reader.put_object(Bucket=bucket, Key="key", Body=b"other")) == "AccessDenied"
        assert refusal(lambda: reader.delete_object(Bucket=bucket, Key="key")) == "AccessDenied"
        assert refusal(lambda: reader.list_objects_v2(Bucket=other)) == "AccessDenied"


def test_the_server_comes_back_with_its_objects(server: S3Server) -> None:
    """A stop and a start lose nothing: the objects lie in files."""
    bucket = server.make_bucket("lasting")
    server.client().put_object(Bucket=bucket, Key="key", Body=b"content")

    server.stop()
    server.start()

    assert server.keys(bucket) == ["key"]
