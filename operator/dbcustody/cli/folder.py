"""A folder of migrations on disk, whoever's it is: ours, Alembic's, or one that another tool has laid out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from dbcustody.cli.ending import complain
from dbcustody.errors import InvalidSpecError, RefusedError
from dbcustody.migration.alembic_source import VERSIONS, is_revision, read_alembic
from dbcustody.migration.digest import is_migration
from dbcustody.migration.fault import Fault
from dbcustody.migration.filename import Filename, parse_filename
from dbcustody.migration.foreign_folder import lay_out, recognise
from dbcustody.migration.layout import LaidFile, Layout, Tool
from dbcustody.migration.script import Script, SourceFile, read_scripts
from dbcustody.migration.shape import Shape, shape_of
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

AUTO: Final = "auto"
FORMS: Final = (AUTO, *(shape.value for shape in Shape), *(tool.value for tool in Tool))
_SHOWN: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """What a folder holds: *scripts* in their order, and how another tool has laid it out; None: it is ours, or Alembic's."""

    scripts: tuple[Script, ...]
    is_alembic: bool = False
    layout: Layout | None = None


def read_folder(folder: Path, form: str = AUTO) -> Folder:
    """Return what is in *folder*, which is what *form* says, or with `auto` what it looks like.

    Raises InvalidSpecError where there is none, and RefusedError (SourceInvalid) with every fault of every file. In another tool's folder a
    file that is in already is not refused: its faults stand at its script.
    """
    if not folder.is_dir():
        raise InvalidSpecError(f"--dir: there is no folder {folder}")
    layout = read_layout(folder, form)
    if layout is not None:
        return Folder(scripts=layout.scripts, layout=layout)
    shape = shape_of((path.name for path in _files(folder)), has_versions=_has_versions(folder))
    shape = shape if form == AUTO else Shape(form)
    paths = _revisions(folder) if shape is Shape.ALEMBIC else _files(folder)
    files = [SourceFile(name=path.name, content=path.read_bytes()) for path in paths]
    source = read_alembic(files) if shape is Shape.ALEMBIC else read_scripts(files)
    refuse(source.faults, folder)
    return Folder(scripts=source.scripts, is_alembic=shape is Shape.ALEMBIC)


def read_layout(folder: Path, form: str) -> Layout | None:
    """Return what another tool's *folder* holds, and tell what in it is left out; None: it is one of ours, or Alembic's.

    With *form* `auto` the names of the files decide. Raises RefusedError (SourceInvalid) with every fault of the folder itself.
    """
    if form in {shape.value for shape in Shape}:
        return None
    paths = _paths(folder)
    tool = _recognised(paths) if form == AUTO else Tool(form)
    if isinstance(tool, Fault):
        refuse([tool], folder)
    if not isinstance(tool, Tool):
        return None
    layout = lay_out(tool, [LaidFile(path=path, content=(folder / path).read_bytes()) for path in paths])
    refuse(layout.faults, folder)
    for words in layout.asides[:_SHOWN]:
        complain(words, kind="note")
    if len(layout.asides) > _SHOWN:
        complain(f"{len(layout.asides) - _SHOWN} more files are left out", kind="note")
    return layout


def refuse(faults: Sequence[Fault], folder: Path) -> None:
    """Tell every one of *faults* and raise RefusedError (SourceInvalid); nothing happens when there is none."""
    if not faults:
        return
    for fault in faults:
        complain(str(fault))
    raise RefusedError(f"{len(faults)} faults in {folder}; nothing was run", reason=Reason.SOURCE_INVALID)


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


def _paths(folder: Path) -> list[str]:
    """Return where the files below *folder* lie, without hidden ones and texts for people."""
    found = (path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file())
    return [
        path.as_posix() for path in found if path.suffix != ".md" and not any(part[0] == "." for part in path.parts)
    ]


def _recognised(paths: Sequence[str]) -> Tool | Fault | None:
    """Return whose files are at *paths*; a fault where some are named as ours are: the others' would be left out, or ours."""
    tool = recognise(paths)
    ours = next((path for path in paths if isinstance(parse_filename(path), Filename)), None)
    if isinstance(tool, Tool) and ours is not None:
        return Fault(
            file=ours,
            what=f"is named as a migration of dbcustody, and other files as {tool.label} names them",
            helps=f"say which they are: --format {Shape.SQL}, or --format {tool}",
        )
    return tool
