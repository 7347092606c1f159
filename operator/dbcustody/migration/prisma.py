"""A folder of Prisma Migrate: `<14 digits>_<slug>/migration.sql`, beside them `migration_lock.toml`; and what its checksums are of.

Prisma knows a migration by the name of its folder and sorts by it, whatever the name is
(https://www.prisma.io/docs/orm/prisma-migrate/understanding-prisma-migrate/migration-histories). Its guide to down migrations puts
`down.sql` into the same folder; Prisma itself never runs that.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

from dbcustody.migration.fault import Fault
from dbcustody.migration.layout import LaidFile, LaidMigration, Layout, Rank, Tool

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

LOCK: Final = "migration_lock.toml"
UP: Final = "migration.sql"
DOWN: Final = "down.sql"
_PROVIDER: Final = re.compile(rb'^\s*provider\s*=\s*"([^"]*)"', re.MULTILINE)
_OURS: Final = frozenset({b"postgresql", b"postgres"})
_DIGITS: Final = 64


def is_prisma(paths: Sequence[str]) -> bool:
    """Return whether files at *paths* are laid out as Prisma does."""
    return any(path == LOCK or (path.count("/") == 1 and path.endswith(f"/{UP}")) for path in paths)


def lay_out(files: Sequence[LaidFile]) -> Layout:
    """Return the migrations of Prisma's folder of *files*."""
    by_path = {file.path: file for file in files}
    folders = sorted({file.path.partition("/")[0] for file in files if file.path.count("/") == 1})
    migrations = tuple(
        LaidMigration(
            key=name, name=name, up=by_path[f"{name}/{UP}"], down=by_path.get(f"{name}/{DOWN}")
        )
        for name in folders
        if f"{name}/{UP}" in by_path
    )  # fmt: skip
    used = {LOCK, *(f"{one.key}/{name}" for one in migrations for name in (UP, DOWN))}
    return Layout(
        tool=Tool.PRISMA,
        migrations=migrations,
        faults=(*_folder_faults(folders, by_path), *_lock_faults(by_path.get(LOCK))),
        asides=tuple(f"{path}: is none of Prisma's" for path in sorted(by_path) if path not in used),
    )


def rank(key: str) -> Rank:
    """Return what *key*, the name of a folder, is sorted by."""
    return (key,)


def fits(content: bytes, checksum: str) -> bool:
    """Return whether *checksum*, as Prisma keeps it, is that of the file *content*.

    It compares as its engine does (`checksum.rs` of prisma-engines): SHA-256 of the bytes, of the bytes with the line ends of Unix, or
    with those of Windows; digits of before version 2.19 lack the zeros in front (prisma/prisma-engines#1887).
    """
    forms = (content, content.replace(b"\r\n", b"\n"), content.replace(b"\n", b"\r\n"))
    digests = (hashlib.sha256(form) for form in forms)
    if checksum and len(checksum) != _DIGITS:
        return any("".join(f"{byte:x}" for byte in digest.digest()) == checksum for digest in digests)
    return any(digest.hexdigest() == checksum for digest in digests)


def _folder_faults(folders: Sequence[str], by_path: Mapping[str, LaidFile]) -> Iterator[Fault]:
    for name in folders:
        if f"{name}/{UP}" not in by_path:
            yield Fault(
                file=name,
                what=f"is a folder without {UP}",
                helps="bring the file back, or delete the folder when it never ran anywhere",
            )


def _lock_faults(lock: LaidFile | None) -> Iterator[Fault]:
    """Yield a fault when the folder was made for another database system."""
    found = _PROVIDER.search(lock.content) if lock is not None else None
    if found is not None and found[1] not in _OURS:
        provider = found[1].decode(errors="replace")
        yield Fault(
            file=LOCK,
            what=f"says that the migrations are for {provider}",
            helps="name the folder of migrations for PostgreSQL",
        )
