"""What is told of the values: the schema that Helm checks, values.yaml with its comments, and the README's table."""

from __future__ import annotations

import json
import re
import textwrap
from typing import TYPE_CHECKING, Any, Final

import yaml

from chartmaking.values import Section, Values

if TYPE_CHECKING:
    from collections.abc import Iterator

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
BEGIN: Final = "<!-- the table is made by `make chart` -->\n"
END: Final = "<!-- end of the table -->\n"
_WIDTH: Final = 118
_HEAD: Final = (
    "# The values of the chart and their defaults; made by `make chart` from charts/python/chartmaking/values.py.\n"
)


def schema() -> str:
    """Return the text of values.schema.json."""
    made = {"$schema": DIALECT, **_without_titles(Values.model_json_schema(by_alias=True))}
    return json.dumps(made, indent=2) + "\n"


def _without_titles(part: Any) -> Any:
    """Return *part* without the titles that only repeat a key's name; a value that is itself called `title` stays."""
    if isinstance(part, list):
        return [_without_titles(one) for one in part]
    if not isinstance(part, dict):
        return part
    return {key: _without_titles(value) for key, value in part.items() if key != "title" or not isinstance(value, str)}


def values_yaml() -> str:
    """Return the text of values.yaml."""
    return _HEAD + "".join(_lines(Values(), ""))


def _lines(section: Section, indent: str) -> Iterator[str]:
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        comment = textwrap.wrap(f"{field.description}.", _WIDTH - len(indent) - 2, break_on_hyphens=False)
        yield "\n" if not indent else ""
        yield from (f"{indent}# {line}\n" for line in comment)
        if isinstance(value, Section):
            yield f"{indent}{field.alias}:\n"
            yield from _lines(value, indent + "  ")
        else:
            yield f"{indent}{field.alias}: {_flow(value)}\n"


def _flow(value: Any) -> str:
    """Return *value* as YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False)
    return re.sub(r"\n\.\.\.\n$", "", text).strip().replace("''", '""')


def table() -> str:
    """Return the README's table of values."""
    return "| value | default | meaning |\n|---|---|---|\n" + "".join(_rows(Values(), ""))


def _rows(section: Section, above: str) -> Iterator[str]:
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        path = f"{above}{field.alias}"
        if isinstance(value, Section):
            yield from _rows(value, f"{path}.")
        else:
            yield f"| `{path}` | `{_flow(value)}` | {str(field.description).replace('|', chr(92) + '|')} |\n"


def with_table(readme: str) -> str:
    """Return *readme* with the table as it is now between its two marks."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{table()}{END}{after}"
