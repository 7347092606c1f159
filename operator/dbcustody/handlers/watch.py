"""The watch, by Kopf: every event is handed to the intake, and that is all that happens in a handler.

Only `on.event` handlers are registered: Kopf then keeps no state in annotations, sets no finalizers and writes nothing at all.
Such handlers are never retried by Kopf; ours cannot fail, because they only remember and queue.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

import kopf

from dbcustody.adapters.kube import CRON_JOBS, JOBS, open_session
from dbcustody.api.meta import Kind
from dbcustody.handlers.world import Place
from dbcustody.naming import GROUP, LABEL_VERB, VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dbcustody.handlers.intake import Intake

CONNECTIONS: Final = 50
NO_FINALIZER: Final = f"{GROUP}/nobody-sets-this"
"""Kopf takes its own finalizer off whatever has no handler that needs one: it must not be called like ours."""
DELETED: Final = "DELETED"


def operator_settings() -> kopf.OperatorSettings:
    """Return Kopf's settings: bounded connections and times, nothing posted, nothing written, no peering, no scanning."""
    settings = kopf.OperatorSettings()
    settings.persistence.finalizer = NO_FINALIZER
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=GROUP, v1=False)
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=GROUP, v1=False)
    settings.networking.connect_timeout = 10
    settings.networking.request_timeout = 30
    settings.watching.connect_timeout = 10
    settings.watching.chunk_size = 500
    settings.queueing.idle_timeout = 1.0
    settings.queueing.exit_timeout = 5
    settings.process.ultimate_exiting_timeout = 15
    settings.posting.enabled = False
    settings.posting.loggers = False
    settings.scanning.disabled = True
    settings.peering.standalone = True
    return settings


def registry_for(intake: Intake, login: Callable[[], kopf.ConnectionInfo]) -> kopf.OperatorRegistry:
    """Return Kopf's registry with one handler for each kind of object that is watched."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def log_in(**_: Any) -> kopf.AiohttpSession:
        """Open a session; Kopf comes again after a 401, so that a rotated token is read anew."""
        info = await asyncio.to_thread(login)
        session = open_session(info, CONNECTIONS)
        return kopf.AiohttpSession(
            server=info.server, default_namespace=info.default_namespace, aiohttp_session=session
        )

    for kind in Kind:
        _watch_kind(registry, intake, kind)
    _watch(registry, JOBS.plural, intake.job, intake.job_gone, heard=intake.heard.add)
    _watch(registry, CRON_JOBS.plural, intake.cron_job, intake.cron_job_gone, heard=intake.heard.add)
    return registry


def _watch_kind(registry: kopf.OperatorRegistry, intake: Intake, kind: Kind) -> None:
    @kopf.on.event(GROUP, VERSION, kind.plural, registry=registry, id=f"hear-{kind.plural}")
    async def hear(event: Mapping[str, Any], **_: Any) -> None:
        body = event["object"]
        intake.heard.add(kind.plural)
        if event["type"] == DELETED:
            intake.resource_gone(kind, _place(body), body["metadata"]["uid"])
        else:
            intake.resource(kind, body)


def _watch(
    registry: kopf.OperatorRegistry,
    plural: str,
    take: Callable[[Mapping[str, Any]], bool],
    gone: Callable[[Place, str], None],
    *,
    heard: Callable[[str], None],
) -> None:
    @kopf.on.event("batch", "v1", plural, labels={LABEL_VERB: kopf.PRESENT}, registry=registry, id=f"hear-{plural}")
    async def hear(event: Mapping[str, Any], **_: Any) -> None:
        body = event["object"]
        heard(plural)
        if event["type"] == DELETED:
            gone(_place(body), body["metadata"]["uid"])
        else:
            take(body)


def _place(body: Mapping[str, Any]) -> Place:
    return Place(body["metadata"]["namespace"], body["metadata"]["name"])


async def watch(
    intake: Intake, login: Callable[[], kopf.ConnectionInfo], *, namespaces: tuple[str, ...], stop: asyncio.Event
) -> None:
    """Watch until *stop* is set (or the process is told to end); raises what made a watch die for good."""
    logging.getLogger("kopf").setLevel(logging.WARNING)
    await kopf.operator(
        registry=registry_for(intake, login),
        settings=operator_settings(),
        standalone=True,
        clusterwide=not namespaces,
        namespaces=namespaces,
        stop_flag=stop,
    )
