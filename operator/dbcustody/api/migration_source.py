"""Where the files of a DatabaseMigration lie."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dbcustody.api.meta import ObjectRef

_DIGEST: Final = "@sha256:"


@dataclass(frozen=True, slots=True, kw_only=True)
class InlineFile:
    """A small migration that stands in the resource itself: the name of its file, and its text."""

    name: str
    sql: str


class SourceFormat(StrEnum):
    """Whose a set of files is."""

    AUTO = "Auto"
    """In an image as they are named; elsewhere ours."""
    SQL = "Sql"
    ALEMBIC = "Alembic"
    PRISMA = "Prisma"
    FLYWAY = "Flyway"
    GOLANG_MIGRATE = "GolangMigrate"
    ATLAS = "Atlas"


class PullPolicy(StrEnum):
    """When a node asks the registry for an image, in Kubernetes' own words."""

    ALWAYS = "Always"
    IF_NOT_PRESENT = "IfNotPresent"
    NEVER = "Never"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceImage:
    """A folder in an image of containers, such as that of the application itself; nothing in the image is run."""

    reference: str
    path: str
    pull_policy: PullPolicy | None = None
    """None: an image that is named by its digest is taken as the node has it, and any other is asked for each time."""

    @property
    def pulls(self) -> PullPolicy:
        """When the node asks the registry for it."""
        is_fixed = _DIGEST in self.reference
        return self.pull_policy or (PullPolicy.IF_NOT_PRESENT if is_fixed else PullPolicy.ALWAYS)


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationSource:
    """Where the files lie; all of them together are one source, and no name may come twice."""

    inline: tuple[InlineFile, ...] = ()
    config_map_refs: tuple[ObjectRef, ...] = ()
    image: SourceImage | None = None
    """Instead of the others."""
    format: SourceFormat = SourceFormat.AUTO
