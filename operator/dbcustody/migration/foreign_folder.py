"""Which tool's a folder is: by what only that tool calls its files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dbcustody.migration import atlas, flyway, golang_migrate, prisma
from dbcustody.migration.fault import Fault
from dbcustody.migration.layout import LaidFile, Layout, Rank, Tool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_SIGNS: Final[dict[Tool, Callable[[Sequence[str]], bool]]] = {
    Tool.PRISMA: prisma.is_prisma,
    Tool.FLYWAY: flyway.is_flyway,
    Tool.GOLANG_MIGRATE: golang_migrate.is_golang_migrate,
    Tool.ATLAS: atlas.is_atlas,
}
_READERS: Final[dict[Tool, Callable[[Sequence[LaidFile]], Layout]]] = {
    Tool.PRISMA: prisma.lay_out,
    Tool.FLYWAY: flyway.lay_out,
    Tool.GOLANG_MIGRATE: golang_migrate.lay_out,
    Tool.ATLAS: atlas.lay_out,
}
_RANKS: Final[dict[Tool, Callable[[str], Rank]]] = {
    Tool.PRISMA: prisma.rank,
    Tool.FLYWAY: flyway.rank,
    Tool.GOLANG_MIGRATE: golang_migrate.rank,
    Tool.ATLAS: atlas.rank,
}


def recognise(paths: Sequence[str]) -> Tool | Fault | None:
    """Return whose folder has files at *paths*; None: it is one of ours, or nobody's. A fault when it looks like two tools'.

    The sums of Atlas decide: it works in folders that other tools have laid out, too.
    """
    if atlas.is_atlas(paths):
        return Tool.ATLAS
    found = [tool for tool, is_its in _SIGNS.items() if is_its(paths)]
    if len(found) > 1:
        names = " and ".join(tool.label for tool in found)
        return Fault(
            what=f"the folder has files as {names} name them",
            helps=f"say which it is: {found[0]}, or {found[1]} (`--format`, or `source.format` of a DatabaseMigration)",
        )
    return found[0] if found else None


def lay_out(tool: Tool, files: Sequence[LaidFile]) -> Layout:
    """Return what the folder of *tool* with *files* holds."""
    return _READERS[tool](sorted(files, key=lambda file: file.path))


def rank_of(tool: Tool, key: str) -> Rank:
    """Return what *tool* sorts the migration *key* by; raises ValueError for what is no version of its."""
    return _RANKS[tool](key)
