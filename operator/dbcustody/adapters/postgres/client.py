"""PostgreSQL's client programs: which majors are at hand, and which one fits a server."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dbcustody.errors import RefusedError
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

OLDEST_SERVER: Final = 14
PREFERRED_MAJOR: Final = 17
"""Older servers are dumped with this client or a newer one: Zstd needs 16, and 17 sets every timeout."""
_VERSION: Final = re.compile(r"\(PostgreSQL\) (?P<text>(?P<major>\d+)[.\w]*)")
_PATIENCE_SECONDS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Client:
    """The programs of one major version, in one folder."""

    major: int
    version: str
    folder: Path

    def program(self, name: str) -> Path:
        """Return the path of one of the programs."""
        return self.folder / name


def find_clients(folders: Iterable[Path]) -> tuple[Client, ...]:
    """Return the clients in *folders* that can be run, one for each major (the first found wins), oldest first."""
    by_major: dict[int, Client] = {}
    for folder in folders:
        client = _look_at(folder)
        if client is not None:
            by_major.setdefault(client.major, client)
    return tuple(sorted(by_major.values()))


def choose_client(clients: Sequence[Client], server_major: int, *, server: str) -> Client:
    """Return the client to dump *server* (its address, for the message) with: the oldest one that is new enough, 17 where possible.

    A client reads older servers, never newer ones (https://www.postgresql.org/docs/current/app-pgdump.html, Notes); an archive of a
    needlessly new one could not be restored with the server's own tools. Raises RefusedError (VersionUnsupported).
    """
    at_hand = ", ".join(str(client.major) for client in clients) or "none"
    if server_major < OLDEST_SERVER:
        raise RefusedError(
            f"{server}: runs PostgreSQL {server_major}; supported are {OLDEST_SERVER} and newer",
            reason=Reason.VERSION_UNSUPPORTED,
        )
    able = [client for client in sorted(clients) if client.major >= server_major]
    if not able:
        raise RefusedError(
            f"{server}: runs PostgreSQL {server_major}; the clients at hand are {at_hand}, and none may be older than the server",
            reason=Reason.VERSION_UNSUPPORTED,
        )
    return next((client for client in able if client.major >= PREFERRED_MAJOR), able[-1])


def _look_at(folder: Path) -> Client | None:
    program = folder / "pg_dump"
    if not program.is_file():
        return None
    try:
        done = subprocess.run(
            [program, "--version"], capture_output=True, text=True, check=False, timeout=_PATIENCE_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _VERSION.search(done.stdout)
    return (
        Client(major=int(match["major"]), version=match["text"], folder=folder)
        if match and done.returncode == 0
        else None
    )
