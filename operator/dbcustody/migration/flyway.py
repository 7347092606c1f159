"""A folder of Flyway: `V<version>__<description>.sql`, undone by `U<version>__...`, in folders of any depth; and its checksums.

Naming and order: https://documentation.red-gate.com/flyway/flyway-concepts/migrations and its class `MigrationVersion`.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING, Final

from dbcustody.migration.fault import Fault
from dbcustody.migration.layout import LaidFile, LaidMigration, Layout, Rank, Tool, repeats

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_NAME: Final = re.compile(r"(?P<prefix>[VU])(?P<version>[0-9]+(?:[._][0-9]+)*)__(?P<words>.*)\.sql")
_PREFIXED: Final = re.compile(r"[VU][0-9].*\.sql")
_REPEATABLE: Final = re.compile(r"R__.*\.sql")
_BASELINE: Final = re.compile(r"B[0-9].*__.*\.sql")
_PLACEHOLDER: Final = re.compile(r"\$\{[^}\s]+\}")
_MARK: Final = "\ufeff"
_HALF: Final = 1 << 31
CONVENTION: Final = "V1.2__what_it_does.sql, or U1.2__... for the way back"


def is_flyway(paths: Sequence[str]) -> bool:
    """Return whether files at *paths* are laid out as Flyway does."""
    return any(_NAME.fullmatch(path.rpartition("/")[2]) for path in paths)


def lay_out(files: Sequence[LaidFile]) -> Layout:
    """Return the migrations of Flyway's folder of *files*."""
    named = [(found, file) for file in files if (found := _NAME.fullmatch(file.name))]
    ups = sorted(
        ((found, file) for found, file in named if found["prefix"] == "V"),
        key=lambda one: (rank(canonical(one[0]["version"])), one[1].path),
    )
    downs = {canonical(found["version"]): file for found, file in named if found["prefix"] == "U"}
    migrations = tuple(
        LaidMigration(
            key=(key := canonical(found["version"])),
            name=file.name.removesuffix(".sql"),
            up=file,
            down=downs.get(key),
            faults=tuple(_placeholders(file)),
        )
        for found, file in ups
    )
    keys = {one.key for one in migrations}
    lonely = (
        Fault(file=file.path, what=f"undoes version {key}, which is not there", helps="add its V file, or take it out")
        for key, file in sorted(downs.items())
        if key not in keys
    )
    return Layout(
        tool=Tool.FLYWAY,
        migrations=migrations,
        faults=(*_misnamed(files), *repeats(migrations), *lonely),
        asides=tuple(_asides(files)),
    )


def canonical(version: str) -> str:
    """Return *version* as all ways to write it: `1_1`, `01.1` and `1.1.0` are one; raises ValueError for what is none."""
    parts = [int(part) for part in version.replace("_", ".").split(".")]
    while len(parts) > 1 and parts[-1] == 0:
        parts.pop()
    return ".".join(map(str, parts))


def rank(key: str) -> Rank:
    """Return what the version *key* is sorted by: part by part, as numbers. Raises ValueError for what is not written so."""
    parts = key.split(".")
    if not all(part.isdecimal() for part in parts):
        raise ValueError(f"{key!r} is no version of Flyway as its table has them")
    return tuple(map(int, parts))


def checksum(content: bytes) -> str:
    """Return what Flyway keeps of a file of *content*, in digits.

    The CRC-32 of its lines in UTF-8 without line ends and byte order mark, as a signed number of 32 bits (its class `ChecksumCalculator`).
    """
    text = content.decode(errors="replace").removeprefix(_MARK).replace("\r", "").replace("\n", "")
    value = zlib.crc32(text.encode())
    return str(value - 2 * _HALF if value >= _HALF else value)


def _placeholders(file: LaidFile) -> Iterator[Fault]:
    """Yield a fault when Flyway would fill something in before it runs *file*."""
    found = _PLACEHOLDER.search(file.content.decode(errors="replace"))
    if found is not None:
        yield Fault(
            file=file.path,
            what=f"has the placeholder {found[0][:60]}, which only Flyway fills in",
            helps="write what it stands for",
        )


def _misnamed(files: Sequence[LaidFile]) -> Iterator[Fault]:
    for file in files:
        if _PREFIXED.fullmatch(file.name) and not _NAME.fullmatch(file.name):
            yield Fault(file=file.path, what="is not named as Flyway names migrations", helps=f"call it {CONVENTION}")


def _asides(files: Sequence[LaidFile]) -> Iterator[str]:
    for file in files:
        if _REPEATABLE.fullmatch(file.name):
            yield f"{file.path}: is repeatable, and is not carried out here; write what changes in it as a migration"
        elif _BASELINE.fullmatch(file.name):
            yield f"{file.path}: is a baseline migration, and is not carried out here; the versions before it are"
        elif not _PREFIXED.fullmatch(file.name):
            yield f"{file.path}: is no versioned migration of Flyway's"
