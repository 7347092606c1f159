"""A folder of Alembic revisions as packages ship it: names of any kind, an order that only the files tell, branches that join again."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final

from dbcustody.migration.fault import Fault
from dbcustody.migration.graph import in_order, several
from dbcustody.migration.revision_file import ReadRevision, read_revision
from dbcustody.migration.script import Script, Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from dbcustody.migration.script import SourceFile

VERSIONS: Final = "versions"
"""The folder of the revisions within Alembic's own."""


def is_revision(name: str) -> bool:
    """Return whether Alembic would read the file *name* as a revision: Python, and neither a package's beginning nor an editor's lock."""
    return name.endswith(".py") and not name.startswith(("__init__", ".#", "."))


def read_alembic(files: Iterable[SourceFile]) -> Source:
    """Return the revisions of *files* (those for which `is_revision` holds) in an order that follows their parents, and all faults."""
    read = {file.name: read_revision(file.name, file.content) for file in sorted(files, key=lambda one: one.name)}
    known = {name: one for name, one in read.items() if one.up is not None and one.said.revision is not None}
    labels = {label: one.said.revision or "" for one in known.values() for label in one.said.labels}
    scripts = {name: _script(name, one, labels) for name, one in known.items()}
    by_revision = {script.revision: script for script in reversed(scripts.values())}
    order = in_order(
        {revision: script.parents for revision, script in by_revision.items()},
        {revision: script.name for revision, script in by_revision.items()},
    )
    are_all = len(known) == len(read)
    faults = chain(
        *(one.faults for one in read.values()),
        _nameless(read),
        _alike(list(scripts.values())),
        _missing(list(scripts.values()), by_revision) if are_all else (),
        _circular(by_revision, order),
    )
    return Source(scripts=tuple(by_revision[revision] for revision in order), faults=tuple(faults))


def _script(file: str, read: ReadRevision, labels: Mapping[str, str]) -> Script:
    assert read.up is not None  # noqa: S101 - only those are asked for
    said = read.said
    downs = said.downs or ()
    depends = tuple(labels.get(one, one) for one in said.depends)
    return Script(
        name=file.removesuffix(".py"),
        revision=said.revision or "",
        parents=tuple(dict.fromkeys((*downs, *depends))),
        up=read.up,
        down=read.down,
        depends=tuple(one for one in depends if one not in downs),
        is_in_graph=True,
    )


def _nameless(read: Mapping[str, ReadRevision]) -> Iterator[Fault]:
    for file, one in read.items():
        if one.up is not None and one.said.revision is None:
            helps = "add `revision = '...'`, or move the file out of the folder: Alembic would refuse it, too"
            yield Fault(file=file, what="names no revision", helps=helps)
        elif one.up is not None and one.said.downs is None:
            yield Fault(
                file=file, what="does not say what it follows", helps="add `down_revision`; None for a first one"
            )


def _alike(scripts: Sequence[Script]) -> Iterator[Fault]:
    for revision in several(script.revision for script in scripts):
        first, *others = (script for script in scripts if script.revision == revision)
        for other in others:
            what = f"has the revision {revision}, which {first.up.file} has, too"
            yield Fault(file=other.up.file, what=what, helps="give one that is not applied yet another revision")


def _missing(scripts: Sequence[Script], known: Mapping[str, Script]) -> Iterator[Fault]:
    for script in scripts:
        for parent in script.parents:
            if parent not in known:
                what = f"comes after {parent}, which is not there"
                yield Fault(file=script.up.file, what=what, helps="add that revision, or name another down_revision")


def _circular(known: Mapping[str, Script], order: Sequence[str]) -> Iterator[Fault]:
    for revision in sorted(set(known) - set(order)):
        script = known[revision]
        if revision not in script.parents:
            what = "follows itself by way of others, or follows one that does"
            yield Fault(file=script.up.file, what=what, helps="name a down_revision that does not come later")
