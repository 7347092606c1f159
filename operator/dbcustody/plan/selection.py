"""What of a backup is wanted back: chosen by names, with all that belongs to it and all that it needs, as the archive itself says.

Of tables, views and sequences only what was asked for comes. Types, functions, extensions and the like come too, unless they need what is
left out, or lie in a schema that was not asked for and nothing that comes needs them. What hangs on something that is left out, such as a
foreign key, is left out with it and named; a table that cannot be made without it stands in the way instead.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

from dbcustody.api.restore import Patterns
from dbcustody.errors import RefusedError
from dbcustody.repository.contents import Name
from dbcustody.repository.pattern import fits_schema, fits_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from dbcustody.repository.catalogue import Catalogue
    from dbcustody.repository.contents import Contents, Entry

TABLES: Final = frozenset({"TABLE", "FOREIGN TABLE"})
VIEWS: Final = frozenset({"VIEW", "MATERIALIZED VIEW"})
SEQUENCE: Final = "SEQUENCE"
RELATIONS: Final = TABLES | VIEWS | {SEQUENCE}
LARGE_OBJECTS: Final = frozenset({"BLOB", "BLOBS", "BLOB METADATA"})
DATA: Final = LARGE_OBJECTS | {"TABLE DATA", "SEQUENCE SET"}
"""Kinds that an archive is read to its end for."""
_ATTACHMENTS: Final = frozenset({"TABLE ATTACH", "INDEX ATTACH"})
_INDEXES: Final = frozenset({"INDEX", "CONSTRAINT"})
_BELONGINGS: Final = frozenset({"ACL", "COMMENT", "SECURITY LABEL", "SEQUENCE OWNED BY", "SEQUENCE SET"})
"""What says something of another thing, and comes and goes with it."""
_OF_THE_WHOLE: Final = LARGE_OBJECTS | {
    "DATABASE",
    "DATABASE PROPERTIES",
    "EVENT TRIGGER",
    "PUBLICATION",
    "PUBLICATION TABLE",
    "PUBLICATION TABLES IN SCHEMA",
    "SUBSCRIPTION",
    "SUBSCRIPTION TABLE",
}
"""What belongs to a database as a whole: it does not come with some of its tables."""
_BY_THEMSELVES: Final = frozenset(
    {"AGGREGATE", "CAST", "DOMAIN", "FUNCTION", "OPERATOR", "OPERATOR CLASS", "OPERATOR FAMILY", "PROCEDURE", "TYPE"}
)
"""What comes without being asked for, and is missed when it does not."""
_ON_DEMAND: Final = frozenset({"FOREIGN DATA WRAPPER", "SCHEMA", "SERVER", "USER MAPPING"})
"""What comes only where something else needs it: schemas, and what leads elsewhere."""
_BY_HASH: Final = "FOR VALUES WITH (modulus"
_RETURN: Final = " _RETURN"
"""So ends the name of the rule that makes a view of what was first made as an empty one, where views and constraints need each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What is wanted, by name."""

    schemas: Patterns = field(default_factory=Patterns)
    tables: Patterns = field(default_factory=Patterns)

    @property
    def is_everything(self) -> bool:
        """Whether nothing is to be left out."""
        return not any((*self.schemas.include, *self.schemas.exclude, *self.tables.include, *self.tables.exclude))


EVERYTHING: Final = Choice()


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What comes of an archive of definitions; *tables* and *sequences* say the same for archives that hold rows only."""

    kept: frozenset[int]
    tables: frozenset[Name]
    sequences: frozenset[Name]
    absent_extensions: frozenset[str] = frozenset()
    has_large_objects: bool = True
    left_out: tuple[str, ...] = ()
    """What belongs to something that comes, and does not come itself."""
    skipped: tuple[str, ...] = ()
    """What does not come because the role that restores may not make it, or because it needs such a thing."""
    faults: tuple[str, ...] = ()
    """Why it cannot be done."""
    refused: tuple[str, ...] = ()
    """Tables that the role cannot make, because it may not make what they need."""

    def tables_with_rows(self, catalogue: Catalogue) -> frozenset[Name]:
        """Return the tables that come and whose rows are in the backup."""
        return frozenset((one.schema, one.name) for one in catalogue.tables) & self.tables

    def narrow(self, catalogue: Catalogue) -> Catalogue:
        """Return *catalogue* as it would be of a database with nothing but what comes."""
        return replace(
            catalogue,
            tables=tuple(one for one in catalogue.tables if (one.schema, one.name) in self.tables),
            sequences=tuple(one for one in catalogue.sequences if (one.schema, one.name) in self.sequences),
            extensions=tuple(one for one in catalogue.extensions if one.name not in self.absent_extensions),
            large_objects=catalogue.large_objects if self.has_large_objects else 0,
        )

    def has(self, entry: Entry, *, by_name: bool) -> bool:
        """Return whether *entry* comes; *by_name* of another archive than the one with the definitions, whose ids mean other things."""
        if not by_name:
            return entry.id in self.kept
        if entry.kind == "SEQUENCE SET":
            return entry.key in self.sequences
        if entry.kind == "TABLE DATA":
            return entry.key in self.tables
        return self.has_large_objects or not _is_large(entry)


def select(
    contents: Contents, catalogue: Catalogue, choice: Choice, *, forbidden: frozenset[int] = frozenset()
) -> Selection:
    """Return what comes of *contents* by *choice* without what is *forbidden*, by id; what cannot be done stands in its faults."""
    try:
        return _Selecting(contents, catalogue, choice).select(forbidden)
    except RefusedError as error:
        nothing = frozenset[int]()
        return Selection(kept=nothing, tables=frozenset(), sequences=frozenset(), faults=(error.message,))


class _Selecting:
    def __init__(self, contents: Contents, catalogue: Catalogue, choice: Choice) -> None:
        self._entries = contents.entries
        self._by_id = {entry.id: entry for entry in contents.entries}
        self._choice = choice
        self._names = {entry.key: entry.id for entry in contents.entries if entry.kind in RELATIONS}
        self._configuration = {(one.schema, one.name) for one in catalogue.tables} - self._names.keys()
        self._links = dict(_links(contents.entries, self._by_id))
        self._needs = {entry.id: self._hard_needs(entry) for entry in contents.entries}

    @cached_property
    def _rules(self) -> dict[int, int]:
        """The rule that makes each view what it is, where it does not come with the view itself."""
        views = {entry.key: entry.id for entry in self._entries if entry.kind in VIEWS}
        keys = {(one.schema, one.name.removesuffix(_RETURN)): one.id for one in self._entries if _is_return(one)}
        return {views[key]: rule for key, rule in keys.items() if key in views}

    @cached_property
    def _partitions(self) -> dict[int, int]:
        """The table of each partition."""
        return {child: table for child, table in self._links.items() if self._by_id[child].kind in TABLES}

    def select(self, forbidden: frozenset[int]) -> Selection:
        names, faults = self._chosen_names()
        chosen = {self._names[name] for name in names if name in self._names}
        chosen |= self._needed_sequences(chosen)
        everything = set(self._by_id)
        gone, faults_of_choice = self._spread(self._unchosen(names, chosen), everything)
        wanted = self._with_belongings(self._needed({one.id for one in self._entries if self._is_wanted(one, gone)}))
        skipped, refused = self._spread(wanted & forbidden, wanted)
        kept = wanted - skipped
        tables = {self._by_id[one].key for one in chosen & kept if self._by_id[one].kind == "TABLE"}
        return Selection(
            kept=frozenset(kept),
            tables=frozenset(tables | (names & self._configuration)),
            sequences=frozenset(self._by_id[one].key for one in kept if self._by_id[one].kind == SEQUENCE),
            absent_extensions=frozenset(
                entry.name for entry in self._entries if entry.kind == "EXTENSION" and entry.id not in kept
            ),
            has_large_objects=self._choice.is_everything,
            left_out=tuple(one.title for one in self._entries if self._is_missed(one, chosen, wanted)),
            skipped=tuple(one.title for one in self._entries if one.id in skipped & wanted),
            faults=(*faults, *faults_of_choice, *self._hash_faults(chosen)),
            refused=tuple(refused),
        )

    def _chosen_names(self) -> tuple[set[Name], list[str]]:
        """Return the names of all relations that are chosen, partitions with their tables, and which patterns fit nothing."""
        schemas, tables = self._choice.schemas, self._choice.tables
        known = self._names.keys() | self._configuration
        faults = [
            f"schemas.include: the backup has nothing in a schema that fits {pattern!r}"
            for pattern in schemas.include
            if not any(fits_schema(pattern, schema) for schema, _ in known)
        ]
        known = {name for name in known if self._has_schema(name[0])}
        chosen = set() if tables.include else set(known)
        for pattern in tables.include:
            fitting = {name for name in known if fits_table(pattern, *name)}
            if not fitting:
                faults.append(f"tables.include: the backup has nothing that fits {pattern!r}")
            chosen |= fitting
        chosen |= {self._by_id[one].key for one in self._with_partitions(chosen)}
        return {name for name in chosen if not self._is_excluded(name)}, faults

    def _has_schema(self, schema: str) -> bool:
        patterns = self._choice.schemas
        is_named = not patterns.include or any(fits_schema(pattern, schema) for pattern in patterns.include)
        return is_named and not any(fits_schema(pattern, schema) for pattern in patterns.exclude)

    def _is_excluded(self, name: Name) -> bool:
        by_schema = any(fits_schema(pattern, name[0]) for pattern in self._choice.schemas.exclude)
        return by_schema or any(fits_table(pattern, *name) for pattern in self._choice.tables.exclude)

    def _with_partitions(self, names: set[Name]) -> set[int]:
        """Return the partitions, of any depth, of the tables *names*."""
        found = {self._names[name] for name in names if name in self._names}
        partitions = set[int]()
        while more := {child for child, table in self._partitions.items() if table in found} - partitions:
            partitions |= more
            found |= more
        return partitions

    def _needed_sequences(self, chosen: set[int]) -> set[int]:
        """Return the sequences that belong to what is *chosen*, or that its columns take their defaults from."""
        sequences = {one for one in self._names.values() if self._by_id[one].kind == SEQUENCE}
        owned = {one for one in sequences if self._needs[one] & chosen}
        kinds = TABLES | {"DEFAULT"}
        makers = [
            entry.id for entry in self._entries if entry.kind in kinds and {entry.id, *self._needs[entry.id]} & chosen
        ]
        return owned | {need for one in makers for need in self._needs[one] if need in sequences}

    def _unchosen(self, names: set[Name], chosen: set[int]) -> set[int]:
        """Return what nobody asked for: relations, rows that extensions keep, and large objects, as no table says which it means."""
        if self._choice.is_everything:
            return set()
        unwanted = self._configuration - names
        rows = {entry.id for entry in self._entries if entry.kind == "TABLE DATA" and entry.key in unwanted}
        large = {entry.id for entry in self._entries if _is_large(entry)}
        return {one for one in self._names.values() if one not in chosen} | rows | large

    def _spread(self, gone: set[int], among: set[int]) -> tuple[set[int], list[str]]:
        """Return *gone* with all that needs any of it, and which tables *among* the entries cannot be made so."""
        gone, faults = set(gone), []
        before = -1
        while len(gone) != before:
            before = len(gone)
            for entry in self._entries:
                lacking = self._needs[entry.id] & gone
                if entry.id not in gone and (lacking or self._rules.get(entry.id) in gone):
                    gone.add(entry.id)
                    if entry.kind == "TABLE" and entry.id in among:
                        needed = self._by_id[min(lacking)].title
                        faults.append(f"{entry.title} cannot be made without {needed}, which is left out")
        return gone, faults

    def _is_wanted(self, entry: Entry, gone: set[int]) -> bool:
        """Return whether *entry* comes whether or not something needs it."""
        if entry.id in gone:
            return False
        if self._choice.is_everything or entry.kind in RELATIONS:
            return True
        if entry.kind in _OF_THE_WHOLE | _ON_DEMAND or self._is_belonging(entry):
            return False
        return not entry.schema or self._has_schema(entry.schema)

    def _is_belonging(self, entry: Entry) -> bool:
        is_of_schema = entry.kind == "DEFAULT ACL" and bool(self._needs[entry.id])
        return entry.kind in _BELONGINGS or is_of_schema

    def _needed(self, wanted: set[int]) -> set[int]:
        found, new = set(wanted), set(wanted)
        while new:
            new = {need for one in new for need in self._needs[one]} - found
            found |= new
        return found

    def _with_belongings(self, kept: set[int]) -> set[int]:
        """Return *kept* with what belongs to it; rights on columns need those on the table, which come before them."""
        kept = set(kept)
        for entry in self._entries:
            if self._is_belonging(entry) and self._needs[entry.id] and self._needs[entry.id] <= kept:
                kept.add(entry.id)
        return kept

    def _is_missed(self, entry: Entry, chosen: set[int], kept: set[int]) -> bool:
        """Return whether *entry* does not come although it was chosen, or belongs to what comes."""
        if entry.id in kept or entry.kind in _OF_THE_WHOLE | _ON_DEMAND or _is_return(entry):
            return False
        if entry.kind in _BY_THEMSELVES:
            return self._has_schema(entry.schema)
        return entry.id in chosen or (entry.kind not in RELATIONS and bool(self._needs[entry.id] & chosen & kept))

    def _hash_faults(self, chosen: set[int]) -> Iterator[str]:
        """Yield which tables partitioned by hash are chosen in part: in another database rows may belong to another partition.

        So pg_dump lets their rows in by the topmost table, which must be there with every partition that they may fall into.
        """
        attached = {
            entry.key
            for entry in self._entries
            if entry.kind == "TABLE ATTACH" and _BY_HASH in (entry.definition or "")
        }
        by_hash = {child for child in self._partitions if self._by_id[child].key in attached}
        titles = dict[str, None]()
        for child in self._partitions:
            line = [child, *self._ancestors(child)]
            below = max((at + 2 for at, one in enumerate(line) if one in by_hash), default=0)
            if chosen.intersection(line[:below]) and not chosen.issuperset(line):
                titles[self._by_id[line[below - 1]].title] = None
        yield from (
            f"{title} is partitioned by hash: choose it with all its partitions and all above it, or none of them"
            for title in titles
        )

    def _ancestors(self, child: int) -> Iterator[int]:
        while (above := self._partitions.get(child)) is not None:
            yield above
            child = above

    def _hard_needs(self, entry: Entry) -> frozenset[int]:
        """Return what *entry* cannot be made without; a partition, and its index, can do without what they are attached to."""
        return frozenset(need for need in entry.needs if need in self._by_id and self._links.get(entry.id) != need)


def _links(entries: Iterable[Entry], by_id: Mapping[int, Entry]) -> Iterator[tuple[int, int]]:
    """Yield each partition, and each index of one, with what it is attached to."""
    for entry in entries:
        if entry.kind in _ATTACHMENTS:
            alike = TABLES if entry.kind == "TABLE ATTACH" else _INDEXES
            found = [by_id[need] for need in entry.needs if need in by_id and by_id[need].kind in alike]
            yield from ((one.id, other.id) for one in found for other in found if other.id in one.needs)


def _is_return(entry: Entry) -> bool:
    return entry.kind == "RULE" and entry.name.endswith(_RETURN)


def _is_large(entry: Entry) -> bool:
    """Return whether *entry* is of a large object: its rights and its comment have its name."""
    return entry.kind in LARGE_OBJECTS or (entry.kind in _BELONGINGS and entry.name.startswith("LARGE OBJECT"))
