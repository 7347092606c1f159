"""What `ALTER DATABASE ... SET` stored: `name=value`, and where the value is a list of names, its items.

A list stands as it would be written in SQL, with names in double quotes where they need them, as pg_dumpall knows
(`variable_is_guc_list_quote` in PostgreSQL's src/bin/pg_dump/dumputils.c); to write it back it must be taken apart, for as one string it
would be one odd name.
"""

from __future__ import annotations

import re
from typing import Final

LISTS: Final = frozenset(
    {
        "local_preload_libraries",
        "search_path",
        "session_preload_libraries",
        "shared_preload_libraries",
        "temp_tablespaces",
    }
)
_NAME: Final = re.compile(r'\s*(?P<name>"(?:[^"]|"")*"|[^",]+?|)\s*(?:,|$)')


def read_setting(text: str) -> tuple[str, tuple[str, ...]]:
    """Return the name of a stored setting and its value, a list in parts. Raises ValueError for a list that nobody could have stored."""
    name, _, value = text.partition("=")
    return name, _read_names(value) if name in LISTS else (value,)


def _read_names(value: str) -> tuple[str, ...]:
    """Return the names in *value*; a plain one counts as it is written."""
    names, position = [], 0
    while position < len(value):
        match = _NAME.match(value, position)
        if match is None:
            raise ValueError(value)
        name = match["name"]
        names.append(name[1:-1].replace('""', '"') if name.startswith('"') else name)
        position = match.end()
    return tuple(names) or ("",)
