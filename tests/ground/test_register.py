"""The register of clusters: who owns a name, which addresses are free, and whose starter is dead."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from ground import register
from ground.cache import GroundError
from ground.process import start_time

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBCUSTODY_CACHE", str(tmp_path))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("", id="empty"),
        pytest.param("../../etc", id="path"),
        pytest.param("Two", id="capital"),
        pytest.param("a" * 21, id="long"),
        pytest.param("-a", id="hyphen-first"),
    ],
)
def test_a_name_that_cannot_be_one_is_refused(name: str) -> None:
    """Names become folders, namespaces and cgroups; what could reach elsewhere is refused."""
    with pytest.raises(GroundError, match="must be 1 to 20 small letters, digits and hyphens"):
        register.cluster_folder(name)


def test_clusters_at_once_never_share_addresses() -> None:
    """Many who claim at the same time get an index each."""
    with ThreadPoolExecutor(16) as pool:
        indices = list(pool.map(lambda number: register.claim(f"c{number}", keep=False), range(16)))

    assert sorted(indices) == list(range(1, 17))


def test_an_index_is_free_again_when_its_cluster_is_gone() -> None:
    """The lowest free index is taken."""
    for name in ("a", "b", "c"):
        register.claim(name, keep=True)
    for path in register.cluster_folder("b").iterdir():
        path.unlink()
    register.cluster_folder("b").rmdir()

    assert register.claim("d", keep=True) == 2


def test_only_what_a_dead_process_left_is_removed() -> None:
    """The living owner's cluster and the one kept on purpose stay."""
    for name in ("mine", "kept", "orphan", "reused"):
        register.claim(name, keep=name == "kept")
    dead = subprocess.Popen(["/bin/true"])
    dead.wait()
    (register.cluster_folder("orphan") / "owner").write_text(f"{dead.pid} 12345")
    earlier = int(start_time(os.getppid()) or 0) - 1
    (register.cluster_folder("reused") / "owner").write_text(f"{os.getppid()} {earlier}")
    removed: list[str] = []

    register.remove_abandoned(removed.append)

    assert sorted(removed) == ["orphan", "reused"]


def test_another_living_process_keeps_its_name() -> None:
    """A name is busy while the process that took it lives, unless that is ourselves."""
    register.claim("mine", keep=False)
    register.claim("theirs", keep=False)
    other = os.getppid()
    (register.cluster_folder("theirs") / "owner").write_text(f"{other} {start_time(other)}")

    assert [register.is_busy(name) for name in ("mine", "theirs", "nobodys")] == [False, True, False]
