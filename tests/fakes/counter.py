"""A person at `kubectl dbcustody` before an API server in memory: what is typed, what comes back, and what an operator does meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from dbcustody.adapters.kube import Resource, ours
from dbcustody.api.meta import Kind
from dbcustody.cli.kubectl.doctor import REVIEWS
from dbcustody.cli.kubectl.door import Door
from dbcustody.cli.kubectl.main import run
from dbcustody.cli.kubectl.session import Session
from tests.fakes.kube import FakeKube, Json, duplicate
from tests.fakes.seen import NOW

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping


@dataclass
class FakeServer(FakeKube):
    """The API server, with what it says beside objects."""

    date: str = "Sat, 31 Jan 2026 12:00:00 GMT"
    version: Json | None = field(default_factory=lambda: {"major": "1", "minor": "32", "gitVersion": "v1.32.1"})
    denied: set[tuple[str, str]] = field(default_factory=set)
    """What the caller may not do, by verb and plural."""

    async def read(self, path: str) -> Json | None:
        """Return the version."""
        return self._answer("get", Resource("", path), "", lambda: self.version)

    async def create(self, resource: Resource, namespace: str | None, body: Mapping[str, Any]) -> Json:
        """Answer a review, or create the object."""
        if resource != REVIEWS:
            return await super().create(resource, namespace, body)
        asked = body["spec"]["resourceAttributes"]
        return {"status": {"allowed": (asked["verb"], asked["resource"]) not in self.denied}}

    def have(self, *bodies: Json) -> None:
        """Have resources of ours, as the API server keeps them."""
        for body in bodies:
            self.keep(ours(Kind(body["kind"]).plural), body)

    def keep(self, resource: Resource, body: Json) -> None:
        """Have any object."""
        metadata = body["metadata"]
        self._store(resource, (metadata.get("namespace", ""), metadata["name"]), duplicate(body), "ADDED")


@dataclass
class Counter:
    """Where the person stands; each second of waiting, the next thing of *events* happens."""

    now: datetime = NOW
    kube: FakeServer = field(init=False)
    events: list[Callable[[], None]] = field(default_factory=list)
    asked: dict[str, Any] = field(default_factory=dict)
    """The options of the last command."""

    def __post_init__(self) -> None:
        self.kube = FakeServer(now=lambda: self.now)

    def type(self, *words: str) -> int:
        """Return the exit code of `kubectl dbcustody *words*`."""
        return run(words, Door(self._enter))

    @asynccontextmanager
    async def _enter(self, **options: Any) -> AsyncIterator[Session]:
        self.asked = options
        namespace = None if options["everywhere"] else options["namespace"] or "team"
        yield Session(kube=self.kube, namespace=namespace, now=lambda: self.now, pause=self._pause)

    async def _pause(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        if self.events:
            self.events.pop(0)()
        await asyncio.sleep(0)

    def says(self, kind: Kind, name: str, **status: Any) -> None:
        """Have the operator write *status*."""

        def write(body: Json) -> None:
            body["status"] = {"observedGeneration": body["metadata"]["generation"], **status}

        self.kube.change(ours(kind.plural), "team", name, write)
