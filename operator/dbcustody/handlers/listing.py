"""Reading everything at once: when the leadership is gained, and now and then afterwards.

A watch that was interrupted does not tell what was deleted meanwhile.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from dbcustody.adapters.kube import CRON_JOBS, JOBS, ours
from dbcustody.api.meta import Kind
from dbcustody.handlers.world import Place
from dbcustody.naming import LABEL_VERB

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dbcustody.adapters.kube import Resource
    from dbcustody.handlers.hands import Hands
    from dbcustody.handlers.intake import Intake
    from dbcustody.handlers.world import Shelf


async def list_everything(hands: Hands, intake: Intake) -> set[str]:
    """Take in everything that is there and forget what is not; returns the kinds of which something was news."""
    news: set[str] = set()
    for kind in Kind:
        take, gone = partial(intake.resource, kind), partial(intake.resource_gone, kind)
        if await _list(hands, ours(kind.plural), hands.world.shelf(kind), take=take, gone=gone):
            news.add(kind.plural)
    world = hands.world
    if await _list(hands, JOBS, world.jobs, take=intake.job, gone=intake.job_gone, labels=LABEL_VERB):
        news.add(JOBS.plural)
    if await _list(
        hands, CRON_JOBS, world.cron_jobs, take=intake.cron_job, gone=intake.cron_job_gone, labels=LABEL_VERB
    ):
        news.add(CRON_JOBS.plural)
    return news


async def _list(
    hands: Hands,
    resource: Resource,
    shelf: Shelf[Any],
    *,
    take: Callable[[Mapping[str, Any]], bool],
    gone: Callable[[Place, str], None],
    labels: str = "",
) -> bool:
    before, news = shelf.uids(), False
    for namespace in hands.settings.namespaces or (None,):
        async for body in hands.kube.list(resource, namespace, labels=labels):
            news = take(body) or news
            before.pop(Place(body["metadata"]["namespace"], body["metadata"]["name"]), None)
    for place, uid in before.items():
        news = True
        gone(place, uid)
    return news
