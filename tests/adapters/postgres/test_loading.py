"""What pg_restore says, and what is made of it: one harmless family is counted, everything else ends the restore."""

from __future__ import annotations

import pytest

from dbcustody.adapters.postgres.loading import Complaints

UNKNOWN = (
    'pg_restore: error: could not execute query: ERROR:  unrecognized configuration parameter "transaction_timeout"'
)


def hear(*lines: str) -> Complaints:
    """Return what is known when *lines* were said and the program ended."""
    complaints = Complaints()
    for line in lines:
        complaints.hear(line)
    complaints.end()
    return complaints


def test_setting_that_an_older_server_does_not_know() -> None:
    """A plain SET is left out, and counted as pg_restore counts it."""
    found = hear(
        "pg_restore: while INITIALIZING:",
        UNKNOWN,
        "Command was: SET transaction_timeout = 0;",
        "pg_restore: warning: errors ignored on restore: 1",
    )
    assert (found.unknown_settings, found.error, found.told_ignored) == (["transaction_timeout"], [], 1)


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param((UNKNOWN, "Command was: CREATE FUNCTION f() RETURNS int"), id="setting of a function"),
        pytest.param((UNKNOWN, "Command was: SET other = 0;"), id="another setting"),
        pytest.param((UNKNOWN, "Command was: ALTER DATABASE x SET transaction_timeout = 0;"), id="setting of a database"),
        pytest.param((UNKNOWN,), id="nothing more"),
        pytest.param((UNKNOWN, UNKNOWN), id="twice without a command"),
        pytest.param(("pg_restore: error: COPY failed for table",), id="another error"),
        pytest.param(("pg_restore: error: could not execute query: ERROR:  relation exists", "Command was: SET x = 0;"), id="query"),
    ],
)  # fmt: skip
def test_everything_else_is_an_error(lines: tuple[str, ...]) -> None:
    """The first one is kept, whatever comes after it."""
    found = hear("pg_restore: connecting", *lines, "pg_restore: error: the next one")
    assert found.unknown_settings == []
    assert found.error[0] == lines[0]


def test_error_is_told_as_soon_as_it_is_known() -> None:
    """Whoever listens can end the program at once."""
    complaints = Complaints()
    assert [complaints.hear(line) for line in ("notice", UNKNOWN, "Command was: SET transaction_timeout = 0;")] == [
        False
    ] * 3
    assert [complaints.hear(line) for line in ("pg_restore: error: x", "more")] == [True, True]
