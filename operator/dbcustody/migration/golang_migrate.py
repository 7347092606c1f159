"""A folder of golang-migrate: `<version>_<title>.up.sql` and `.down.sql`, versions being numbers; it keeps no checksums.

Naming: `source/parse.go` and MIGRATIONS.md of golang-migrate/migrate.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from dbcustody.migration.fault import Fault
from dbcustody.migration.layout import LaidFile, LaidMigration, Layout, Rank, Tool, repeats

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_NAME: Final = re.compile(r"(?P<stem>(?P<version>[0-9]+)_.*)\.(?P<way>up|down)\.sql")


def is_golang_migrate(paths: Sequence[str]) -> bool:
    """Return whether files at *paths* are laid out as golang-migrate does; a `.down.sql` alone may be one of ours."""
    return any((found := _NAME.fullmatch(path)) is not None and found["way"] == "up" for path in paths)


def lay_out(files: Sequence[LaidFile]) -> Layout:
    """Return the migrations of golang-migrate's folder of *files*."""
    named = [(found, file) for file in files if (found := _NAME.fullmatch(file.path))]
    ups = sorted(
        ((found, file) for found, file in named if found["way"] == "up"),
        key=lambda one: (rank(one[0]["version"]), one[1].path),
    )
    downs = [(key_of(found["version"]), file) for found, file in named if found["way"] == "down"]
    back = dict(reversed(downs))
    migrations = tuple(
        LaidMigration(
            key=(key := key_of(found["version"])), name=found["stem"], up=file, down=back.get(key)
        )
        for found, file in ups
    )  # fmt: skip
    known = {file.path for _, file in named}
    return Layout(
        tool=Tool.GOLANG_MIGRATE,
        migrations=migrations,
        faults=(*repeats(migrations), *_lonely(downs, {one.key for one in migrations})),
        asides=tuple(f"{file.path}: is none of golang-migrate's" for file in files if file.path not in known),
    )


def key_of(version: str) -> str:
    """Return *version* as the table has it: `000001` is 1. Raises ValueError for what is no number."""
    return str(rank(version)[0])


def rank(key: str) -> Rank:
    """Return what the version *key* is sorted by: as a number. Raises ValueError for what is none."""
    if not key.isdecimal():
        raise ValueError(f"{key!r} is no version of golang-migrate")
    return (int(key),)


def _lonely(downs: Sequence[tuple[str, LaidFile]], keys: set[str]) -> Iterator[Fault]:
    seen: set[str] = set()
    for key, file in downs:
        if key not in keys:
            what = f"is the way back from version {key}, which is not there"
            yield Fault(file=file.path, what=what, helps="add its .up.sql, or take this one out")
        elif key in seen:
            what = f"is a second way back from version {key}"
            yield Fault(file=file.path, what=what, helps="keep one of them")
        seen.add(key)
