"""Whatever a folder of migrations holds, whoever has laid it out: ours, Alembic's, or another tool's.

The names of the files tell whose it is; only the files that are its are to be read, for much else may lie there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dbcustody.api.migration_source import SourceFormat
from dbcustody.migration.alembic_source import VERSIONS, is_revision, read_alembic
from dbcustody.migration.digest import is_migration
from dbcustody.migration.fault import Fault
from dbcustody.migration.filename import Filename, parse_filename, repeated
from dbcustody.migration.foreign_folder import lay_out, recognise
from dbcustody.migration.layout import LaidFile, Layout, Tool
from dbcustody.migration.script import Script, SourceFile, read_scripts
from dbcustody.migration.shape import Shape, shape_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

AUTO: Final = "auto"
FORMS: Final = (AUTO, *(shape.value for shape in Shape), *(tool.value for tool in Tool))
_FORM_OF: Final[dict[SourceFormat, str]] = {
    SourceFormat.AUTO: AUTO,
    SourceFormat.SQL: Shape.SQL,
    SourceFormat.ALEMBIC: Shape.ALEMBIC,
    SourceFormat.PRISMA: Tool.PRISMA,
    SourceFormat.FLYWAY: Tool.FLYWAY,
    SourceFormat.GOLANG_MIGRATE: Tool.GOLANG_MIGRATE,
    SourceFormat.ATLAS: Tool.ATLAS,
}
"""What a resource calls each of them."""


def form_of(said: SourceFormat, *, in_image: bool) -> str:
    """Return what `owner_of` is told of a source that is *said* to be so.

    What was put into ConfigMaps, one by one, is ours unless somebody says another: a name that was a fault is not to run one day.
    """
    return Shape.SQL if said is SourceFormat.AUTO and not in_image else _FORM_OF[said]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """What a folder holds: *scripts* in their order, and what is wrong with it; with faults nothing is to be run."""

    scripts: tuple[Script, ...] = ()
    files: tuple[LaidFile, ...] = ()
    """Those that hold them: what else lies in the folder counts for nothing."""
    faults: tuple[Fault, ...] = ()
    is_alembic: bool = False
    layout: Layout | None = None
    """How another tool has laid it out; None: it is ours, or Alembic's. What is wrong with a file of it stands at its script."""


def owner_of(paths: Sequence[str], form: str = AUTO) -> Shape | Tool | Fault:
    """Return whose a folder with files at *paths* is: what *form* says, or with `auto` what their names look like.

    A fault where they look like two owners'.
    """
    if form != AUTO:
        return Shape(form) if form in {shape.value for shape in Shape} else Tool(form)
    tool = recognise(files_of(Tool.PRISMA, paths))
    ours = next((path for path in paths if isinstance(parse_filename(path), Filename)), None)
    if isinstance(tool, Tool) and ours is not None:
        return Fault(
            file=ours,
            what=f"is named as a migration of dbcustody, and other files as {tool.label} names them",
            helps=f"say which they are: {Shape.SQL}, or {tool} (`--format`, or `source.format` of a DatabaseMigration)",
        )
    if tool is not None:
        return tool
    return shape_of(files_of(Shape.SQL, paths), has_versions=any(map(_is_inner_revision, paths)))


def files_of(owner: Shape | Tool, paths: Iterable[str]) -> list[str]:
    """Return those of *paths* that are the migrations of *owner*, or tell of their order; the others are somebody else's."""
    given = list(paths)
    if isinstance(owner, Tool):
        return [path for path in given if not path.endswith(".md") and not _is_hidden(path)]
    top = [path for path in given if "/" not in path]
    if owner is Shape.SQL:
        return [path for path in top if is_migration(path)]
    return [path for path in given if _is_inner_revision(path)] or [path for path in top if is_revision(path)]


def read_tree(owner: Shape | Tool, files: Iterable[LaidFile]) -> Tree:
    """Return what *files* of *owner*, those that `files_of` names, are."""
    given = tuple(files)
    if isinstance(owner, Tool):
        layout = lay_out(owner, given)
        scripts = () if layout.faults else layout.scripts
        read = {one.path for each in layout.migrations for one in (each.up, each.down) if one is not None}
        counted = tuple(file for file in given if file.path in read)
        return Tree(scripts=scripts, files=counted, faults=layout.faults, layout=layout)
    named = [SourceFile(name=file.name, content=file.content) for file in given]
    source = read_alembic(named) if owner is Shape.ALEMBIC else read_scripts(named)
    return Tree(scripts=source.scripts, files=given, faults=source.faults, is_alembic=owner is Shape.ALEMBIC)


def read_files(files: Iterable[LaidFile], form: str = AUTO) -> Tree:
    """Return what *files* are, whoever's, with `owner_of`'s fault among those of the files."""
    given = list(files)
    owner = owner_of([file.path for file in given], form)
    if isinstance(owner, Fault):
        return Tree(faults=(owner,))
    its = frozenset(files_of(owner, (file.path for file in given)))
    counted = [file for file in given if file.path in its]
    twice = () if owner is Shape.SQL else tuple(repeated(file.path for file in counted))
    return Tree(faults=twice) if twice else read_tree(owner, counted)


def _is_hidden(path: str) -> bool:
    return any(part.startswith(".") for part in path.split("/"))


def _is_inner_revision(path: str) -> bool:
    """Return whether it is a revision in the folder that Alembic keeps them in."""
    folder, _, name = path.rpartition("/")
    return folder == VERSIONS and is_revision(name)
