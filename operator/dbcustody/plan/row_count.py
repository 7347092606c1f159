"""Whether a restored database has the rows that were backed up, table by table; below a hash-partitioned table only all together.

The hash of an enum's value is of its OID, which is another one in another database: pg_dump sends such rows through the root
(https://www.postgresql.org/docs/current/app-pgdump.html, --load-via-partition-root), and they end up in other partitions than before.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Name = tuple[str, str]


def find_row_differences(
    wanted: Mapping[Name, int], found: Mapping[Name, int], hash_roots: Mapping[Name, Name]
) -> Iterator[str]:
    """Yield how the rows that were *found* differ from those *wanted*, both by schema and name.

    *hash_roots* names for each partition the topmost hash-partitioned table above it: rows are compared there, in one sum.
    """
    sums_wanted, sums_found = _sums(wanted, hash_roots), _sums(found, hash_roots)
    for (schema, name), rows in sums_wanted.items():
        there = sums_found[schema, name]
        if there != rows:
            yield f"{schema}.{name} has {there} rows instead of {rows}"


def _sums(rows: Mapping[Name, int], hash_roots: Mapping[Name, Name]) -> Counter[Name]:
    sums: Counter[Name] = Counter()
    for name, count in rows.items():
        sums[hash_roots.get(name, name)] += count
    return sums
