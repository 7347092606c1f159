"""What Flux makes of a resource: its health check expressions, in the order and with the errors that its documentation tells."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import celpy
import yaml
from celpy.evaluation import CELEvalError

if TYPE_CHECKING:
    from collections.abc import Mapping

STANZA: Final[dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parents[2] / "deploy" / "flux" / "health.yaml").read_text()
)
ORDER: Final = ("inProgress", "failed", "current")


class Flux(StrEnum):
    """The words of Flux; after Unknown it looks again, until its timeout."""

    IN_PROGRESS = "InProgress"
    FAILED = "Failed"
    CURRENT = "Current"
    UNKNOWN = "Unknown"


def expressions_of(kind: str) -> dict[str, str] | None:
    """Return the expressions of *kind* in what we ship, or None."""
    found = [one for one in STANZA["healthCheckExprs"] if one["kind"] == kind]
    return found[0] if found else None


@cache
def _program(expression: str) -> Any:
    """Return *expression*, compiled; the parser raises Python's recursion limit, which hypothesis wants to be left alone."""
    limit = sys.getrecursionlimit()
    environment = celpy.Environment()
    program = environment.program(environment.compile(expression))
    sys.setrecursionlimit(limit)
    return program


def holds(expression: str, body: Mapping[str, Any]) -> bool:
    """Return whether *expression* is true of *body*; raises CELEvalError when it cannot be told."""
    return bool(_program(expression).evaluate({name: celpy.json_to_cel(part) for name, part in body.items()}))


def judged(body: Mapping[str, Any], expressions: Mapping[str, str]) -> Flux:
    """Return what *expressions* say of *body*: the generations first, then the first one that is true."""
    seen = body.get("status", {}).get("observedGeneration")
    if seen is not None and seen != body["metadata"]["generation"]:
        return Flux.IN_PROGRESS
    needed = {name: part for name, part in body.items() if name != "spec" or "spec." in str(expressions)}
    return _evaluated(json.dumps(needed, sort_keys=True), tuple(expressions.get(name, "") for name in ORDER))


@cache
def _evaluated(body: str, expressions: tuple[str, ...]) -> Flux:
    words = (Flux.IN_PROGRESS, Flux.FAILED, Flux.CURRENT)
    try:
        found = (word for word, one in zip(words, expressions, strict=True) if one and holds(one, json.loads(body)))
        return next(found, Flux.IN_PROGRESS)
    except CELEvalError:
        return Flux.UNKNOWN


def flux_of(body: Mapping[str, Any]) -> Flux:
    """Return what Flux says of *body* with the expressions that we ship."""
    expressions = expressions_of(body["kind"])
    assert expressions is not None, body["kind"]
    return judged(body, expressions)
