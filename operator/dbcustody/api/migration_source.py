"""Where the files of a DatabaseMigration lie."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dbcustody.api.meta import ObjectRef


@dataclass(frozen=True, slots=True, kw_only=True)
class InlineFile:
    """A small migration that stands in the resource itself: the name of its file, and its text."""

    name: str
    sql: str


class SourceFormat(StrEnum):
    """Whose a set of files is."""

    AUTO = "Auto"
    """As they are named."""
    SQL = "Sql"
    ALEMBIC = "Alembic"
    PRISMA = "Prisma"
    FLYWAY = "Flyway"
    GOLANG_MIGRATE = "GolangMigrate"
    ATLAS = "Atlas"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceImage:
    """A folder in an image of containers, such as that of the application itself; nothing in the image is run."""

    reference: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationSource:
    """Where the files lie; all of them together are one source, and no name may come twice."""

    inline: tuple[InlineFile, ...] = ()
    config_map_refs: tuple[ObjectRef, ...] = ()
    image: SourceImage | None = None
    """Instead of the others."""
    format: SourceFormat = SourceFormat.AUTO
