"""The graph that migrations make by what they follow: an order that respects it, what is below one, and its ends."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence


def in_order(parents: Mapping[str, Sequence[str]], names: Mapping[str, str]) -> tuple[str, ...]:
    """Return the revisions of *parents* so that each comes after those that it follows; where that leaves a choice, by their *names*.

    What lies on a circle, and what follows it, is not among them. Parents that are not there are no obstacle.
    """
    missing = {revision: len({one for one in above if one in parents}) for revision, above in parents.items()}
    followers = defaultdict(list)
    for revision, above in parents.items():
        for one in set(above) & set(parents):
            followers[one].append(revision)
    ready = [(names[revision], revision) for revision, count in missing.items() if count == 0]
    heapq.heapify(ready)
    order = []
    while ready:
        _, revision = heapq.heappop(ready)
        order.append(revision)
        for follower in followers[revision]:
            missing[follower] -= 1
            if missing[follower] == 0:
                heapq.heappush(ready, (names[follower], follower))
    return tuple(order)


def ancestors(revisions: Iterable[str], parents: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """Return everything that *revisions* follow, from one to the next; they themselves are among it only where another follows them."""
    found: set[str] = set()
    to_do = [parent for revision in revisions for parent in parents.get(revision, ())]
    while to_do:
        one = to_do.pop()
        if one not in found:
            found.add(one)
            to_do.extend(parents.get(one, ()))
    return frozenset(found)


def ends(present: Collection[str], parents: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return those of *present* that no other one of them follows, in their order: what Alembic's table of versions holds.

    What another one depends on is no end, either (https://alembic.sqlalchemy.org/en/latest/branches.html#branch-dependencies).
    """
    below = ancestors(present, parents)
    return tuple(one for one in present if one not in below)


def several(items: Iterable[str]) -> tuple[str, ...]:
    """Return which of *items* come more than once."""
    return tuple(item for item, count in Counter(items).items() if count > 1)
