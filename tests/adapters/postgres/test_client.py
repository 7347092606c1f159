"""PostgreSQL's client programs: found by asking them, chosen by the server's major."""

from __future__ import annotations

from pathlib import Path

import pytest

from dbcustody.adapters.postgres import Client, choose_client, find_clients
from dbcustody.errors import RefusedError
from dbcustody.reason import Reason
from ground.root import client_folder


def at_hand(*majors: int) -> tuple[Client, ...]:
    """Return clients of *majors*."""
    return tuple(Client(major=major, version=f"{major}.1", folder=Path(f"/clients/{major}")) for major in majors)


@pytest.mark.parametrize(
    ("majors", "server", "wanted"),
    [
        pytest.param((17, 18), 14, 17, id="old-server"),
        pytest.param((17, 18), 17, 17, id="same"),
        pytest.param((17, 18), 18, 18, id="newest"),
        pytest.param((18,), 15, 18, id="only-a-newer-one"),
        pytest.param((15, 16), 15, 16, id="only-old-ones-the-newest-of-them"),
        pytest.param((14, 15, 17), 14, 17, id="seventeen-before-the-same"),
    ],
)
def test_client_fits_the_server(majors: tuple[int, ...], server: int, wanted: int) -> None:
    """The client is never older than the server, 17 where possible, and no newer than needed."""
    assert choose_client(at_hand(*majors), server, server="db:5432").major == wanted


@pytest.mark.parametrize(
    ("majors", "server", "complaint"),
    [
        pytest.param((17,), 18, "the clients at hand are 17", id="server-newer-than-every-client"),
        pytest.param((), 17, "the clients at hand are none", id="no-client"),
        pytest.param((17, 18), 13, "supported are 14 and newer", id="server-too-old"),
    ],
)
def test_server_without_a_client_is_refused(majors: tuple[int, ...], server: int, complaint: str) -> None:
    """A server that no client can read is refused, with what is there and what is needed."""
    with pytest.raises(RefusedError, match=complaint) as caught:
        choose_client(at_hand(*majors), server, server="db:5432")

    assert caught.value.reason is Reason.VERSION_UNSUPPORTED


def test_real_clients_are_found() -> None:
    """Each folder's pg_dump says its version; folders without one are passed over, the first of a major wins."""
    folders = [Path("/nowhere"), client_folder(18), client_folder(17), client_folder(18)]

    found = find_clients(folders)

    assert [client.major for client in found] == [17, 18]
    assert found[1].folder == client_folder(18)
    assert found[0].program("pg_restore").is_file()


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("#!/bin/sh\nexit 1\n", id="fails"),
        pytest.param("#!/bin/sh\necho nonsense\n", id="says-something-else"),
        pytest.param("not a program", id="cannot-be-run"),
    ],
)
def test_broken_client_is_no_client(tmp_path: Path, script: str) -> None:
    """A pg_dump that cannot tell its version is as good as none."""
    (tmp_path / "pg_dump").write_text(script)
    (tmp_path / "pg_dump").chmod(0o755)

    assert find_clients([tmp_path]) == ()
