"""The Kubernetes API in eight verbs over plain HTTP: what the operator may do, and nothing else.

Knows paths, patches and status codes; knows no kind of ours. Every refusal is translated at this rim: what is absent is None,
what somebody else wrote first is a ConflictError, what the API says no to is a RefusedError with its text, the rest is UnavailableError.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, Self

import aiohttp

from dbcustody.errors import ConflictError, DbcustodyError, RefusedError, UnavailableError
from dbcustody.naming import API_VERSION, FIELD_MANAGER
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    import kopf

CONNECTIONS: Final = 32
TIMEOUT_SECONDS: Final = 15.0
PAGE_SIZE: Final = 500
REFUSALS: Final = frozenset({400, 403, 405, 413, 415, 422})
UNTRUE_TESTS: Final = ("test failed", "the server rejected our request due to an error in our request")
"""What the API server says (with 422) when a JSON patch's own test does not hold: older ones the first, Kubernetes 1.37 the second."""
_MERGE: Final = "application/merge-patch+json"
_JSON: Final = "application/json-patch+json"
_APPLY: Final = "application/apply-patch+yaml"
_METADATA: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_LOG: Final = logging.getLogger(__name__)
_QUIET: Final = logging.getLogger(f"{__name__}.login")

Body = Mapping[str, Any]


class Way(Protocol):
    """The way to an API server: its address, and what opens it."""

    @property
    def server(self) -> str:
        """The URL."""

    def as_http_headers(self) -> dict[str, str]:
        """Return what goes along with every request."""

    def as_ssl_context(self) -> ssl.SSLContext:
        """Return whom to trust, and who we are."""


class Resource(NamedTuple):
    """Where a kind of object is served."""

    api_version: str
    plural: str

    def path(self, namespace: str | None, name: str = "", subresource: str = "") -> str:
        """Return the URL's path; *namespace* None is the whole cluster (or a kind without namespaces)."""
        root = "/api/v1" if self.api_version == "v1" else f"/apis/{self.api_version}"
        space = f"/namespaces/{namespace}" if namespace else ""
        return "/".join(part for part in (f"{root}{space}/{self.plural}", name, subresource) if part)


JOBS: Final = Resource("batch/v1", "jobs")
CRON_JOBS: Final = Resource("batch/v1", "cronjobs")
PODS: Final = Resource("v1", "pods")
EVENTS: Final = Resource("v1", "events")
NAMESPACES: Final = Resource("v1", "namespaces")
CLAIMS: Final = Resource("v1", "persistentvolumeclaims")
CONFIG_MAPS: Final = Resource("v1", "configmaps")
WORKLOADS: Final = "apps/v1"
LEASES: Final = Resource("coordination.k8s.io/v1", "leases")


def ours(plural: str) -> Resource:
    """Return the resource of our own group that is called *plural*."""
    return Resource(API_VERSION, plural)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request that was answered (or not: *status* 0), for whoever counts."""

    verb: str
    status: int
    seconds: float


class Kube:
    """A connection to the API server; an asynchronous context manager."""

    def __init__(self, login: Callable[[], Way], *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._login = login
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._session: aiohttp.ClientSession | None = None
        self._server = ""
        self.observers: list[Callable[[Exchange], None]] = []
        self.date = ""
        """The API server's own time, as the header `Date` of its last answer says it."""

    async def __aenter__(self) -> Self:
        await self._connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(
        self, resource: Resource, namespace: str | None, name: str, *, subresource: str = ""
    ) -> dict[str, Any] | None:
        """Return the object, or its *subresource*, or None when there is none."""
        return await self._maybe("get", "GET", resource.path(namespace, name, subresource))

    async def read(self, path: str) -> dict[str, Any] | None:
        """Return what is served at *path*, such as `/version`, or None when nothing is."""
        return await self._maybe("get", "GET", path)

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
        only_metadata: bool = False,
    ) -> AsyncIterator[dict[str, Any]]:
        """Yield every object that fits the selectors, page by page; *namespace* None means all of them.

        With *only_metadata* nothing else of them is sent, however big they are.
        """
        accept = _METADATA if only_metadata else ""
        query = {"limit": str(PAGE_SIZE), "labelSelector": labels, "fieldSelector": fields}
        while True:
            answer = await self._ask("list", "GET", resource.path(namespace), query=query, accept=accept)
            if answer is None:
                raise UnavailableError(f"{resource.plural}.{resource.api_version}: is not served; apply the CRDs first")
            page = json.loads(answer)
            # a list of metadata alone in which nothing is has null there, and no empty list
            for item in page["items"] or ():
                yield item
            token = page["metadata"].get("continue")
            if not token:
                return
            query["continue"] = token

    async def create(self, resource: Resource, namespace: str | None, body: Body) -> dict[str, Any]:
        """Return the object as it was created; raises ConflictError when the name is taken."""
        return await self._write("create", "POST", resource.path(namespace), body)

    async def replace(self, resource: Resource, namespace: str | None, name: str, body: Body) -> dict[str, Any]:
        """Return the object as it was replaced; raises ConflictError when somebody wrote since *body* was read."""
        return await self._write("update", "PUT", resource.path(namespace, name), body)

    async def patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        operations: Sequence[Body] | Body,
        *,
        subresource: str = "",
        dry_run: bool = False,
    ) -> dict[str, Any] | None:
        """Return the object after a JSON patch (a list) or a merge patch (a mapping), or None when there is none.

        Raises ConflictError when one of the patch's tests does not hold, RefusedError when it may not be done; *dry_run* changes nothing.
        """
        kind = _MERGE if isinstance(operations, Mapping) else _JSON
        path, query = resource.path(namespace, name, subresource), {"dryRun": "All"} if dry_run else {}
        return await self._maybe("patch", "PATCH", path, body=operations, query=query, content_type=kind)

    async def apply(
        self, resource: Resource, namespace: str | None, body: Body, *, dry_run: bool = False
    ) -> dict[str, Any]:
        """Return the object after server-side apply; raises RefusedError with the API server's text when it is not accepted."""
        query = {"fieldManager": FIELD_MANAGER, "force": "true", **({"dryRun": "All"} if dry_run else {})}
        path = resource.path(namespace, body["metadata"]["name"])
        return await self._write("apply", "PATCH", path, body, query=query, content_type=_APPLY)

    async def delete(
        self, resource: Resource, namespace: str | None, name: str, *, propagation: str = "Background", uid: str = ""
    ) -> bool:
        """Return whether there was something to delete; with *uid* only that very object goes."""
        options: dict[str, Any] = {"propagationPolicy": propagation}
        if uid:
            options["preconditions"] = {"uid": uid}
        return await self._maybe("delete", "DELETE", resource.path(namespace, name), body=options) is not None

    async def log(self, namespace: str, pod: str, *, tail_lines: int) -> str | None:
        """Return the last lines that the pod's container wrote, or None when they cannot be had (any more)."""
        path = PODS.path(namespace, pod, "log")
        try:
            text = await self._ask("log", "GET", path, query={"tailLines": str(tail_lines)})
        except (RefusedError, UnavailableError):
            return None
        return None if text is None else text.decode("utf-8", "replace")

    async def _maybe(self, verb: str, method: str, path: str, **more: Any) -> dict[str, Any] | None:
        answer = await self._ask(verb, method, path, **more)
        return None if answer is None else json.loads(answer)

    async def _write(self, verb: str, method: str, path: str, body: Body, **more: Any) -> dict[str, Any]:
        answer = await self._ask(verb, method, path, body=body, **more)
        if answer is None:
            raise RefusedError(f"{path}: does not exist; is its namespace there?", reason=Reason.POD_NOT_CREATED)
        written: dict[str, Any] = json.loads(answer)
        return written

    async def _ask(
        self,
        verb: str,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        accept: str = "",
    ) -> bytes | None:
        """Return the answer's bytes, None for 404; a 401 is answered once by logging in anew, because tokens are rotated."""
        shown = {name: text for name, text in (query or {}).items() if text}
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        kinds = {"Accept": accept, "Content-Type": content_type if data is not None else ""}
        headers = {name: kind for name, kind in kinds.items() if kind}
        arguments = {"params": shown, "data": data, "headers": headers, "timeout": self._timeout}
        status, answer = await self._send(verb, method, path, arguments)
        if status == HTTPStatus.UNAUTHORIZED:
            await self._connect()
            status, answer = await self._send(verb, method, path, arguments)
        return _judged(path, status, answer)

    async def _send(self, verb: str, method: str, path: str, arguments: Mapping[str, Any]) -> tuple[int, bytes]:
        if self._session is None:
            raise UnavailableError("API server: the connection is not open")
        started, status = time.monotonic(), 0
        try:
            async with self._session.request(method, self._server + path, **arguments) as response:
                answer = await response.read()
                status, self.date = response.status, response.headers.get("Date", "")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            what = str(error)[:200] or type(error).__name__
            raise UnavailableError(f"API server: no answer to {verb} ({what})") from error
        finally:
            for observer in self.observers:
                observer(Exchange(verb, status, time.monotonic() - started))
        return status, answer

    async def _connect(self) -> None:
        info = await asyncio.to_thread(self._login)
        before, self._session = self._session, open_session(info, CONNECTIONS)
        self._server = info.server.rstrip("/")
        if before is not None:
            await before.close()


def open_session(info: Way, connections: int) -> aiohttp.ClientSession:
    """Return an HTTP session with *info*'s credentials and at most *connections* connections.

    Without a bound every watched object may open one, at a third of a MiB each.
    """
    connector = aiohttp.TCPConnector(limit=connections, keepalive_timeout=30, ssl=_ssl_context(info))
    return aiohttp.ClientSession(headers=info.as_http_headers(), connector=connector)


def _ssl_context(info: Way) -> ssl.SSLContext:
    """Return *info*'s context, checking issuer, name and dates, but not every formality of RFC 5280.

    Python 3.13 made those formalities the default; many clusters' certificates have no key identifiers and will not for years.
    """
    context = info.as_ssl_context()
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def log_in() -> kopf.ConnectionInfo:
    """Return the way to the API server: the pod's ServiceAccount, else the kubeconfig. Raises UnavailableError."""
    import kopf  # noqa: PLC0415 - whoever brings a login of his own need not wait for it

    settings = kopf.OperatorSettings()
    info = kopf.login_with_service_account(logger=_QUIET, settings=settings) or kopf.login_with_kubeconfig(
        logger=_QUIET, settings=settings
    )
    if info is None:
        raise UnavailableError("no ServiceAccount is mounted and no kubeconfig was found; set KUBECONFIG")
    return info


def _judged(path: str, status: int, answer: bytes) -> bytes | None:
    """Return the answer of a success, None for what is not there; raises what the status says."""
    if status < HTTPStatus.MULTIPLE_CHOICES:
        return answer
    if status == HTTPStatus.NOT_FOUND:
        return None
    raise _error(path, status, _text_of(answer))


def _error(path: str, status: int, text: str) -> DbcustodyError:
    """Return the error that *status* and the API server's *text* mean."""
    is_test = status == HTTPStatus.UNPROCESSABLE_ENTITY and any(words in text for words in UNTRUE_TESTS)
    if status == HTTPStatus.CONFLICT or is_test:
        return ConflictError(f"{path}: {text}", reason=Reason.NAME_TAKEN)
    if status in REFUSALS:
        return RefusedError(text, reason=Reason.POD_NOT_CREATED)
    return UnavailableError(f"API server: {status} at {path}: {text}")


def _text_of(answer: bytes) -> str:
    """Return the message of a `Status` object, or the beginning of whatever came."""
    try:
        return str(json.loads(answer)["message"])
    except (ValueError, KeyError, TypeError):
        return answer[:200].decode("utf-8", "replace")
