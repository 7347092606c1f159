"""The language of `tables.include` and its like: patterns of pg_dump's `--table`, matched by us.

It is psql's (https://www.postgresql.org/docs/current/app-psql.html#APP-PSQL-PATTERNS): `*` any text, `?` any character, a dot
between schema and table, double quotes keep what is between them as it is, letters outside of them are folded to lower case.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from dbcustody.errors import RefusedError
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

_MOST_PARTS: Final = 2
"""Schema and name."""


class Letter(NamedTuple):
    """One character of a pattern; one that is no wildcard stands for itself."""

    text: str
    is_wild: bool = False

    @property
    def expression(self) -> str:
        """The regular expression that means it."""
        return {"*": ".*", "?": "."}[self.text] if self.is_wild else re.escape(self.text)


ANYTHING: Final = (Letter("*", is_wild=True),)


def fits_table(pattern: str, schema: str, name: str) -> bool:
    """Return whether *pattern* means the table *name* of *schema*; without a schema it means the name in every one.

    Raises RefusedError (InvalidSpec) when it is no pattern.
    """
    wanted_schema, wanted_name = parse_pattern(pattern)
    return _fits(wanted_schema, schema) and _fits(wanted_name, name)


def fits_schema(pattern: str, schema: str) -> bool:
    """Return whether *pattern*, of one part, means *schema*; raises RefusedError (InvalidSpec) when it is no such pattern."""
    parts = _parts(pattern)
    if len(parts) != 1:
        raise _no_pattern("schemas", pattern, "name")
    return _fits(parts[0], schema)


def parse_pattern(pattern: str) -> tuple[Sequence[Letter], Sequence[Letter]]:
    """Return what *pattern* says of schema and name; raises RefusedError (InvalidSpec) when it is none."""
    parts = _parts(pattern)
    return (parts[0], parts[1]) if len(parts) == _MOST_PARTS else (ANYTHING, parts[0])


def _fits(part: Sequence[Letter], text: str) -> bool:
    return re.fullmatch("".join(letter.expression for letter in part), text, re.DOTALL) is not None


def _parts(pattern: str) -> list[list[Letter]]:
    parts: list[list[Letter]] = [[]]
    quoted, at = False, 0
    while at < len(pattern):
        letter = pattern[at]
        if letter == '"' and quoted and pattern[at + 1 : at + 2] == '"':
            parts[-1].append(Letter(letter))
            at += 1
        elif letter == '"':
            quoted = not quoted
        elif letter == "." and not quoted:
            parts.append([])
        else:
            is_wild = not quoted and letter in "*?"
            parts[-1].append(Letter(letter if quoted else letter.lower(), is_wild))
        at += 1
    if quoted or len(parts) > _MOST_PARTS or not all(parts):
        raise _no_pattern("tables", pattern, "name, schema.name")
    return parts


def _no_pattern(field: str, pattern: str, wanted: str) -> RefusedError:
    return RefusedError(
        f"{field}: {pattern!r} is no pattern; must be {wanted}, with * and ? and double quotes",
        reason=Reason.INVALID_SPEC,
    )
