"""Everything that the test ground needs, fetched or built in one go: what is there already costs nothing."""

from __future__ import annotations

import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from ground import helm, kubebuild, s3
from ground.archive import pause_image
from ground.cache import GroundError, cache_folder, say
from ground.image import application_image
from ground.package import CLUSTER_PROGRAMS, SERVER_PROGRAMS, require
from ground.postgres import VERSIONS, server_folder
from ground.root import MAJORS, client_folder

if TYPE_CHECKING:
    from collections.abc import Callable

_SPACE_BYTES: Final = {True: 16 << 30, False: 4 << 30}
"""Free disk that a first set-up takes, with and without the cluster: Go's build cache is the largest part."""


def prepare(*, with_cluster: bool = True) -> None:
    """Install and build whatever is missing; raises GroundError with one clear word where this machine cannot."""
    started = time.monotonic()
    check_machine()
    mark = cache_folder() / ("ready-with-cluster" if with_cluster else "ready")
    first = not mark.exists()
    if first:
        _check_space(with_cluster=with_cluster)
        say(
            f"first time: {'15 to 24' if with_cluster else 'about 8'} minutes on 2 cores, as packages come; kept in {cache_folder()}"
        )
    require([*SERVER_PROGRAMS, *(CLUSTER_PROGRAMS if with_cluster else ())])
    _at_once([_prepare_servers, kubebuild.programs] if with_cluster else [_prepare_servers])
    if with_cluster:
        pause_image()
        application_image()
    mark.touch()
    if first:
        say(f"everything is there after {time.monotonic() - started:.0f} s")


def _prepare_servers() -> None:
    for major in VERSIONS:
        server_folder(major)
    for major in MAJORS:
        client_folder(major)
    s3.program()
    helm.program()


def _at_once(tasks: list[Callable[[], object]]) -> None:
    """Run *tasks* side by side; the first failure is raised when all have ended."""
    with ThreadPoolExecutor(len(tasks)) as pool:
        for done in [pool.submit(task) for task in tasks]:
            done.result()


def check_machine() -> None:
    """Raise GroundError with what is needed when this machine cannot be the test ground."""
    if os.geteuid() == 0 and shutil.which("apt-get") and os.uname().machine == "x86_64":
        return
    raise GroundError(
        "the test ground runs a complete Kubernetes, PostgreSQL servers and an S3 server on this machine. That takes a Debian-like x86-64 "
        "machine, root and apt; what is missing is then installed by itself. `make check` needs none of this"
    )


def _check_space(*, with_cluster: bool) -> None:
    free = shutil.disk_usage(cache_folder()).free
    if free < _SPACE_BYTES[with_cluster]:
        wanted = _SPACE_BYTES[with_cluster] >> 30
        raise GroundError(
            f"{cache_folder()}: {free >> 30} GiB are free, the first set-up takes {wanted} GiB; DBCUSTODY_CACHE names another folder"
        )
