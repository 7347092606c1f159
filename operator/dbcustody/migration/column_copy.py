"""How another column takes the place of one that is to have another type or name, while both versions of an application run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbcustody.migration.finding import Recipe
from dbcustody.migration.recipe import PARTITIONS, fill
from dbcustody.migration.relation import name_of
from dbcustody.migration.wording import given_name, quote, write

if TYPE_CHECKING:
    from dbcustody.migration.case import Change
    from dbcustody.migration.statement import Terms

_REMARK = (
    f"defaults, indexes, constraints and views of the column are made for the new one before the last; {PARTITIONS}"
)


def retyped_by_copy(change: Change, new: Terms, value: Terms) -> Recipe:
    """Return how a column of the type *new*, which holds *value*, takes the place of the one that *change* is about."""
    table, column = change.written, change.form[1]
    bare = name_of(column)
    copy = quote(f"{bare}_new")
    in_row = write([f"new.{term}" if term == column else term for term in value])
    text = f"({write(value)})::{write(new)}"
    last = (
        f"-- dbcustody: allow drop-column because {bare}_new holds its values\n"
        f"-- dbcustody: allow rename-column because the name goes over in one transaction\n"
        f"{_unfollowed(change)}"
        f"alter table {table} drop column {column};\nalter table {table} rename column {copy} to {column};\n"
    )
    filled = fill(table, f"{copy} = {text}", f"{copy} is null and ({write(value)}) is not null")
    added = f"alter table {table} add column {copy} {write(new)};\n"
    return Recipe(migrations=(added + _followed(change, f"  new.{copy} := {in_row};\n"), filled, last), remark=_REMARK)


def renamed_by_copy(change: Change, new: str, kind: str) -> Recipe:
    """Return how a column called *new* of the type *kind* takes the place of the one that *change* is about; each may be written to."""
    table, column = change.written, change.form[-3]
    body = (
        f"  if tg_op = 'INSERT' then\n    new.{new} := coalesce(new.{new}, new.{column});\n    new.{column} := new.{new};\n"
        f"  elsif new.{new} is distinct from old.{new} then\n    new.{column} := new.{new};\n"
        f"  else\n    new.{new} := new.{column};\n  end if;\n"
    )
    last = (
        f"-- dbcustody: allow drop-column because {name_of(new)} holds its values\n"
        f"{_unfollowed(change)}alter table {table} drop column {column};\n"
    )
    filled = fill(table, f"{new} = {column}", f"{new} is null and {column} is not null")
    added = f"alter table {table} add column {new} {kind};\n"
    return Recipe(migrations=(added + _followed(change, body), filled, last), remark=_REMARK)


def _trigger(change: Change) -> str:
    """Return what trigger and function are called."""
    column = change.form[1] if change.form[0] == "alter" else change.form[-3]
    return quote(given_name(change.table.name, [name_of(column)], "follows"))


def _followed(change: Change, body: str) -> str:
    """Return what makes the new column follow the old one, by a function of *body*."""
    name = _trigger(change)
    return (
        f"create function {name}() returns trigger language plpgsql as $follows$\nbegin\n{body}  return new;\nend $follows$;\n"
        f"create trigger {name} before insert or update on {change.written} for each row execute function {name}();\n"
    )


def _unfollowed(change: Change) -> str:
    name = _trigger(change)
    return f"drop trigger {name} on {change.written};\ndrop function {name}();\n"
