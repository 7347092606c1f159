"""A Debian root file system with PostgreSQL's clients 17 and 18: the base of our image, and the clients of the tests.

Debian's stable release has client 17; client 18 and the libpq that fits both come from the next one. The mirror is the machine's own.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import tempfile
from pathlib import Path
from typing import Final

from ground.cache import GroundError, cached, run
from ground.package import require

RELEASE: Final = "trixie"
NEXT_RELEASE: Final = "forky"
PACKAGES: Final = ("busybox-static", "ca-certificates", "tzdata", "python3")
MAJORS: Final = (17, 18)
_PIN: Final = (
    f"Package: *\\nPin: release n={NEXT_RELEASE}\\nPin-Priority: 100\\n\\n"
    f"Package: libpq5\\nPin: release n={NEXT_RELEASE}\\nPin-Priority: 900\\n"
)


def mirror() -> str:
    """Return the address from which this machine gets Debian's packages."""
    for path in (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list")):
        if path.exists() and (
            found := re.search(r"^(?:URIs:\s*|deb\s+(?:\[[^]]*\]\s*)?)(\S+)", path.read_text(), re.MULTILINE)
        ):
            return found[1]
    raise GroundError("this machine has no apt source of Debian; the base of the image cannot be made")


def base_archive(*, clients: tuple[int, ...] = MAJORS) -> Path:
    """Return a tar of the root file system with the *clients* of these majors."""
    require(["mmdebstrap"])
    return cached(
        f"base-{_digest(clients)}.tar",
        lambda draft: _make_archive(draft, clients),
        doing=f"making a Debian {RELEASE} with PostgreSQL clients {' and '.join(map(str, clients))} (20 s)",
    )


def client_folder(major: int) -> Path:
    """Return a folder with pg_dump, pg_restore, pg_dumpall and psql of *major* that run on this machine, whatever its libc is."""
    digest = _digest(MAJORS)
    root = cached(f"root-{digest}", _unpack, doing="unpacking PostgreSQL clients")
    return cached(
        f"clients-{digest}/{major}",
        lambda draft: _write_wrappers(draft, root, major),
        doing=f"PostgreSQL client {major}",
    )


def _digest(clients: tuple[int, ...]) -> str:
    """Return a name for the recipe of a base, so that another recipe makes another base."""
    return hashlib.sha256(repr(_recipe(clients)).encode()).hexdigest()[:12]


def _recipe(clients: tuple[int, ...]) -> list[str]:
    packages = [*PACKAGES, *(f"postgresql-client-{major}" for major in clients)]
    excluded = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*")
    return [
        *("mmdebstrap", "--variant=minbase", "--format=tar", "--mode=root", "--skip=output/dev"),
        # A mirror may be a frozen copy: its signatures still hold when its validity has passed.
        *('--aptopt=Acquire::Check-Valid-Until "false"', '--aptopt=Apt::Install-Recommends "false"'),
        f'--setup-hook=mkdir -p "$1"/etc/apt/preferences.d; printf {shlex.quote(_PIN)} > "$1"/etc/apt/preferences.d/clients',
        f"--include={','.join(packages)}",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in excluded),
    ]


def _make_archive(draft: Path, clients: tuple[int, ...]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sources = Path(folder) / "sources.list"
        sources.write_text(f"deb {mirror()} {RELEASE} main\ndeb {mirror()} {NEXT_RELEASE} main\n")
        run([*_recipe(clients), RELEASE, draft, sources])


def _unpack(draft: Path) -> None:
    draft.mkdir()
    wanted = ("./usr/lib", "./usr/lib64", "./lib", "./lib64", "./usr/share/zoneinfo")
    run(["tar", "-xf", base_archive(), "-C", draft, "--no-same-owner", *wanted])


def _write_wrappers(draft: Path, root: Path, major: int) -> None:
    draft.mkdir(parents=True)
    library = root / "usr/lib/x86_64-linux-gnu"
    for program in ("pg_dump", "pg_restore", "pg_dumpall", "psql"):
        real = root / f"usr/lib/postgresql/{major}/bin/{program}"
        wrapper = draft / program
        # The loader is told the program's name, by which PostgreSQL's clients find their own version's companions.
        line = f'exec {library}/ld-linux-x86-64.so.2 --library-path {library} --argv0 {real} {real} "$@"'
        wrapper.write_text(f"#!/bin/sh\n{line}\n")
        wrapper.chmod(0o755)


def readable_by_everybody(path: Path) -> bool:
    """Return whether an unprivileged user can get to *path*."""
    return all(os.stat(parent).st_mode & 0o001 for parent in path.resolve().parents)  # noqa: PTH116 - a bit test on each
