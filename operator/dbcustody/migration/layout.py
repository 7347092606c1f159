"""Folders as other tools lay them out, as scripts of ours: what such a tool has carried out is told apart from what is to come only later.

So what is wrong with a single file stands at its script, and is told when that is to run. What is wrong with the folder is told at once:
without a name and an order nothing can be said of anything in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from dbcustody.migration.body import Body, read_body
from dbcustody.migration.digest import file_digest, source_digest
from dbcustody.migration.directive import Directives
from dbcustody.migration.fault import Fault
from dbcustody.migration.reading import checksum
from dbcustody.migration.script import Script

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Rank = tuple[Any, ...]
"""What versions of one tool are sorted by."""
_MARK: Final = "\ufeff"


class Tool(StrEnum):
    """Whose folders and tables are understood."""

    PRISMA = "prisma"
    FLYWAY = "flyway"
    GOLANG_MIGRATE = "golang-migrate"
    ATLAS = "atlas"

    @property
    def label(self) -> str:
        """What its makers call it."""
        return self.value if self is Tool.GOLANG_MIGRATE else self.value.capitalize()


@dataclass(frozen=True, slots=True, kw_only=True)
class LaidFile:
    """A file as it was given: where it lies below the folder, with `/` between the parts, and its bytes."""

    path: str
    content: bytes

    @property
    def name(self) -> str:
        """The path without the folders before it."""
        return self.path.rpartition("/")[2]


def digest_of(files: Iterable[LaidFile]) -> str:
    """Return the digest by which *files* are known as a source; see `migration.digest`."""
    return source_digest((file.path, file_digest(file.content)) for file in files)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaidMigration:
    """One migration of such a folder."""

    key: str
    """What the tool's own table knows it by; it is the revision of its script."""
    name: str
    """What people know it by, as the tool shows it."""
    up: LaidFile
    down: LaidFile | None = None
    faults: tuple[Fault, ...] = ()
    """What only that tool could run."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What such a folder holds, in the tool's order; with faults nothing of it is to be believed."""

    tool: Tool
    migrations: tuple[LaidMigration, ...]
    faults: tuple[Fault, ...] = ()
    asides: tuple[str, ...] = ()
    """What lies there and is left out, with why, for people."""
    chained: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The checksums by key where they are of more than one file; empty where each file has its own."""

    @cached_property
    def scripts(self) -> tuple[Script, ...]:
        """The migrations as scripts, each after the one before it, with the faults of each."""
        return tuple(_scripts(self.migrations))


def _scripts(migrations: Iterable[LaidMigration]) -> Iterator[Script]:
    before: tuple[str, ...] = ()
    for one in migrations:
        up, faults = _read_anyhow(one.up, is_down=False)
        down, down_faults = _read_anyhow(one.down, is_down=True) if one.down else (None, ())
        yield Script(
            name=one.name,
            revision=one.key,
            parents=before,
            up=up,
            down=down,
            faults=(*faults, *_out_of_place(up), *one.faults),
            down_faults=down_faults,
        )
        before = (one.key,)


def _read_anyhow(file: LaidFile, *, is_down: bool) -> tuple[Body, tuple[Fault, ...]]:
    """Return what *file* says, with its faults; where it is no text of ours, what can be kept of it, and no statement."""
    read = read_body(file.path, file.content, is_down=is_down)
    if read.body is not None:
        return read.body, read.faults
    text = file.content.decode(errors="replace").removeprefix(_MARK).replace("\0", "\ufffd").replace("\r\n", "\n")
    body = Body(
        file=file.path,
        text=text,
        checksum=checksum(text),
        statements=(),
        directives=Directives(),
        is_transactional=True,
    )
    return body, read.faults


def _out_of_place(body: Body) -> Iterator[Fault]:
    """Yield a fault where the head says what the folder says: two orders would contradict each other."""
    if body.directives.revision is not None or body.directives.down_revisions is not None:
        yield Fault(
            file=body.file,
            what="says its revision or down-revision, and lies in the folder of another tool",
            helps="take it out: there the names are the order",
        )


def repeats(migrations: Iterable[LaidMigration]) -> Iterator[Fault]:
    """Yield a fault for each migration whose key another one has."""
    seen: dict[str, LaidMigration] = {}
    for one in migrations:
        other = seen.setdefault(one.key, one)
        if other is not one:
            yield Fault(
                file=one.up.path,
                what=f"is of version {one.key}, and so is {other.up.path}",
                helps="give the one that is not applied yet another version",
            )
