"""How constraints, triggers, rules and indexes stand: what the archive says of each, against what a restored database has.

A constraint that was never validated must not come back as one that holds for every row, nor a trigger that was disabled as one that
fires. pg_dump writes each such state behind the definition of the thing itself, and no state at all where it is the usual one: validated,
enforced, not deferrable, enabled. It dumps no index that is not valid, but for those of partitioned tables
(https://www.postgresql.org/docs/current/catalog-pg-constraint.html, catalog-pg-trigger.html, catalog-pg-index.html).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from dbcustody.plan.role_names import written_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dbcustody.repository.contents import Contents

CONSTRAINT: Final = "constraint"
KINDS: Final = {
    "CONSTRAINT": CONSTRAINT,
    "CHECK CONSTRAINT": CONSTRAINT,
    "FK CONSTRAINT": CONSTRAINT,
    "TRIGGER": "trigger",
    "EVENT TRIGGER": "event trigger",
    "RULE": "rule",
    "INDEX": "index",
    "INDEX ATTACH": "attached index",
}
"""What pg_dump calls the things that have a state, and what they are called here."""
WORDS: Final = (
    "DEFERRABLE",
    "INITIALLY DEFERRED",
    "NOT VALID",
    "NOT ENFORCED",
    "DISABLE",
    "ENABLE REPLICA",
    "ENABLE ALWAYS",
)
"""What a state consists of, in the order in which it is told."""
_RETURN: Final = " _RETURN"
"""So ends the name of the rule that makes a view: it is the view itself."""
_USUAL: Final = {CONSTRAINT: "validated, not deferrable", "index": "valid", "attached index": "attached"}
_ENABLED: Final = "enabled"


class Thing(NamedTuple):
    """One that has a state."""

    kind: str
    schema: str
    """Empty where it has none."""
    name: str
    """As pg_dump lists it: of a constraint, a trigger or a rule the table's name and its own with a blank between."""

    @property
    def title(self) -> str:
        """What it is, for people: `constraint sales.item item_check`."""
        return f"{self.kind} {self.schema}.{self.name}" if self.schema else f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Found:
    """How a thing stands in a database: its own state, and the one that it has when the archive says nothing of it."""

    state: str
    usual: str = ""


def stated(contents: Contents) -> dict[Thing, str]:
    """Return each thing that *contents* make by itself, with its state; empty is the usual one."""
    return {
        Thing(KINDS[entry.kind], entry.schema, entry.name): _state(entry.definition or "")
        for entry in contents.entries
        if entry.kind in KINDS and not (entry.kind == "RULE" and entry.name.endswith(_RETURN))
    }


def find_state_differences(wanted: Mapping[Thing, str], found: Mapping[Thing, Found]) -> Iterator[str]:
    """Yield what of *wanted* is missing or stands otherwise, and what stands otherwise though the archive says nothing of it."""
    for thing, state in wanted.items():
        if thing not in found:
            yield f"the {thing.title} is missing"
        elif found[thing].state != state:
            yield _otherwise(thing, found[thing].state, state)
    for thing, one in found.items():
        if thing not in wanted and one.state != one.usual:
            yield _otherwise(thing, one.state, one.usual)


def _otherwise(thing: Thing, state: str, wanted: str) -> str:
    usual = _USUAL.get(thing.kind, _ENABLED)
    return f"the {thing.title} is {state or usual}, and was {wanted or usual}"


def _state(definition: str) -> str:
    said = f" {' '.join(written_words(definition))} ".replace(" NOT DEFERRABLE ", " ")
    return ", ".join(word for word in WORDS if f" {word} " in said)
