"""The cluster by kind, as far as it can be tried without a Docker engine: which commands are given, and what is said without them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ground import kind
from ground.cache import GroundError
from ground.image import Image
from ground.kind import PROGRAMS, KindCluster

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Return what was given to programs that write down what they are asked for, and do nothing; kind fails where it is told to."""
    journal = tmp_path / "journal"
    for name in PROGRAMS:
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >>"{journal}"\ntest "$1" != "$FAILS"\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(kind, "application_image", lambda: Image("localhost/dbcustody:1", Path("image.tar")))
    return lambda: journal.read_text().splitlines()


def test_a_cluster_is_made_loaded_and_deleted(commands: Callable[[], list[str]]) -> None:
    """With a kubeconfig of its own: the user's is left alone."""
    cluster = KindCluster("t-kind")
    cluster.start()
    cluster.kubeconfig.touch()
    cluster.stop()
    config = f"--kubeconfig={cluster.kubeconfig}"

    assert commands() == [
        f"kind create cluster --name=dbcustody-t-kind {config} --wait=120s",
        "kind load image-archive image.tar --name=dbcustody-t-kind",
        f"kind delete cluster --name=dbcustody-t-kind {config}",
    ]
    assert cluster.environment == {"KUBECONFIG": str(cluster.kubeconfig)}
    assert not cluster.kubeconfig.exists()


def test_what_kind_refuses_is_an_error(commands: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is loaded into a cluster that was not made."""
    monkeypatch.setenv("FAILS", "create")
    with pytest.raises(GroundError):
        KindCluster("t-kind").start()

    assert len(commands()) == 1


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And that it can be done without."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GroundError, match=r"docker, kind, kubectl not found on the PATH; .* leave PROVIDER out"):
        KindCluster("t-kind").start()
