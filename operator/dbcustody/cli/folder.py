"""The folder of migrations that a command is given: what it is, its files, and the time that a new one gets."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from dbcustody.cli.ending import complain
from dbcustody.errors import InvalidSpecError, RefusedError
from dbcustody.migration.alembic_source import VERSIONS, is_revision, read_alembic
from dbcustody.migration.digest import is_migration
from dbcustody.migration.filename import Filename, parse_filename
from dbcustody.migration.script import Script, SourceFile, read_scripts
from dbcustody.migration.shape import Shape, shape_of
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """What a folder holds."""

    shape: Shape
    scripts: tuple[Script, ...]
    """In their order, without faults."""


def read_folder(folder: Path, shape: Shape | None = None) -> Folder:
    """Return the migrations of *folder* in their order; raises RefusedError (SourceInvalid) with every fault of every file.

    *shape* None: it is what it looks like.
    """
    if not folder.is_dir():
        raise InvalidSpecError(f"--dir: there is no folder {folder}")
    found = shape or shape_of((path.name for path in _files(folder)), has_versions=_has_versions(folder))
    paths = _revisions(folder) if found is Shape.ALEMBIC else _files(folder)
    files = [SourceFile(name=path.name, content=path.read_bytes()) for path in paths]
    source = read_alembic(files) if found is Shape.ALEMBIC else read_scripts(files)
    if source.faults:
        for fault in source.faults:
            complain(str(fault))
        raise RefusedError(f"{len(source.faults)} faults in {folder}; nothing was run", reason=Reason.SOURCE_INVALID)
    return Folder(shape=found, scripts=source.scripts)


def time_after(folder: Path, now: datetime) -> datetime:
    """Return *now*, or the second after the newest migration in *folder* when that is not earlier."""
    names = [parse_filename(path.name) for path in _files(folder)]
    taken = [
        datetime.strptime(one.revision, "%Y%m%d_%H%M%S").replace(tzinfo=UTC)
        for one in names
        if isinstance(one, Filename)
    ]
    newest = max(taken, default=None)
    moment = now.replace(microsecond=0)
    return moment if newest is None or moment > newest else newest + timedelta(seconds=1)


def python_template(title: str, revision: str) -> str:
    """Return the text of an empty migration in Python; what it follows is the file before it, which its name says."""
    said = title.replace("\\", "").replace('"', "'")
    return (
        f'"""{said}."""\n\nimport sqlalchemy as sa\nfrom alembic import op\n\nrevision = "{revision}"\n\n\n'
        "def upgrade() -> None:\n    pass\n\n\ndef downgrade() -> None:\n    pass  # left empty, it cannot be undone\n"
    )


def _files(folder: Path) -> list[Path]:
    """Return the files that are to be migrations; hidden ones and texts for people are not."""
    return [one for one in sorted(folder.iterdir()) if one.is_file() and is_migration(one.name)]


def _has_versions(folder: Path) -> bool:
    return (folder / VERSIONS).is_dir() and bool(_revisions(folder))


def _revisions(folder: Path) -> list[Path]:
    """Return the revisions of Alembic's *folder*: those in its `versions`, or in itself where it is that."""
    inner = folder / VERSIONS
    return [one for one in sorted((inner if inner.is_dir() else folder).iterdir()) if is_revision(one.name)]
