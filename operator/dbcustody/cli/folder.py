"""A folder of migrations on disk, whoever's it is: ours, Alembic's, or one that another tool has laid out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from dbcustody.cli.ending import complain
from dbcustody.errors import InvalidSpecError, RefusedError
from dbcustody.migration.digest import is_migration
from dbcustody.migration.fault import Fault
from dbcustody.migration.filename import Filename, parse_filename
from dbcustody.migration.layout import LaidFile, Tool
from dbcustody.migration.tree import AUTO, Tree, files_of, owner_of, read_tree
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dbcustody.migration.layout import Layout
    from dbcustody.migration.shape import Shape

_SHOWN: Final = 10


def read_folder(folder: Path, form: str = AUTO) -> Tree:
    """Return what is in *folder*, which is what *form* says, or with `auto` what it looks like; what is left out of it is told.

    Raises InvalidSpecError where there is none, and RefusedError (SourceInvalid) with every fault of every file. In another tool's folder a
    file that is in already is not refused: its faults stand at its script.
    """
    if not folder.is_dir():
        raise InvalidSpecError(f"--dir: there is no folder {folder}")
    paths = _paths(folder)
    return _read(folder, _owner(folder, paths, form), paths)


def read_layout(folder: Path, form: str) -> Layout | None:
    """Return what another tool's *folder* holds, and tell what in it is left out; None: it is one of ours, or Alembic's, and is not read.

    With *form* `auto` the names of the files decide. Raises RefusedError (SourceInvalid) with every fault of the folder itself.
    """
    paths = _paths(folder)
    owner = _owner(folder, paths, form)
    return _read(folder, owner, paths).layout if isinstance(owner, Tool) else None


def _owner(folder: Path, paths: Sequence[str], form: str) -> Shape | Tool:
    owner = owner_of(paths, form)
    if isinstance(owner, Fault):
        raise _refused([owner], folder)
    return owner


def _read(folder: Path, owner: Shape | Tool, paths: Sequence[str]) -> Tree:
    files = [LaidFile(path=path, content=(folder / path).read_bytes()) for path in files_of(owner, paths)]
    tree = read_tree(owner, files)
    refuse(tree.faults, folder)
    asides = tree.layout.asides if tree.layout is not None else ()
    for words in asides[:_SHOWN]:
        complain(words, kind="note")
    if len(asides) > _SHOWN:
        complain(f"{len(asides) - _SHOWN} more files are left out", kind="note")
    return tree


def refuse(faults: Sequence[Fault], folder: Path) -> None:
    """Tell every one of *faults* and raise RefusedError (SourceInvalid); nothing happens when there is none."""
    if faults:
        raise _refused(faults, folder)


def _refused(faults: Sequence[Fault], folder: Path) -> RefusedError:
    for fault in faults:
        complain(str(fault))
    return RefusedError(f"{len(faults)} faults in {folder}; nothing was run", reason=Reason.SOURCE_INVALID)


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


def _paths(folder: Path) -> list[str]:
    """Return where the files below *folder* lie."""
    return [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
