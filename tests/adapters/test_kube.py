"""The rim of the Kubernetes API over real HTTP: what was answered, in the words of the operator."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import kopf
import pytest
from aiohttp import web

from dbcustody.adapters.kube import CONFIG_MAPS, CRON_JOBS, JOBS, PODS, Exchange, Kube, Resource, ours
from dbcustody.errors import ConflictError, DbcustodyError, RefusedError, UnavailableError
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@dataclass
class Server:
    """An API server that answers what it is told, in order, and writes down what it was asked."""

    answers: list[tuple[int, Any]] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""
    logins: int = 0

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one request."""
        text = await request.text()
        self.asked.append(
            {
                "what": f"{request.method} {request.path}",
                "query": dict(request.query),
                "type": request.headers.get("Content-Type"),
                "accept": request.headers.get("Accept"),
                "body": json.loads(text) if text else None,
                "token": request.headers.get("Authorization"),
            }
        )
        status, body = self.answers.pop(0)
        return web.Response(status=status, text=body if isinstance(body, str) else json.dumps(body))

    def log_in(self) -> kopf.ConnectionInfo:
        """Return the way here, with another token each time."""
        self.logins += 1
        return kopf.ConnectionInfo(server=f"{self.url}/", token=f"token-{self.logins}", insecure=True)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """Return a server that listens."""
    made = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = "http://{}:{}".format(*runner.addresses[0][:2])
    yield made
    await runner.cleanup()


@pytest.mark.parametrize(
    ("resource", "namespace", "name", "expected"),
    [
        (PODS, "team", "p", "/api/v1/namespaces/team/pods/p"),
        (JOBS, None, "", "/apis/batch/v1/jobs"),
        (ours("backups"), "team", "b", "/apis/dbcustody.dev/v1/namespaces/team/backups/b"),
    ],
    ids=["core", "whole-cluster", "ours"],
)
def test_paths(resource: Resource, namespace: str | None, name: str, expected: str) -> None:
    """Where each kind is served."""
    assert resource.path(namespace, name) == expected


async def test_what_is_asked(server: Server) -> None:
    """Each verb has its method, its content type and its query."""
    server.answers = [(200, {"kind": "Job"})] * 6
    async with Kube(server.log_in) as kube:
        await kube.get(JOBS, "team", "j")
        await kube.create(JOBS, "team", {"a": 1})
        await kube.replace(JOBS, "team", "j", {"a": 2})
        await kube.patch(ours("backups"), "team", "b", [{"op": "remove", "path": "/x"}], subresource="status")
        await kube.patch(JOBS, "team", "j", {"spec": {}})
        assert await kube.delete(JOBS, "team", "j", propagation="Foreground", uid="u")

    jobs = "/apis/batch/v1/namespaces/team/jobs"
    backups = "/apis/dbcustody.dev/v1/namespaces/team/backups/b/status"
    assert [(one["what"], one["type"]) for one in server.asked] == [
        (f"GET {jobs}/j", None),
        (f"POST {jobs}", "application/json"),
        (f"PUT {jobs}/j", "application/json"),
        (f"PATCH {backups}", "application/json-patch+json"),
        (f"PATCH {jobs}/j", "application/merge-patch+json"),
        (f"DELETE {jobs}/j", "application/json"),
    ]
    assert server.asked[-1]["body"] == {"propagationPolicy": "Foreground", "preconditions": {"uid": "u"}}
    assert {one["token"] for one in server.asked} == {"Bearer token-1"}


@pytest.mark.parametrize(("dry_run", "expected"), [(False, {}), (True, {"dryRun": "All"})], ids=["real", "dry-run"])
async def test_apply_is_server_side(server: Server, expected: dict[str, str], *, dry_run: bool) -> None:
    """With our name as the manager, by force; a dry run changes nothing."""
    server.answers = [(200, {})]
    async with Kube(server.log_in) as kube:
        await kube.apply(CRON_JOBS, "team", {"metadata": {"name": "c"}}, dry_run=dry_run)

    (asked,) = server.asked
    assert asked["query"] == {"fieldManager": "dbcustody", "force": "true"} | expected
    assert asked["type"] == "application/apply-patch+yaml"


async def test_what_is_served_beside_objects_is_read(server: Server) -> None:
    """The version, for example; with every answer comes the API server's own time."""
    server.answers = [(200, {"minor": "32"}), (404, {})]
    async with Kube(server.log_in) as kube:
        assert kube.date == ""
        assert await kube.read("/version") == {"minor": "32"}
        assert await kube.read("/nothing") is None
        assert abs(parsedate_to_datetime(kube.date) - datetime.now(UTC)) < timedelta(seconds=30)

    assert server.asked[0]["what"] == "GET /version"


async def test_a_listing_goes_from_page_to_page(server: Server) -> None:
    """Until there is no further page; selectors stand in every request."""
    first = {"metadata": {"continue": "more"}, "items": [{"n": 1}, {"n": 2}]}
    server.answers = [(200, first), (200, {"metadata": {}, "items": [{"n": 3}]})]
    async with Kube(server.log_in) as kube:
        found = [item["n"] async for item in kube.list(JOBS, labels="a=b", fields="c=d")]

    assert found == [1, 2, 3]
    assert [one["query"].get("continue") for one in server.asked] == [None, "more"]
    assert {(one["query"]["labelSelector"], one["query"]["fieldSelector"]) for one in server.asked} == {("a=b", "c=d")}


async def test_a_listing_of_nothing_may_have_no_list(server: Server) -> None:
    """A real API server says null for the metadata of nothing; a listing that ends there would end the operator."""
    server.answers = [(200, {"metadata": {}, "items": None})]
    async with Kube(server.log_in) as kube:
        assert [item async for item in kube.list(CONFIG_MAPS, only_metadata=True)] == []


async def test_of_what_is_big_the_metadata_can_be_listed_alone(server: Server) -> None:
    """The API server is asked to leave out the rest; nothing else asks for a form."""
    server.answers = [(200, {"metadata": {}, "items": [{"n": 1}]})] * 2
    async with Kube(server.log_in) as kube:
        for only in (True, False):
            assert [item async for item in kube.list(CONFIG_MAPS, only_metadata=only)] == [{"n": 1}]

    form = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    assert [one["accept"] for one in server.asked] == [form, "*/*"]


async def test_what_is_absent_is_none(server: Server) -> None:
    """404 is an answer, not an error, but for who wants to create or to list."""
    server.answers = [(404, {"message": "not found"})] * 6
    async with Kube(server.log_in) as kube:
        assert await kube.get(JOBS, "team", "j") is None
        assert await kube.patch(JOBS, "team", "j", {}) is None
        assert await kube.delete(JOBS, "team", "j") is False
        assert await kube.log("team", "p", tail_lines=5) is None
        with pytest.raises(RefusedError, match="is its namespace there"):
            await kube.create(JOBS, "team", {})
        with pytest.raises(UnavailableError, match="is not served; apply the CRDs first"):
            [item async for item in kube.list(ours("backups"))]


@pytest.mark.parametrize(
    ("status", "text", "expected", "reason"),
    [
        pytest.param(409, "already exists", ConflictError, Reason.NAME_TAKEN, id="taken"),
        pytest.param(422, "the test operation: test failed", ConflictError, Reason.NAME_TAKEN, id="test-of-a-patch"),
        pytest.param(
            422,
            "the server rejected our request due to an error in our request",
            ConflictError,
            Reason.NAME_TAKEN,
            id="untrue-test",
        ),
        pytest.param(422, "spec.schedule: Invalid", RefusedError, Reason.POD_NOT_CREATED, id="invalid"),
        pytest.param(403, "exceeded quota", RefusedError, Reason.POD_NOT_CREATED, id="forbidden"),
        pytest.param(410, "too old", UnavailableError, Reason.CONNECTION_LOST, id="page-too-old"),
        pytest.param(429, "slow down", UnavailableError, Reason.CONNECTION_LOST, id="too-many"),
        pytest.param(500, "etcdserver: timeout", UnavailableError, Reason.CONNECTION_LOST, id="broken"),
    ],
)
async def test_refusals(server: Server, status: int, text: str, expected: type[DbcustodyError], reason: Reason) -> None:  # noqa: PLR0917 - a table
    """Somebody was first, the world says no, or it cannot answer now: with the API server's text."""
    server.answers = [(status, {"message": text})]
    async with Kube(server.log_in) as kube:
        with pytest.raises(expected, match=text) as caught:
            await kube.create(JOBS, "team", {})

    assert caught.value.reason is reason


@pytest.mark.parametrize("body", ["<html>bad gateway</html>", [1], {"code": 1}], ids=["html", "list", "no-message"])
async def test_an_answer_that_is_no_status(server: Server, body: Any) -> None:
    """What a proxy in between says is shown, cut short."""
    server.answers = [(502, body)]
    async with Kube(server.log_in) as kube:
        with pytest.raises(UnavailableError, match="502"):
            await kube.get(JOBS, "team", "j")


async def test_a_rotated_token_is_read_anew(server: Server) -> None:
    """One 401 is answered by logging in again; a second one is an error."""
    server.answers = [(401, {}), (200, {}), (401, {}), (401, {"message": "Unauthorized"})]
    async with Kube(server.log_in) as kube:
        await kube.get(JOBS, "team", "j")
        with pytest.raises(UnavailableError, match="401"):
            await kube.get(JOBS, "team", "j")

    assert [one["token"] for one in server.asked] == [f"Bearer token-{number}" for number in (1, 2, 2, 3)]


async def test_a_log_is_text_and_never_an_error(server: Server) -> None:
    """A log that cannot be had (any more) is none; bytes that are no text do not break it."""
    server.answers = [
        (200, "one\ntwo\n"),
        (400, {"message": "waiting to start"}),
        (500, {"message": "kubelet is away"}),
    ]
    async with Kube(server.log_in) as kube:
        found = [await kube.log("team", "p", tail_lines=5) for _ in range(3)]

    assert found == ["one\ntwo\n", None, None]
    assert server.asked[0]["query"] == {"tailLines": "5"}


async def test_silence_is_unavailable_and_counted(server: Server) -> None:
    """No connection is status 0 for whoever counts; each request is counted once, with its verb."""
    server.answers = [(200, {}), (403, {"message": "no"})]
    counted: list[Exchange] = []
    async with Kube(server.log_in) as kube:
        kube.observers.append(counted.append)
        await kube.get(JOBS, "team", "j")
        with pytest.raises(RefusedError):
            await kube.delete(JOBS, "team", "j")
        kube._server = "http://127.0.0.1:1"
        with pytest.raises(UnavailableError, match="no answer to get"):
            await kube.get(JOBS, "team", "j")

    assert [(one.verb, one.status) for one in counted] == [("get", 200), ("delete", 403), ("get", 0)]


async def test_before_it_is_opened_it_cannot_be_asked(server: Server) -> None:
    """A connection is a context manager."""
    with pytest.raises(UnavailableError, match="not open"):
        await Kube(server.log_in).get(JOBS, "team", "j")
