"""A reader lets go of its connection whatever the answer was: a pool that runs dry would end a long backup."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest

from dbcustody.adapters.objectstore.s3reader import S3Reader
from dbcustody.errors import DbcustodyError


class Client:
    """A store that gives the same answers, one after the other."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        """Take the answers."""
        self.answers = list(answers)

    def get_object(self, **_: str) -> dict[str, Any]:
        """Return the next answer."""
        return self.answers.pop(0)


def answer(**changes: Any) -> dict[str, Any]:
    """Return what a store says of an object of five bytes."""
    return {"Body": BytesIO(b"bytes"), "ContentLength": 5, "ETag": "e", "ResponseMetadata": {}} | changes


@pytest.mark.parametrize(
    ("first", "bad"),
    [
        pytest.param(None, {"Body": BytesIO(), "ResponseMetadata": {}}, id="says nothing"),
        pytest.param(None, {"Body": BytesIO(), "ContentLength": 5}, id="cut in its head"),
        pytest.param(answer(), answer(ETag="other"), id="another object"),
        pytest.param(answer(), answer(), id="from the beginning again"),
    ],
)
def test_answer_that_is_refused_is_closed(first: dict[str, Any] | None, bad: dict[str, Any]) -> None:
    """An answer that says too little, or speaks of something else, leaves no connection open."""
    client: Any = Client(*([first] if first else []), bad)
    reader = S3Reader(client, {}, "get x", patiently=lambda work: work())
    if first:
        reader.open()
        reader.close()
        reader.position = 2
    with pytest.raises(DbcustodyError):
        reader.open()
    assert bad["Body"].closed
