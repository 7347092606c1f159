"""What a command of the plugin works with: the API server of the person's kubeconfig, a namespace, a clock and patience."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Protocol

from dbcustody.adapters.kube import Kube, Resource, ours
from dbcustody.adapters.kubeconfig import Access, read_access
from dbcustody.api.glance import Glance
from dbcustody.errors import InvalidSpecError, RefusedError
from dbcustody.plan.needs import unreadable
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from dbcustody.api.meta import Kind
    from dbcustody.plan.needs import Need


class Api(Protocol):
    """What the commands ask of the API server."""

    date: str

    async def get(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any] | None:
        """Return the object, or None when there is none."""

    async def read(self, path: str) -> dict[str, Any] | None:
        """Return what is served at *path*, or None when nothing is."""

    def list(
        self, resource: Resource, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> AsyncIterator[dict[str, Any]]:
        """Yield every object that fits."""

    async def create(self, resource: Resource, namespace: str | None, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the object as created; raises ConflictError when the name is taken."""

    async def patch(
        self, resource: Resource, namespace: str | None, name: str, operations: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """Return the object after a merge patch, or None when there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One command's connection; *namespace* None means all of them."""

    kube: Api
    namespace: str | None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep

    @property
    def home(self) -> str:
        """The one namespace that is worked in; raises InvalidSpecError when there is none."""
        if self.namespace is None:
            raise InvalidSpecError("a namespace must be named with -n")
        return self.namespace

    @property
    def server_time(self) -> datetime | None:
        """What the API server's clock said in its last answer, or None when it did not."""
        try:
            return parsedate_to_datetime(self.kube.date).astimezone(UTC)
        except ValueError:
            return None

    async def find(self, kind: Kind, name: str) -> Glance | None:
        """Return the resource, or None when there is none."""
        body = await self.kube.get(ours(kind.plural), self.home, name)
        return None if body is None else see(kind, body)

    async def require(self, kind: Kind, name: str) -> Glance:
        """Return the resource; raises RefusedError when there is none."""
        found = await self.find(kind, name)
        if found is None:
            raise RefusedError(
                f"{kind.value} {name}: is not there in namespace {self.home}", reason=Reason.INVALID_SPEC
            )
        return found

    async def all(self, *kinds: Kind) -> tuple[list[Glance], list[Need]]:
        """Return every resource of *kinds*, and a need for each one that this version cannot read."""
        found: list[Glance] = []
        strange: list[Need] = []
        for kind in kinds:
            async for body in self.kube.list(ours(kind.plural), self.namespace):
                try:
                    found.append(Glance.from_body(kind, body))
                except InvalidSpecError as error:
                    place = body["metadata"]
                    strange.append(unreadable(kind, place["name"], place.get("namespace", ""), error.message))
        return found, strange


def see(kind: Kind, body: Mapping[str, Any]) -> Glance:
    """Return the resource *body*; raises RefusedError for one that this version cannot read: nobody typed anything wrong."""
    try:
        return Glance.from_body(kind, body)
    except InvalidSpecError as error:
        name = body["metadata"]["name"]
        text = f"{kind.value} {name}: cannot be read by this version of dbcustody ({error.message})"
        raise RefusedError(text, reason=Reason.FORMAT_UNKNOWN) from error


@asynccontextmanager
async def connect(
    *, namespace: str | None, everywhere: bool, kubeconfig: str | None, context: str | None
) -> AsyncIterator[Session]:
    """Lend a session with the API server that kubectl would ask; raises UnavailableError when there is no way to one."""
    access = await asyncio.to_thread(read_access, files=kubeconfig, context=context)
    first = [access]

    def log_in() -> Access:
        """Return the way that was read already; anew when the API server says that it is used up, as short-lived tokens are."""
        return first.pop() if first else read_access(files=kubeconfig, context=context)

    async with Kube(log_in) as kube:
        yield Session(kube=kube, namespace=None if everywhere else namespace or access.namespace)
