"""Setting up says one clear thing where this machine cannot carry the test ground, before it touches anything."""

from __future__ import annotations

import os
import shutil
from collections import namedtuple
from typing import TYPE_CHECKING

import pytest

from ground import package, setup
from ground.cache import GroundError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBCUSTODY_CACHE", str(tmp_path))


def test_without_root_it_says_what_is_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One message names what the machine must have; nothing is downloaded."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(GroundError, match="Debian-like x86-64 machine, root and apt"):
        setup.prepare()

    assert list(tmp_path.iterdir()) == []


def test_too_little_space_is_told_at_the_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says how much is free, how much is wanted, and how to use another disk."""
    usage = namedtuple("usage", ["total", "used", "free"])  # noqa: PYI024 - shutil's own shape
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10 << 30, 9 << 30, 1 << 30))

    with pytest.raises(GroundError, match=r"1 GiB are free, .* takes 16 GiB; DBCUSTODY_CACHE"):
        setup.prepare()


def test_missing_packages_without_apt_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be installed the message lists the packages."""
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)

    with pytest.raises(GroundError, match="these Debian packages are missing: iproute2 runc"):
        package.require(["ip", "runc"])


def test_what_is_there_is_not_installed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs that are on the path cost no call of apt."""
    monkeypatch.setattr(package, "run", lambda *_, **__: pytest.fail("apt was called"))

    package.require(["ip", "nsenter"])
