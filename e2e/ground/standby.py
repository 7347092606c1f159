"""A real standby: a copy of a primary that follows it by streaming, so that what is replayed can get in the way of who reads there."""

from __future__ import annotations

import shutil

from ground.postgres import PostgresServer
from ground.process import wait_until


class Standby(PostgresServer):
    """A standby of *primary*, which is stopped for a moment while its files are copied; a context manager."""

    def __init__(self, primary: PostgresServer, **settings: str) -> None:
        super().__init__(primary.major, settings=settings, password=primary.password)
        self._primary = primary

    def follow(self) -> None:
        """Wait until everything that the primary has written was replayed here."""
        ((written,),) = self._primary.execute("select pg_current_wal_lsn()")
        assert wait_until(lambda: self.execute(f"select pg_last_wal_replay_lsn() >= '{written}'") == [(True,)], 30)

    def _initialise(self) -> None:
        self._primary.stop()
        try:
            shutil.copytree(self._primary.data, self.data)
        finally:
            self._primary.start()
        primary = self._primary
        source = f"host={primary.host} port={primary.port} user=postgres password={primary.password}"
        settings = {"port": str(self.port), "primary_conninfo": source, **self.settings}
        with (self.data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        (self.data / "standby.signal").touch()
        owner = primary.data.stat()
        for path in (self.folder, self.data, *self.data.rglob("*")):
            shutil.chown(path, owner.st_uid, owner.st_gid)
