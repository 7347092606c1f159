"""The operator process: wait for the leadership, list everything, watch, reconcile; leave at once when the leadership is lost."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import uuid
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dbcustody.adapters.kube import LEASES, Exchange, Kube, log_in
from dbcustody.adapters.lease import Lease
from dbcustody.errors import DbcustodyError
from dbcustody.handlers.counting import Bookkeeper
from dbcustody.handlers.hands import Hands
from dbcustody.handlers.health import Health, application, keep_beating, serve
from dbcustody.handlers.intake import Intake
from dbcustody.handlers.listing import list_everything
from dbcustody.handlers.migration import look_at_sources
from dbcustody.handlers.observe import Observer
from dbcustody.handlers.reconcile import Reconciler
from dbcustody.handlers.sampler import process_metrics, sample
from dbcustody.handlers.watch import watch
from dbcustody.logs import set_up_logs
from dbcustody.metrics import Metrics
from dbcustody.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Coroutine


WORKERS: Final = 16
SWEEP_SECONDS: Final = 20.0
SOON_SECONDS: Final = 60.0
FIRST_LISTING_SECONDS: Final = 10.0
LISTING_SECONDS: Final = 300.0
RETRY_SECONDS: Final = 5.0
LOST: Final = 1
_LOG: Final = logging.getLogger(__name__)


def main(settings: Settings) -> int:
    """Run the operator until it is told to end; returns the exit status (1: the leadership or the watch was lost)."""
    set_up_logs()
    return asyncio.run(_run(settings))


@dataclass(slots=True)
class _LeaseObject:
    """The Lease of the settings, through the connection."""

    kube: Kube
    settings: Settings

    async def read(self) -> dict[str, Any] | None:
        """Return the Lease, or None."""
        return await self.kube.get(LEASES, self.settings.namespace, self.settings.lease_name)

    async def create(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the Lease as created."""
        return await self.kube.create(LEASES, self.settings.namespace, body)

    async def replace(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the Lease as replaced."""
        return await self.kube.replace(LEASES, self.settings.namespace, self.settings.lease_name, body)


async def _run(settings: Settings) -> int:
    stop, health, metrics = asyncio.Event(), Health(), Metrics()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner = await serve(application(health, metrics.render), settings.host, settings.port)
    beating = asyncio.create_task(keep_beating(health))
    try:
        async with Kube(log_in) as kube:
            kube.observers.append(_counting(health, metrics))
            lease = _candidate(kube, settings)
            metrics.add_sampler(lambda: process_metrics(lease, health))
            return await _take_part(kube, lease, settings, Surroundings(stop, health, metrics))
    finally:
        beating.cancel()
        await runner.cleanup()


def _candidate(kube: Kube, settings: Settings) -> Lease:
    """Return this process as a candidate; in a pod it is the heir of every earlier container of that pod."""
    estate = f"{settings.identity}_{settings.pod_uid}_" if settings.pod_uid else ""
    return Lease(
        _LeaseObject(kube, settings),
        name=settings.lease_name,
        namespace=settings.namespace,
        identity=f"{estate or f'{settings.identity}_'}{uuid.uuid4()}",
        estate=estate,
    )


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The process around the operator."""

    stop: asyncio.Event
    health: Health
    metrics: Metrics


def _counting(health: Health, metrics: Metrics) -> Any:
    def count(exchange: Exchange) -> None:
        if 0 < exchange.status < 500:  # noqa: PLR2004 - an answer, though perhaps a refusal
            health.answered()
        metrics.count_request(exchange.verb, exchange.status, exchange.seconds)

    return count


async def _take_part(kube: Kube, lease: Lease, settings: Settings, around: Surroundings) -> int:
    """Wait for the leadership, then lead; returns the exit status."""
    if not await _first(lease.acquire(), around.stop.wait()):
        return 0
    _LOG.info("leading as %s", lease.identity)
    around.health.is_leading = True
    around.metrics.leader.set(1)
    holding = asyncio.create_task(_hold(lease))
    try:
        return await _lead(kube, lease, settings, around)
    finally:
        holding.cancel()
        await lease.release()


async def _hold(lease: Lease) -> None:
    """Leave the process at once when the leadership is lost: whatever is half-way must not go on."""
    await lease.hold()
    _LOG.error("leadership lost")
    logging.shutdown()
    os._exit(LOST)


async def _first(wanted: Coroutine[Any, Any, Any], other: Coroutine[Any, Any, Any]) -> bool:
    """Return whether *wanted* ended before *other*; the one that did not is cancelled."""
    tasks = [asyncio.create_task(wanted), asyncio.create_task(other)]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    for task in done:
        task.result()
    return tasks[0] in done


async def _lead(kube: Kube, lease: Lease, settings: Settings, around: Surroundings) -> int:
    """Serve every resource until told to stop; returns the exit status."""
    bookkeeper = Bookkeeper(around.metrics)
    hands = Hands(kube=kube, settings=settings, counter=bookkeeper, lease_transitions=lambda: lease.transitions)
    bookkeeper.world = hands.world
    around.metrics.add_sampler(lambda: (*sample(hands.world, hands.queue), *bookkeeper.sample()))
    observer = Observer(hands)
    intake = Intake(hands, observer)
    await _list_at_first(hands, intake, observer)
    around.health.has_listed = True
    reconciler = Reconciler(hands, observer)
    told = bookkeeper.count_reconcile
    tasks = [asyncio.create_task(reconciler.work(told)) for _ in range(WORKERS)]
    tasks.append(asyncio.create_task(_sweep(hands, intake, observer, around)))
    tasks.append(asyncio.create_task(_list_again(hands, intake, around)))
    watching = asyncio.create_task(watch(intake, log_in, namespaces=settings.namespaces, stop=around.stop))
    try:
        await asyncio.wait([*tasks, watching], return_when=asyncio.FIRST_COMPLETED)
        return _verdict(tasks, watching)
    finally:
        await _end([*tasks, watching])


def _verdict(tasks: list[asyncio.Task[None]], watching: asyncio.Task[None]) -> int:
    """Return the exit status: a watch that ended without an error was told to; anything else that ended broke."""
    for task in (*tasks, watching):
        error = task.exception() if task.done() and not task.cancelled() else None
        if error is not None:
            _LOG.error("a task of the operator broke", exc_info=error)
            return LOST
    return 0 if watching.done() else LOST


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _list_at_first(hands: Hands, intake: Intake, observer: Observer) -> None:
    """List everything before anything is judged: what is not known yet must not be taken for absent."""
    while True:
        try:
            await list_everything(hands, intake)
            await observer.refresh_pods()
            await look_at_sources(hands)
        except DbcustodyError as error:
            _LOG.warning("cannot list: %s", error.message)
            await asyncio.sleep(RETRY_SECONDS)
        else:
            break
    for key in intake.everything():
        hands.queue.add(key)


async def _sweep(hands: Hands, intake: Intake, observer: Observer, around: Surroundings) -> None:
    """Look every 20 s at whatever may have to move though nothing is heard of it; what is due within the minute comes by itself."""
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        with suppress(DbcustodyError):
            await observer.refresh_pods()
            await look_at_sources(hands)
        for key in intake.unfinished():
            due_seconds = hands.queue.due_seconds(key)
            if due_seconds is None or due_seconds > SOON_SECONDS:
                hands.queue.add(key)
        around.metrics.heartbeat.labels("sweep").set_to_current_time()


async def _list_again(hands: Hands, intake: Intake, around: Surroundings) -> None:
    """List everything now and then; when that keeps bringing news of a kind of which the watch is silent, the watch is deaf."""
    pause, silences = FIRST_LISTING_SECONDS, 0
    while True:
        await asyncio.sleep(pause)
        try:
            news = await list_everything(hands, intake)
        except DbcustodyError as error:
            _LOG.warning("cannot list: %s", error.message)
            continue
        silences = silences + 1 if news - intake.heard else 0
        intake.heard.clear()
        around.health.hears(is_deaf=silences >= DEAF_AFTER)
        pause = FIRST_LISTING_SECONDS if news else LISTING_SECONDS


DEAF_AFTER: Final = 3
"""Listings in a row, 10 s apart: one piece of news may always be on its way."""
