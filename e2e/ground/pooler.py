"""The real PgBouncer before a server, as applications meet it."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Self

from ground.package import require
from ground.process import Daemon
from ground.scratch import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from ground.postgres import PostgresServer

_NOBODY = 65534
_SETTINGS = """[databases]
{database} = host={server.host} port={server.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
auth_type = plain
auth_file = {folder}/users
pool_mode = {mode}
unix_socket_dir =
server_login_retry = 1
"""


class Pooler:
    """PgBouncer for one database of *server*, which lets in the superuser and those of *passwords*; a context manager."""

    def __init__(
        self,
        server: PostgresServer,
        *,
        database: str = "shop",
        mode: str = "transaction",
        passwords: Mapping[str, str] | None = None,
    ) -> None:
        self._server, self._database, self._mode = server, database, mode
        self._passwords = {"postgres": server.password, **(passwords or {})}
        self.port = _free_port()

    def __enter__(self) -> Self:
        require(["pgbouncer"])
        folder = scratch_folder("pgbouncer")
        folder.chmod(0o755)
        users, settings = folder / "users", folder / "settings"
        users.write_text("".join(f'"{name}" "{password}"\n' for name, password in self._passwords.items()))
        settings.write_text(
            _SETTINGS.format(
                database=self._database, server=self._server, port=self.port, folder=folder, mode=self._mode
            )
        )
        self._daemon = Daemon(folder, "pgbouncer")
        self._daemon.start(["/usr/sbin/pgbouncer", "-q", settings], user=_NOBODY)
        self._daemon.wait_ready(self._answers, 10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._daemon.stop()

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 0.5).close()
        except OSError:
            return False
        return True


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
