"""Which definitions may be made side by side: what reaches into a whole tree of tables has its turn while nobody else is in the tree.

Several workers of one pg_restore make indexes and constraints at a time. Two things that lock the same tables are kept apart, by the
tables that the archive says they need (`identify_locking_dependencies` in PostgreSQL's src/bin/pg_dump/pg_backup_archiver.c). Of a
partitioned table it names that table alone, while a key, a check or a trigger there locks the partitions too: a worker that is in the
tree and one that came by way of a partition can each wait for what the other holds, and the server ends one of them (deadlock detected).
So what is made of a table that has others below it is made to need these too. What is made of two partitions stays side by side, and
indexes need nothing more than they did: that is what takes long.

The index of a partition becomes a part of its parent's by a statement that locks upwards: the last part makes the whole valid, and that
again may be the last part of one above. pg_restore takes it for something that locks nothing. It is quick, so in one tree it is one at a
time, behind what reached into the tree before and ahead of what does so afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dbcustody.repository.contents import Contents, Entry

_TABLE: Final = "TABLE"
_TRIGGER: Final = "TRIGGER"
_ATTACHMENT: Final = "TABLE ATTACH"
_INDEX_ATTACHMENT: Final = "INDEX ATTACH"
_REACHING: Final = frozenset({"CONSTRAINT", "CHECK CONSTRAINT", "FK CONSTRAINT", _TRIGGER})
"""Kinds that lock what lies below the tables that they name."""


def in_turns(contents: Contents) -> Contents:
    """Return *contents* in which what reaches into a tree of tables needs every table that it may lock.

    How the trigger of a partition stands is said by an entry of its own, which needs the one that makes the trigger for the whole tree.
    """
    below = _below(contents)
    return _upwards_in_turns(_downwards_in_turns(contents, below), _trees(below))


def _downwards_in_turns(contents: Contents, below: Mapping[int, frozenset[int]]) -> Contents:
    triggers = dict(_triggers(contents))
    made = {(table, name): trigger for trigger, (table, name) in triggers.items()}

    def turned(entry: Entry) -> Entry:
        more = (
            {table for need in entry.needs for table in below.get(need, ())} if entry.kind in _REACHING else set[int]()
        )
        if entry.id in triggers:
            table, name = triggers[entry.id]
            more |= {made[above, name] for above, tables in below.items() if table in tables and (above, name) in made}
        return replace(entry, also_needs=tuple(sorted(more - entry.needs))) if more else entry

    return contents.having(turned(entry) for entry in contents.entries)


def _upwards_in_turns(contents: Contents, trees: Mapping[int, int]) -> Contents:
    """Return *contents* in which indexes become parts of others one at a time in each tree.

    What is needed more stands before what needs it, so that nothing can come to need itself.
    """
    queues = dict[int, _Queue]()

    def queued(entry: Entry) -> Entry:
        mine = {trees[need] for need in entry.needs if need in trees}
        more = {need for tree in mine for need in queues.setdefault(tree, _Queue()).admit(entry)}
        return replace(entry, also_needs=tuple(sorted({*entry.also_needs, *more} - entry.needs)))

    return contents.having(queued(entry) for entry in contents.entries)


@dataclass(slots=True)
class _Queue:
    """What has its turn in one tree: the last index that became a part, and what reached into the tree since."""

    last: tuple[int, ...] = ()
    since: tuple[int, ...] = ()

    def admit(self, entry: Entry) -> tuple[int, ...]:
        """Let *entry* come last; return whom it needs."""
        before = self.last
        if entry.kind == _INDEX_ATTACHMENT:
            before += self.since
            self.last, self.since = (entry.id,), ()
        elif entry.kind not in _REACHING:
            return ()
        elif entry.also_needs and entry.kind != _TRIGGER:
            self.since += (entry.id,)
        return before


def _trees(below: Mapping[int, frozenset[int]]) -> dict[int, int]:
    """Return for each table that is above or below others one number, which is the same for all of a tree."""
    trees = dict[int, int]()
    for table, tables in below.items():
        known = {trees.get(one, one) for one in (table, *tables)}
        whole = {one for one, tree in trees.items() if tree in known} | {table, *tables}
        trees |= dict.fromkeys(whole, min(whole))
    return trees


def _triggers(contents: Contents) -> Iterator[tuple[int, tuple[int, str]]]:
    """Yield each trigger with its table and its own name; the list has the one before the other, with a blank between."""
    tables = {entry.id: entry for entry in contents.entries if entry.kind == _TABLE}
    for entry in contents.entries:
        if entry.kind == _TRIGGER:
            for table in (tables[need] for need in entry.needs if need in tables):
                if entry.schema == table.schema and entry.name.startswith(f"{table.name} "):
                    yield entry.id, (table.id, entry.name.removeprefix(f"{table.name} "))


def _below(contents: Contents) -> dict[int, frozenset[int]]:
    """Return for each table that has others below it all of these, partitions and heirs, at every depth."""
    children: dict[int, set[int]] = {}
    for parent, child in _pairs(contents):
        children.setdefault(parent, set()).add(child)
    return {table: _reachable(table, children) for table in children}


def _reachable(table: int, children: Mapping[int, set[int]]) -> frozenset[int]:
    found, waiting = set[int](), {table}
    while waiting:
        waiting = {child for one in waiting for child in children.get(one, ())} - found
        found |= waiting
    return frozenset(found - {table})


def _pairs(contents: Contents) -> Iterator[tuple[int, int]]:
    """Yield tables, each with one right below it: an attachment needs both and is called as the partition, an heir needs its parents."""
    tables = {entry.id: entry.key for entry in contents.entries if entry.kind == _TABLE}
    for entry in contents.entries:
        needed = entry.needs & tables.keys()
        if entry.kind == _ATTACHMENT:
            partitions = {one for one in needed if tables[one] == entry.key}
            yield from ((parent, child) for parent in needed - partitions for child in partitions)
        elif entry.kind == _TABLE:
            yield from ((parent, entry.id) for parent in needed)
