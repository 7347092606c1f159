"""What only a file system can do to a store: fill up, be read-only, hold links that lead elsewhere, lose its writer."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dbcustody.adapters.objectstore import DeletionState, VolumeStore
from dbcustody.errors import (
    ConflictError,
    DamagedError,
    DbcustodyError,
    InvalidSpecError,
    RefusedError,
    UnavailableError,
)
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

MEBIBYTE = 1024 * 1024
MOUNT, UNMOUNT = shutil.which("mount") or "", shutil.which("umount") or ""


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """Return a file system of 4 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run([MOUNT, "-t", "tmpfs", "-o", "size=4m", "none", str(folder)], check=True)
    yield folder
    subprocess.run([UNMOUNT, str(folder)], check=True)


def files(folder: Path) -> list[str]:
    """Return every file below *folder*."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_full_volume_is_said_and_nothing_stays(small: Path) -> None:
    """No space is told as such, the half-written file is gone, and what was there is whole; with room again it works."""
    store = VolumeStore(small)
    store.put_once("kept", b"x" * MEBIBYTE)
    assert 2 * MEBIBYTE < store.free_bytes < 4 * MEBIBYTE
    writer = store.open_writer("a/large")

    with pytest.raises(UnavailableError, match=r"a/large: No space left.*free space") as caught:
        deque(map(writer.write, [bytes(MEBIBYTE)] * 8), maxlen=0)

    assert caught.value.reason is Reason.STORAGE_FULL
    assert files(small) == ["kept"]
    with pytest.raises(ValueError, match="aborted"):
        writer.commit()
    with pytest.raises(UnavailableError) as caught:
        store.put_once("b", bytes(3 * MEBIBYTE + 4096))
    assert caught.value.reason is Reason.STORAGE_FULL
    assert files(small) == ["kept"]
    store.delete(["kept"])
    assert store.put_once("b", bytes(3 * MEBIBYTE)) is True


def test_read_only_volume_is_refused(small: Path) -> None:
    """A volume mounted read-only is denied, not unreachable; it can still be listed and read."""
    store = VolumeStore(small)
    store.put_once("kept", b"x")
    subprocess.run([MOUNT, "-o", "remount,ro", str(small)], check=True)

    with pytest.raises(RefusedError, match="Read-only") as caught:
        store.put_once("new", b"x")

    assert caught.value.reason is Reason.STORAGE_DENIED
    assert [deletion.state for deletion in store.delete(["kept"])] == [DeletionState.DENIED]
    assert store.read("kept") == b"x"
    subprocess.run([MOUNT, "-o", "remount,rw", str(small)], check=True)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Return a file outside the volume."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "key").write_bytes(b"c4nary")
    return outside / "key"


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """Return an empty volume."""
    folder = tmp_path / "volume"
    folder.mkdir()
    return folder


def test_links_lead_nowhere(volume: Path, secret: Path) -> None:
    """A link planted in the volume is not listed, not read, not written through and not overwritten; what it points at stays as it is."""
    (volume / "file").symlink_to(secret)
    (volume / "folder").symlink_to(secret.parent)
    store = VolumeStore(volume)

    assert list(store.entries("")) == []
    assert list(store.entries("folder/")) == []
    assert store.read("folder/key") is None
    with pytest.raises(RefusedError, match="symbolic link"):
        store.read("file")
    with pytest.raises(RefusedError, match="symbolic link"):
        list(store.stream("file"))
    with pytest.raises(DamagedError, match="missing"):
        list(store.stream("folder/key"))
    with pytest.raises(RefusedError, match="symbolic link"):
        store.put_once("folder/new", b"x")
    with pytest.raises(DbcustodyError):
        store.put_once("file", b"x")
    store.delete(["folder/key", "file"])
    assert secret.read_bytes() == b"c4nary"
    assert os.listdir(secret.parent) == ["key"]  # noqa: PTH208 - one folder, names only


def test_link_in_the_path_of_the_storage_is_refused(volume: Path, secret: Path) -> None:
    """The path inside the volume is walked as carefully as the keys."""
    (volume / "path").symlink_to(secret.parent)

    with pytest.raises(RefusedError, match="symbolic link"):
        VolumeStore(volume, "path").put_once("new", b"x")
    assert list(VolumeStore(volume, "path").entries("")) == []


@pytest.mark.parametrize("path", ["..", "a/../..", "a\0b", "./x"])
def test_path_that_leaves_the_volume_is_refused(volume: Path, path: str) -> None:
    """The storage's path names a folder inside the volume."""
    with pytest.raises(InvalidSpecError, match="inside the volume"):
        VolumeStore(volume, path)


def test_pipe_does_not_stop_us(volume: Path) -> None:
    """Something that is no plain file, a pipe that nobody writes to for instance, is no object and is never waited for."""
    os.mkfifo(volume / "pipe")
    store = VolumeStore(volume)

    assert store.read("pipe") is None
    assert list(store.entries("")) == []


def test_folder_of_the_file_system_is_left_alone(volume: Path) -> None:
    """A fresh ext4 volume has a lost+found that only root may read: it is no part of the store."""
    (volume / "lost+found").mkdir()
    (volume / "lost+found" / "#1").touch()
    store = VolumeStore(volume)
    store.put_once("a/lost+found", b"x")

    assert [entry.key for entry in store.entries("")] == ["a/lost+found"]


def test_foreign_names_are_not_listed(volume: Path) -> None:
    """A file whose name is no text cannot be ours, and a listing that is printed does not choke on it."""
    (volume / os.fsdecode(b"\xff\xfe")).touch()
    (volume / "line\nfeed").touch()
    store = VolumeStore(volume)
    store.put_once("ours", b"x")

    assert [entry.key for entry in store.entries("")] == ["ours"]


def test_hidden_names_are_kept(volume: Path) -> None:
    """A key that looks like an unfinished file would be taken for one."""
    with pytest.raises(InvalidSpecError, match="unfinished"):
        VolumeStore(volume).put_once("a/.partial-x", b"x")


def test_missing_volume_is_told(tmp_path: Path) -> None:
    """A volume that is not mounted is unreachable, not empty."""
    with pytest.raises(UnavailableError, match="not mounted") as caught:
        VolumeStore(tmp_path / "nothing")

    assert caught.value.reason is Reason.STORAGE_UNREACHABLE


@pytest.mark.parametrize(("mode", "expected"), [pytest.param(0o755, 0, id="readable"), pytest.param(0, 17, id="not")])
def test_folder_that_cannot_be_read_fails_the_listing(mode: int, expected: int) -> None:
    """Nothing must be decided on a listing that left out what it could not see."""
    with tempfile.TemporaryDirectory() as name:
        volume = Path(name)
        store = VolumeStore(volume)
        store.put_once("a/b/x", b"x")
        (volume / "a").chmod(mode)
        volume.chmod(0o755)
        child = os.fork()
        if child == 0:
            os._exit(list_as_nobody(store))

        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == expected


def list_as_nobody(store: VolumeStore) -> int:
    """Give up every right and list; return 0, or 17 when that is denied."""
    os.setgroups([])
    os.setgid(65532)
    os.setuid(65532)
    try:
        found = [entry.key for entry in store.entries("")]
    except RefusedError as error:
        return 17 if error.reason is Reason.STORAGE_DENIED else 18
    return 0 if found == ["a/b/x"] else 1


def test_file_where_a_folder_should_be(volume: Path) -> None:
    """Where a file stands in the way of a folder, or a folder of a file, that is said, and nothing is replaced."""
    store = VolumeStore(volume)
    store.put_once("a", b"file")
    store.put_once("b/c", b"x")

    with pytest.raises(RefusedError, match="a/x: a file or a symbolic link"):
        store.put_once("a/x", b"x")
    with pytest.raises(ConflictError):
        store.put_once("b", b"x")
    assert files(volume) == ["a", "b/c"]


def test_empty_folders_go_with_their_last_file(volume: Path) -> None:
    """A deleted backup leaves no empty folders, and the storage's own folder stays."""
    store = VolumeStore(volume, "inside")
    for key in ("a/b/c/1", "a/b/2"):
        store.put_once(key, b"x")

    store.delete(["a/b/c/1"])
    assert sorted(path.name for path in volume.rglob("*")) == ["2", "a", "b", "inside"]
    store.delete(["a/b/2"])
    assert [path.name for path in volume.rglob("*")] == ["inside"]


def test_writers_and_sweepers_do_not_trip_each_other(volume: Path) -> None:
    """A folder may be swept away in the moment in which somebody begins to write into it: it is made again."""
    store = VolumeStore(volume)

    def churn(number: int) -> int:
        for turn in range(150):
            key = f"a/b/c/{number}-{turn}"
            store.put_once(key, b"x")
            store.delete([key])
        return number

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(churn, range(4))) == [0, 1, 2, 3]
    assert files(volume) == []


def test_killed_writer_leaves_what_the_sweep_finds(volume: Path) -> None:
    """SIGKILL in the middle of a stream: no object, no half of one, and one hidden file that the sweep finds and removes."""
    program = (
        "import sys, pathlib\n"
        "from dbcustody.adapters.objectstore import VolumeStore\n"
        "writer = VolumeStore(pathlib.Path(sys.argv[1])).open_writer('a/data.pgc')\n"
        "writer.write(bytes(1 << 20))\n"
        "print('written', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(volume)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        process.send_signal(signal.SIGKILL)
    store = VolumeStore(volume)

    found = list(store.list_unfinished("a/"))

    assert (list(store.entries("")), len(found)) == ([], 1)
    store.abort_unfinished(found[0])
    assert files(volume) == []


def test_lost_answer_of_a_network_file_system_is_understood(volume: Path) -> None:
    """Over NFS a link can be made and its answer lost: the repeated call says `exists`, and the file is ours all the same."""
    store = VolumeStore(volume)
    writer = store.open_writer("a/x")
    writer.write(b"ours")
    hidden = volume / store_hidden(store)
    os.link(hidden, volume / "a" / "x")

    assert writer.commit().size_bytes == 4
    assert files(volume) == ["a/x"]


def store_hidden(store: VolumeStore) -> str:
    """Return the only unfinished file of *store*."""
    (found,) = store.list_unfinished("")
    return found.key


def test_file_system_without_links_is_refused(volume: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that knows no hard links (FAT, some network mounts) says EPERM: it cannot hold backups safely."""

    def no_links(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", no_links)

    with pytest.raises(RefusedError, match="hard links") as caught:
        VolumeStore(volume).put_once("a", b"x")

    assert caught.value.reason is Reason.NOT_CONFORMANT
    assert files(volume) == []


def test_file_that_shrinks_under_the_reader_is_damage(volume: Path) -> None:
    """A stream that ends before the size it began with is damage, not an end."""
    store = VolumeStore(volume)
    writer = store.open_writer("x")
    writer.write(bytes(3 * MEBIBYTE))
    writer.commit()
    pieces = store.stream("x")
    next(pieces)
    os.truncate(volume / "x", MEBIBYTE)

    with pytest.raises(DamagedError, match="ends after"):
        list(pieces)
