"""The conformance self-test: a real store passes and is left as it was, and each broken promise is found by name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from dbcustody.adapters.objectstore import Conformance, ObjectEntry, ObjectStore, S3Store, VolumeStore, probe
from dbcustody.errors import RefusedError
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ground.s3 import S3Server

    OpenStore = Callable[..., S3Store]


def test_conforming_store_passes_and_is_left_as_it_was(store: ObjectStore) -> None:
    """Everything that safety rests on is found, by tiny objects that are gone afterwards."""
    store.put_once("theirs", b"x")
    is_bucket = isinstance(store, S3Store)

    found = probe(store, read_only=False, multipart=is_bucket)

    assert found.clock_skew_seconds is not None
    assert abs(found.clock_skew_seconds) < 60
    assert found == Conformance(
        conditional_put=True,
        conditional_complete=True if is_bucket else None,
        range_get=True,
        delete=True,
        sweep=True,
        versioning=False,
        object_lock=False,
        clock_skew_seconds=found.clock_skew_seconds,
    )
    assert [entry.key for entry in store.entries("")] == ["theirs"]
    assert list(store.list_unfinished("")) == []


def test_read_only_store_is_only_read(store: ObjectStore) -> None:
    """On a ReadOnly storage a listing and a range are tried; an empty one cannot even show the range."""
    empty = probe(store, read_only=True, multipart=True)
    store.put_once("theirs", b"xyz")

    found = probe(store, read_only=True, multipart=True)

    assert (empty.range_get, found.range_get) == (None, True)
    assert (found.conditional_put, found.conditional_complete, found.delete, found.sweep) == (None, None, None, None)
    assert [entry.key for entry in store.entries("")] == ["theirs"]


@pytest.mark.s3
@pytest.mark.parametrize(
    ("operation", "header", "named"),
    [
        pytest.param("PutObject", "If-None-Match", "puts of one object", id="put"),
        pytest.param("CompleteMultipartUpload", "If-None-Match", "completed uploads", id="complete"),
        pytest.param("GetObject", "Range", "ignores ranges", id="range"),
    ],
)
def test_store_that_ignores_a_header_is_found(
    *, server: S3Server, open_store: OpenStore, operation: str, header: str, named: str
) -> None:
    """A store that does as if a condition or a range had not been asked for is refused by the name of what failed."""
    store = open_store(server)

    def forget(request: Any, **_: Any) -> None:
        del request.headers[header]

    store.client.meta.events.register(f"before-sign.s3.{operation}", forget)

    with pytest.raises(RefusedError, match=named) as caught:
        probe(store, read_only=False, multipart=True)

    assert caught.value.reason is Reason.NOT_CONFORMANT
    assert server.keys(store.settings.bucket) == []


class _FirstPage(VolumeStore):
    """A store whose listing ends after its first page."""

    def entries(self, prefix: str, *, page_size: int | None = None) -> Iterator[ObjectEntry]:
        """Yield one page."""
        for number, entry in enumerate(super().entries(prefix)):
            if page_size is None or number < page_size:
                yield entry


def test_store_that_lists_one_page_is_found(tmp_path: Path) -> None:
    """A listing that ends early would let retention believe in fewer backups than there are."""
    with pytest.raises(RefusedError, match="2 of 5 objects") as caught:
        probe(_FirstPage(tmp_path), read_only=False, multipart=False)

    assert caught.value.reason is Reason.NOT_CONFORMANT
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.s3
def test_locked_and_versioned_bucket_is_recognised(server: S3Server, open_store: OpenStore) -> None:
    """Versions and object lock are published: whoever prunes must know that deleted data may stay."""
    bucket = server.make_bucket("locked-probe", object_lock=True)

    found = probe(open_store(server, bucket=bucket), read_only=False, multipart=True)

    assert (found.versioning, found.object_lock) == (True, True)
    assert found.conditional_put
    assert found.conditional_complete


@pytest.mark.s3
def test_credentials_that_cannot_delete_are_found(server: S3Server, open_store: OpenStore) -> None:
    """A storage that can be written and not pruned passes, and says so; what it does not tell is None, not False."""
    access, secret = server.make_user("no-delete")
    store = open_store(server)
    actions = ["s3:PutObject", "s3:GetObject", "s3:ListBucket", "s3:ListBucketMultipartUploads"]
    allow(server, store.settings.bucket, access, actions)
    limited = open_store(
        server, bucket=store.settings.bucket, access_key_id=access, secret_access_key=secret, max_attempts=1
    )

    found = probe(limited, read_only=False, multipart=True)

    assert (found.delete, found.sweep) == (False, False)
    assert (found.versioning, found.object_lock) == (None, None)
    assert found.clock_skew_seconds is not None


def allow(server: S3Server, bucket: str, access: str, actions: list[str]) -> None:
    """Let the user *access* do *actions* in *bucket* and nothing else."""
    where = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    statements = [
        {
            "Effect": "Allow",
            "Principal": {"AWS": [access]},
            "Action": [action],
            "Resource": where[action not in BUCKET_ACTIONS],
        }
        for action in actions
    ]
    client = server.client()
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": statements}))
    client.close()


BUCKET_ACTIONS = {"s3:ListBucket", "s3:ListBucketMultipartUploads"}
