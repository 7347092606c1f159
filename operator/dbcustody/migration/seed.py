"""Seeds: SQL files whose rows a database of developers begins with, each run once; which of them are to run, by what is written down.

The key of a seed is its name together with the SHA-256 of its text: the same file again is nothing new, and a changed one is no second run
of the first, but something that a person has to decide about.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dbcustody.migration.body import Body, read_body
from dbcustody.migration.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from dbcustody.migration.script import SourceFile

_MANY = "a seed runs in one transaction, so that it is in as a whole or not at all; write it as a migration instead"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedSource:
    """What was given as seeds, in the order of their names, and everything that is wrong; with faults none is to be run."""

    seeds: tuple[Body, ...]
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedChoice:
    """Where each seed stands."""

    to_run: tuple[Body, ...]
    done: tuple[Body, ...]
    """Those that ran as they are."""
    changed: tuple[Body, ...]
    """Those that ran as another text, and are not run again unless somebody says so."""


def read_seeds(files: Iterable[SourceFile]) -> SeedSource:
    """Return the seeds of *files*, and all faults of all of them; their names may be any, and none twice."""
    given = sorted(files, key=lambda file: file.name)
    read = [read_body(file.name, file.content, is_down=False) for file in given]
    faults = [fault for one in read for fault in one.faults]
    seeds = tuple(one.body for one in read if one.body is not None)
    faults += [*_repeated([file.name for file in given]), *_unfit(seeds)]
    return SeedSource(seeds=seeds, faults=tuple(faults))


def choose(seeds: Sequence[Body], ran: Mapping[str, str], *, again: bool) -> SeedChoice:
    """Return which of *seeds* are to run where *ran* tells the checksum that each name ran with last; *again*: changed ones, too."""
    done = tuple(seed for seed in seeds if ran.get(seed.file) == seed.checksum)
    changed = tuple(seed for seed in seeds if seed.file in ran and seed not in done)
    held = () if again else changed
    return SeedChoice(
        to_run=tuple(seed for seed in seeds if seed not in done and seed not in held), done=done, changed=held
    )


def _repeated(names: Sequence[str]) -> Iterator[Fault]:
    for name, count in Counter(names).items():
        if count > 1:
            what = f"is given {count} times, and its name is what it is known by"
            yield Fault(file=name, what=what, helps="give one of them another name")


def _unfit(seeds: Sequence[Body]) -> Iterator[Fault]:
    for seed in seeds:
        if not seed.is_transactional:
            place = seed.statements[0].place if seed.statements else None
            yield Fault(file=seed.file, what="cannot run in a transaction", helps=_MANY, place=place)
