"""Logs: one JSON object a line, and no secret in any of them, whoever logs it."""

from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from dbcustody.logs import redact_event, redact_text, set_up_logs

if TYPE_CHECKING:
    from collections.abc import Iterator

CANARY = "c4nary-p4ssword"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Return what is logged; the process's own set-up comes back afterwards."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    found = io.StringIO()
    set_up_logs(found)
    yield found
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"postgresql://app:{CANARY}@db/shop", id="url"),
        pytest.param(f"postgresql+asyncpg://app:{CANARY}@db/shop?sslmode=require", id="url-with-driver"),
        pytest.param(f"host=db password={CANARY} user=app", id="dsn"),
        pytest.param(f"PGPASSWORD={CANARY} pg_dump", id="environment"),
        pytest.param(f'{{"password": "{CANARY}"}}', id="json"),
        pytest.param(f"{{'password': '{CANARY}'}}", id="python"),
        pytest.param(f"aws_secret_access_key: {CANARY}", id="yaml"),
        pytest.param(f"password='{CANARY} with blanks'", id="quoted"),
        pytest.param(f"SCRAM-SHA-256$4096:{CANARY}", id="scram"),
        pytest.param(f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----", id="private-key"),
    ],
)
def test_each_form_of_a_secret_goes(text: str) -> None:
    """Whatever form a password has in a text, it is not there afterwards."""
    assert CANARY not in redact_text(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("connect to db:5432: server does not support SSL", id="endpoint"),
        pytest.param("Secret 'shop-app': has no key 'host'", id="name-of-a-secret"),
        pytest.param("Secret 'db-secret': is missing or empty", id="name-of-a-secret-that-says-secret"),
        pytest.param("s3://bucket/prefix", id="location"),
    ],
)
def test_ordinary_words_stay(text: str) -> None:
    """A message that holds no secret is not touched."""
    assert redact_text(text) == text


@pytest.mark.parametrize(
    "event",
    [
        pytest.param({"password": CANARY}, id="key"),
        pytest.param({"PGPASSWORD": CANARY}, id="variable"),
        pytest.param({"database_url": CANARY}, id="url-key"),
        pytest.param({"environment": {"AWS_SECRET_ACCESS_KEY": CANARY}}, id="nested"),
        pytest.param({"lines": [f"password={CANARY}"]}, id="in-a-list"),
        pytest.param({"data": CANARY.encode()}, id="bytes"),
        pytest.param({"error": ValueError(CANARY)}, id="exception"),
        pytest.param({"deep": [[[[[[[[CANARY]]]]]]]]}, id="too-deep"),
    ],
)
def test_each_event_is_cleaned(event: dict[str, Any]) -> None:
    """Names of keys count as much as the look of values."""
    assert CANARY not in json.dumps(redact_event(None, "info", event))


def test_numbers_stay_numbers() -> None:
    """What is no text is not turned into one."""
    event: dict[str, Any] = {"exit_code": 20, "ok": True, "nothing": None, "ratio": 0.5}

    assert redact_event(None, "info", dict(event)) == event


def test_lines_are_json_with_level_and_time(stream: io.StringIO) -> None:
    """Our own lines and those of libraries have the same form."""
    structlog.stdlib.get_logger("dbcustody.job").info("job ended", verb="inspect")
    logging.getLogger("library").warning("slow answer from %s", "db")

    ours, theirs = (json.loads(line) for line in stream.getvalue().splitlines())

    assert (ours["event"], ours["verb"], ours["level"], ours["logger"]) == (
        "job ended",
        "inspect",
        "info",
        "dbcustody.job",
    )
    assert (theirs["event"], theirs["level"]) == ("slow answer from db", "warning")
    assert "timestamp" in ours


def test_exceptions_are_told_by_class_and_place(stream: io.StringIO) -> None:
    """A traceback keeps its frames and loses its text; a library's does too."""

    def fail() -> None:
        raise ValueError(CANARY)

    for logger in (structlog.stdlib.get_logger("ours"), logging.getLogger("theirs")):
        try:
            fail()
        except ValueError:
            logger.exception("it broke")

    lines = [json.loads(line) for line in stream.getvalue().splitlines()]

    assert CANARY not in stream.getvalue()
    assert [line["error"] for line in lines] == ["ValueError", "ValueError"]
    assert all(line["where"][-1].endswith("fail") for line in lines)
