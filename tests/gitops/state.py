"""A state that matters, and what a person decided for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.gitops.argocd import Body, Health


@dataclass(frozen=True, slots=True)
class State:
    """One case: the file's name, the health that is right, and what makes the resource."""

    name: str
    health: Health
    make: Callable[[], Body]
