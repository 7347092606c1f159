"""What every handler works with: the API, what is known, what is to be looked at, and the time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from dbcustody.handlers.queue import Queue
from dbcustody.handlers.world import Key, World
from dbcustody.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from dbcustody.adapters.kube import Resource
    from dbcustody.contract import JobResult


class KubeApi(Protocol):
    """The verbs of the Kubernetes API that handlers use; `adapters.kube.Kube` and the tests' fake have them."""

    async def get(
        self, resource: Resource, namespace: str | None, name: str, *, subresource: str = ""
    ) -> dict[str, Any] | None:
        """Return the object or its subresource, or None."""

    def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
        only_metadata: bool = False,
    ) -> AsyncIterator[dict[str, Any]]:
        """Yield the objects, or nothing but their metadata."""

    async def create(self, resource: Resource, namespace: str | None, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the object as created."""

    async def replace(
        self, resource: Resource, namespace: str | None, name: str, body: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the object as replaced."""

    async def patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        operations: Sequence[Mapping[str, Any]] | Mapping[str, Any],
        *,
        subresource: str = "",
        dry_run: bool = False,
    ) -> dict[str, Any] | None:
        """Return the object as patched, or None."""

    async def apply(
        self, resource: Resource, namespace: str | None, body: Mapping[str, Any], *, dry_run: bool = False
    ) -> dict[str, Any]:
        """Return the object as applied."""

    async def delete(
        self, resource: Resource, namespace: str | None, name: str, *, propagation: str = "Background", uid: str = ""
    ) -> bool:
        """Return whether there was something to delete."""

    async def log(self, namespace: str, pod: str, *, tail_lines: int) -> str | None:
        """Return the end of a log, or None."""


class Counter(Protocol):
    """Whoever counts what happens; `metrics.Metrics` does."""

    def count_result(self, key: Key, result: JobResult) -> None:
        """Count the end of a Job."""

    def count_left_data(self) -> None:
        """Count a Backup that was deleted without its data."""


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """Handed to every handler; nothing in it is global."""

    kube: KubeApi
    settings: Settings
    counter: Counter
    world: World = field(default_factory=World)
    queue: Queue[Key] = field(default_factory=Queue)
    now: Callable[[], datetime] = utc_now
    lease_transitions: Callable[[], int] = lambda: 0
