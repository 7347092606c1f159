"""Real applications of a database, each a pgbench that is started again as soon as it ends, and how much they were told is written."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from ground.pgbench import pgbench
from ground.postgres import PostgresServer
from ground.process import wait_until

if TYPE_CHECKING:
    from types import TracebackType

NAME: Final = "teller"
PASSWORD: Final = "t"
TABLE: Final = "create table public.written (client int, at timestamptz default clock_timestamp())"
GRANT: Final = f"grant insert on public.written to {NAME}"
_SCRIPT: Final = "insert into public.written (client) values (:client_id);\n"
_CLIENTS: Final = 2
_ROWS_EACH: Final = 10
_MODES: Final = (("-C",), ())
"""One connects anew for every transaction, one keeps its sessions until they are ended."""
_PATIENCE_SECONDS: Final = 60


@dataclass
class Teller:
    """One pgbench after the other, until it is told to stop."""

    words: tuple[str, ...]
    environment: dict[str, str]
    script: Path
    stop: threading.Event
    told: int = 0
    """Transactions of which the server said that they are committed."""
    unsure: int = 0
    """Clients that heard nothing any more; each of them may have committed one more."""

    def work(self) -> None:
        """Write rows until it is time to stop; whatever ends a run, the next one begins at once."""
        clients = ("-c", str(_CLIENTS), "-j", "1", "-t", str(_ROWS_EACH), "--max-tries", "10")
        while not self.stop.is_set():
            done = subprocess.run(
                [pgbench(), "-n", *clients, *self.words, "-f", self.script],
                env={**os.environ, **self.environment},
                capture_output=True,
                text=True,
                check=False,
            )
            found = re.search(r"actually processed: (\d+)", done.stdout)
            self.unsure += len(re.findall(r"client \d+ .*aborted", done.stderr))
            self.told += int(found[1]) if found is not None else 0


@dataclass
class Tellers:
    """Those who write into the database `shop` at *port*, as a role without any privilege; a context manager."""

    server: PostgresServer
    port: int
    folder: Path
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        script = self.folder / "teller.sql"
        script.write_text(_SCRIPT)
        environment = {
            "PGHOST": self.server.host,
            "PGPORT": str(self.port),
            "PGUSER": NAME,
            "PGPASSWORD": PASSWORD,
            "PGDATABASE": "shop",
        }
        self._tellers = [Teller(words, environment, script, self._stop) for words in _MODES]
        self._threads = [threading.Thread(target=one.work) for one in self._tellers]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def until_more(self) -> None:
        """Wait until each of them was told of more rows than now, in a run that had not begun yet."""
        wanted = [one.told + 2 * _CLIENTS * _ROWS_EACH for one in self._tellers]

        def has_written() -> bool:
            return all(one.told >= more for one, more in zip(self._tellers, wanted, strict=True))

        assert wait_until(has_written, _PATIENCE_SECONDS), [(one.told, one.unsure) for one in self._tellers]

    @property
    def told(self) -> int:
        """How many rows they were told are written."""
        return sum(one.told for one in self._tellers)

    @property
    def unsure(self) -> int:
        """How many rows besides may have been written, at most."""
        return sum(one.unsure for one in self._tellers)


def written(server: PostgresServer, database: str) -> list[Any]:
    """Return when each row of *database* was written, the first first."""
    return [at for (at,) in server.execute("select at from public.written order by at", database=database)]
