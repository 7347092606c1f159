"""Migrations, read from their files: each a way forth, perhaps a way back, and its place in the chain; all faults of all files together."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from dbcustody.migration.body import Body, ReadBody, read_body
from dbcustody.migration.fault import Fault
from dbcustody.migration.filename import Filename, naming_faults, parse_filename

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A file as it was given: its name without folders, and its bytes."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One migration."""

    name: str
    """The name of its file without the ending."""
    revision: str
    parents: tuple[str, ...]
    """The revisions that must be in before it; none for a first one."""
    up: Body
    down: Body | None
    """The way back; None: there is none, and the migration is irreversible."""
    faults: tuple[Fault, ...] = ()
    """Why it is not to be run; only of another tool's folder, where what is in already is nobody's to refuse."""
    down_faults: tuple[Fault, ...] = ()
    """Why its way back is not to be run; likewise."""

    @property
    def checksum(self) -> str:
        """That of the way forth: the way back may still be mended after it was applied."""
        return self.up.checksum


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a source holds: its scripts in the order of their names, and everything that is wrong; with faults nothing is to be run."""

    scripts: tuple[Script, ...]
    faults: tuple[Fault, ...]


def read_scripts(files: Iterable[SourceFile]) -> Source:
    """Return the migrations of *files*, and all faults of all of them.

    Every file counts: whoever hands over a folder leaves out what is meant for others, knowingly. No file at all is no fault.
    """
    given = list(files)
    names = [parse_filename(file.name) for file in given]
    good = [name for name in names if isinstance(name, Filename)]
    bodies = {
        name: read_body(str(name), file.content, is_down=name.is_down)
        for name, file in zip(names, given, strict=True)
        if isinstance(name, Filename)
    }
    scripts = tuple(_scripts(bodies))
    faults = chain(
        (name for name in names if isinstance(name, Fault)),
        naming_faults(good),
        *(bodies[name].faults for name in sorted(bodies)),
        _chain_faults(scripts, are_all=all(read.body for read in bodies.values())),
    )
    return Source(scripts=scripts, faults=tuple(faults))


def _scripts(bodies: Mapping[Filename, ReadBody]) -> Iterator[Script]:
    """Yield a script for each way forth; where nothing else is said, it follows the one before it."""
    before: tuple[str, ...] = ()
    for name in sorted(name for name in bodies if not name.is_down):
        up = bodies[name].body
        if up is None:
            before = (name.revision,)
            continue
        back = bodies.get(Filename(revision=name.revision, slug=name.slug, is_down=True))
        said = up.directives
        revision = said.revision or name.revision
        parents = before if said.down_revisions is None else said.down_revisions
        yield Script(name=name.stem, revision=revision, parents=parents, up=up, down=back.body if back else None)
        before = (revision,)


def _chain_faults(scripts: Sequence[Script], *, are_all: bool) -> Iterator[Fault]:
    """Yield what is wrong with the chain that *scripts* make; a parent that is not known may be in a file that could not be read."""
    seen: dict[str, str] = {}
    revisions = {script.revision: script.name for script in scripts}
    for script in scripts:
        file = script.up.file
        if script.revision in seen:
            what = f"has the revision {script.revision}, which {seen[script.revision]}.sql has, too"
            yield Fault(file=file, what=what, helps="give one that is not applied yet another revision")
        for parent in script.parents:
            if parent in revisions and parent not in seen:
                what = f"comes after {parent}, but {revisions[parent]}.sql is not earlier"
                yield Fault(file=file, what=what, helps="give it a later time, or name another down-revision")
            elif parent not in revisions and are_all:
                yield Fault(
                    file=file,
                    what=f"comes after {parent}, which is not there",
                    helps="add that migration, or name another down-revision",
                )
        seen.setdefault(script.revision, script.name)
