"""A folder of migrations on disk, whoever's it is: ours, or one that another tool has laid out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dbcustody.cli.ending import complain
from dbcustody.errors import RefusedError
from dbcustody.migration.fault import Fault
from dbcustody.migration.filename import Filename, parse_filename
from dbcustody.migration.foreign_folder import lay_out, recognise
from dbcustody.migration.layout import LaidFile, Layout, Tool
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

AUTO: Final = "auto"
OURS: Final = "sql"
FORMS: Final = (AUTO, OURS, *(tool.value for tool in Tool))
_SHOWN: Final = 10


def read_layout(folder: Path, form: str) -> Layout | None:
    """Return what another tool's *folder* holds, and tell what in it is left out; None: the folder is one of ours.

    With *form* `auto` the names of the files decide. Raises RefusedError (SourceInvalid) with every fault of the folder itself.
    """
    if form == OURS:
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
            helps=f"say which they are: --format {OURS}, or --format {tool}",
        )
    return tool
