"""The safe ways in several steps that more than one rule recommends, as the text of migration files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbcustody.migration.finding import Recipe
from dbcustody.migration.wording import given_name, literal, quote

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGES = 100
"""How many pages of a table one batch goes through: some thousand rows, well below half a second."""


def fill(table: str, assignments: str, where: str) -> str:
    """Return a file that sets *assignments* in the rows *where* they are not set, some pages at a time, each in a transaction of its own.

    By the places of rows (PostgreSQL 14 and newer scan a range of them): no index is needed, and the whole is read once.
    """
    return f"""-- dbcustody: idempotent because it passes over rows that are done
do $fill$
declare
  filled_to bigint := 0;
  last_page constant bigint := pg_relation_size({literal(table)}) / current_setting('block_size')::bigint;
begin
  while filled_to <= last_page loop
    update {table} set {assignments}
    where ctid >= format('(%s,0)', filled_to)::tid and ctid < format('(%s,0)', filled_to + {PAGES})::tid
      and ({where});
    commit;
    perform pg_sleep(0.05);
    filled_to := filled_to + {PAGES};
  end loop;
end $fill$;
"""  # noqa: S608 - it is shown to its author, and nothing here runs it


PARTITIONS = "of a table with partitions, fill each partition"


def hold_no_null(table: str, name: str, column: str) -> tuple[str, ...]:
    """Return the files that make *column* of *table*, which is called *name*, NOT NULL without anybody waiting while rows are read."""
    proof = quote(given_name(name, [column.strip('"').replace('""', '"')], "is_set"))
    return (
        f"alter table {table} add constraint {proof} check ({column} is not null) not valid;\n",
        f"alter table {table} validate constraint {proof};\n",
        f"alter table {table} alter column {column} set not null;\nalter table {table} drop constraint {proof};\n",
    )


def in_two(table: str, constraint: str, body: str) -> Recipe:
    """Return how *table* gets *constraint* of *body* at once for new rows, and later for those that are there."""
    return Recipe(
        migrations=(
            f"alter table {table} add constraint {constraint} {body} not valid;\n",
            f"alter table {table} validate constraint {constraint};\n",
        )
    )


def one_file_each(texts: Sequence[str]) -> Recipe:
    """Return the statements *texts* as a file each, so that each lets its locks go before the next takes its own."""
    return Recipe(migrations=tuple(f"{text};\n" for text in texts))
