"""Our image, built on this machine from the repository's Dockerfile and named after what went into it."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ground.cache import REPOSITORY, cache_folder, cached, run, say
from ground.engine import engine
from ground.root import MAJORS, base_archive

if TYPE_CHECKING:
    from collections.abc import Iterator

PYTHON: Final = "3.13"
_PLATFORMS: Final = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
_PIP: Final = "pip==25.3"
_REQUIREMENTS: Final = REPOSITORY / "requirements" / "runtime.txt"
_KEPT: Final = 4


@dataclass(frozen=True)
class Image:
    """A built image: its *reference* on a node, and the docker-archive that a cluster loads."""

    reference: str
    archive: Path


def application_image(*, clients: tuple[int, ...] = MAJORS) -> Image:
    """Return the image of the code as it is now, with PostgreSQL's *clients* of these majors; built when it has changed."""
    with tempfile.TemporaryDirectory(prefix="dbcustody-image-") as folder:
        context = Path(folder)
        _fill(context)
        tag = _digest(context, base_archive(clients=clients).name)
        reference = f"localhost/dbcustody:{tag}"
        archive = cached(
            f"images/dbcustody-{tag}.tar",
            lambda draft: _build(draft, context, reference, clients),
            doing=f"building the image {reference} (a minute the first time, then seconds)",
        )
    os.utime(archive)
    _forget_old(archive)
    return Image(reference, archive)


def _fill(context: Path) -> None:
    """Lay out what the Dockerfile copies: pinned wheels, and our own as a release would build it."""
    for name in ("Dockerfile", ".dockerignore"):
        shutil.copy(REPOSITORY / name, context / name)
    (context / "requirements").mkdir()
    shutil.copy(_REQUIREMENTS, context / "requirements")
    shutil.copytree(_wheels(), context / "wheels", copy_function=os.link if _same_device(context) else shutil.copy)
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", context / "dist"], cwd=REPOSITORY)


def _wheels() -> Path:
    """Return a folder with every pinned package for the image's Python, checked against the pinned hashes."""
    digest = hashlib.sha256(_REQUIREMENTS.read_bytes() + repr((PYTHON, _PLATFORMS, _PIP)).encode()).hexdigest()[:12]
    return cached(f"wheels-{digest}", _download, doing="fetching the image's Python packages (10 s)")


def _download(draft: Path) -> None:
    pip: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "--dest",
        draft,
    ]
    platforms = [f"--platform={platform}" for platform in _PLATFORMS]
    target = ["--implementation=cp", f"--python-version={PYTHON}", *platforms]
    run([*pip, *target, "--require-hashes", "-r", _REQUIREMENTS])
    run([*pip, _PIP])


def _build(draft: Path, context: Path, reference: str, clients: tuple[int, ...]) -> None:
    base = base_archive(clients=clients)
    base_reference = f"localhost/dbcustody-base:{base.stem.removeprefix('base-')}"
    with engine() as docker:
        if base_reference not in docker.references("localhost/dbcustody-base"):
            say(f"loading {base_reference}")
            docker.docker("import", base, base_reference)
        docker.build(context, reference, {"BASE": base_reference, "CLIENTS": " ".join(map(str, clients))})
        docker.docker("save", "--output", draft, reference)
        for old in docker.references("localhost/dbcustody")[_KEPT:]:
            docker.docker("image", "rm", old)
        docker.docker("image", "prune", "--force", "--filter", "until=24h")  # younger steps make the next build quick


def _digest(context: Path, base: str) -> str:
    digest = hashlib.sha256(base.encode())
    for path in _files(context):
        digest.update(f"{path.relative_to(context)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _forget_old(newest: Path) -> None:
    """Keep the archives that were used last; each is a third of a gigabyte."""
    archives = sorted(newest.parent.glob("*.tar"), key=lambda path: path.stat().st_mtime, reverse=True)
    for archive in archives[_KEPT:]:
        archive.unlink(missing_ok=True)


def _same_device(folder: Path) -> bool:
    return folder.stat().st_dev == cache_folder().stat().st_dev
