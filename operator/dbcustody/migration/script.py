"""Migrations, read from their files: each a way forth, perhaps a way back, and its place in the chain; all faults of all files together."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from dbcustody.migration.body import Body, read_body
from dbcustody.migration.fault import Fault
from dbcustody.migration.filename import Filename, naming_faults, parse_filename
from dbcustody.migration.revision_file import read_revision

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
    depends: tuple[str, ...] = ()
    """Those of *parents* that belong to another branch."""
    is_in_graph: bool = False
    """Whether only what it follows says its place; otherwise that is its name, and what is older must not come late."""

    @property
    def is_python(self) -> bool:
        """Whether to carry it out runs somebody's code, in the process that does."""
        return self.up.is_python

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
        name: _read(name, file.content) for name, file in zip(names, given, strict=True) if isinstance(name, Filename)
    }
    scripts = tuple(_scripts(bodies))
    faults = chain(
        (name for name in names if isinstance(name, Fault)),
        naming_faults(good),
        *(bodies[name].faults for name in sorted(bodies)),
        _chain_faults(scripts, are_all=all(read.body for read in bodies.values())),
    )
    return Source(scripts=scripts, faults=tuple(faults))


@dataclass(frozen=True, slots=True)
class _Read:
    """A file of either kind; *back* is the way back that it holds itself, and *parents* are None where the order says it."""

    body: Body | None
    faults: tuple[Fault, ...]
    back: Body | None = None
    revision: str | None = None
    parents: tuple[str, ...] | None = None
    depends: tuple[str, ...] = ()


def _read(name: Filename, content: bytes) -> _Read:
    if name.is_python:
        read = read_revision(str(name), content)
        said, downs = read.said, read.said.downs
        return _Read(read.up, read.faults, read.down, said.revision, downs, said.depends)
    body, faults = (found := read_body(str(name), content, is_down=name.is_down)).body, found.faults
    if body is None:
        return _Read(None, faults)
    return _Read(body, faults, None, body.directives.revision, body.directives.down_revisions)


def _scripts(bodies: Mapping[Filename, _Read]) -> Iterator[Script]:
    """Yield a script for each way forth; where nothing else is said, it follows the one before it."""
    before: tuple[str, ...] = ()
    for name in sorted(name for name in bodies if not name.is_down):
        read = bodies[name]
        if read.body is None:
            before = (name.revision,)
            continue
        back = bodies.get(Filename(revision=name.revision, slug=name.slug, is_down=True))
        revision = read.revision or name.revision
        parents = before if read.parents is None else read.parents
        yield Script(
            name=name.stem,
            revision=revision,
            parents=tuple(dict.fromkeys((*parents, *read.depends))),
            up=read.body,
            down=back.body if back else read.back,
            depends=tuple(one for one in read.depends if one not in parents),
        )
        before = (revision,)


def _chain_faults(scripts: Sequence[Script], *, are_all: bool) -> Iterator[Fault]:
    """Yield what is wrong with the chain that *scripts* make; a parent that is not known may be in a file that could not be read."""
    seen: dict[str, str] = {}
    revisions = {script.revision: script.up.file for script in scripts}
    for script in scripts:
        file = script.up.file
        if script.revision in seen:
            what = f"has the revision {script.revision}, which {seen[script.revision]} has, too"
            yield Fault(file=file, what=what, helps="give one that is not applied yet another revision")
        for parent in script.parents:
            if parent in revisions and parent not in seen:
                what = f"comes after {parent}, but {revisions[parent]} is not earlier"
                yield Fault(file=file, what=what, helps="give it a later time, or name another down-revision")
            elif parent not in revisions and are_all:
                yield Fault(
                    file=file,
                    what=f"comes after {parent}, which is not there",
                    helps="add that migration, or name another down-revision",
                )
        seen.setdefault(script.revision, file)
