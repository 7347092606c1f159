"""Reading everything at once: when the leadership is gained, and now and then afterwards.

A watch that was interrupted does not tell what was deleted meanwhile.
"""

from __future__ import annotations

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


async def list_everything(hands: Hands, intake: Intake) -> int:
    """Take in everything that is there and forget what is not; returns how many objects were news (a sound watch leaves none)."""
    news = 0
    for kind in Kind:

        def take(body: Mapping[str, Any], kind: Kind = kind) -> bool:
            return intake.resource(kind, body)

        def gone(place: Place, uid: str, kind: Kind = kind) -> None:
            intake.resource_gone(kind, place, uid)

        news += await _list(hands, ours(kind.plural), hands.world.shelf(kind), take, gone)
    news += await _list(hands, JOBS, hands.world.jobs, intake.job, intake.job_gone, labels=LABEL_VERB)
    news += await _list(
        hands, CRON_JOBS, hands.world.cron_jobs, intake.cron_job, intake.cron_job_gone, labels=LABEL_VERB
    )
    return news


async def _list(  # noqa: PLR0917 - one kind of object and what to do with it
    hands: Hands,
    resource: Resource,
    shelf: Shelf[Any],
    take: Callable[[Mapping[str, Any]], bool],
    gone: Callable[[Place, str], None],
    *,
    labels: str = "",
) -> int:
    before, news = shelf.uids(), 0
    for namespace in hands.settings.namespaces or (None,):
        async for body in hands.kube.list(resource, namespace, labels=labels):
            news += take(body)
            before.pop(Place(body["metadata"]["namespace"], body["metadata"]["name"]), None)
    for place, uid in before.items():
        news += 1
        gone(place, uid)
    return news
