"""The cache: each thing is made once, appears whole or not at all, and two who want it wait for each other."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from ground.cache import GroundError, cached, run


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBCUSTODY_CACHE", str(tmp_path))


def test_what_is_there_is_not_made_again() -> None:
    """The maker runs once; both calls return the same finished file."""
    made = []

    def make(draft: Path) -> None:
        made.append(draft)
        draft.write_text("content")

    first, second = (cached("deep/thing", make, doing="making") for _ in range(2))

    assert first == second
    assert first.read_text() == "content"
    assert len(made) == 1


def test_a_failed_maker_leaves_nothing(tmp_path: Path) -> None:
    """What was made half is gone, and the next call makes it anew."""

    def fail(draft: Path) -> None:
        draft.mkdir()
        (draft / "half").write_text("half")
        raise GroundError("no network")

    with pytest.raises(GroundError, match="no network"):
        cached("thing", fail, doing="making")

    assert [path.name for path in tmp_path.iterdir()] == ["thing.lock"]
    assert cached("thing", Path.mkdir, doing="making").is_dir()


def test_two_who_want_the_same_wait_for_each_other() -> None:
    """While one makes the thing the other waits, and then takes what the first made."""
    begun, go_on = threading.Event(), threading.Event()
    made: list[str] = []

    def make(draft: Path) -> None:
        made.append("once")
        begun.set()
        assert go_on.wait(10)
        draft.write_text("content")

    threads = [threading.Thread(target=cached, args=("thing", make), kwargs={"doing": "making"}) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert begun.wait(10)
    go_on.set()
    for thread in threads:
        thread.join(10)

    assert made == ["once"]


def test_a_failed_command_says_what_it_said() -> None:
    """The error carries the command, its status and the end of its output."""
    with pytest.raises(GroundError, match=r"sh -c.*exit status 3\n.*no such thing"):
        run(["sh", "-c", "echo no such thing >&2; exit 3"])
