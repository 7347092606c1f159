"""The process around the operator: it lists before it judges, notices a deaf watch, and ends with the right exit status."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from dbcustody.adapters.kube import ours
from dbcustody.api.meta import Kind
from dbcustody.errors import UnavailableError
from dbcustody.handlers import startup
from dbcustody.handlers.health import Health
from dbcustody.handlers.listing import list_everything
from dbcustody.handlers.startup import LOST, Surroundings, _end, _first, _list_again, _list_at_first, _sweep, _verdict
from dbcustody.handlers.watch import operator_settings, registry_for
from dbcustody.metrics import Metrics
from dbcustody.naming import FINALIZER
from tests.handlers.scene import TEAM, Scene

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from dbcustody.handlers.intake import Intake


def around() -> Surroundings:
    """Return a process."""
    return Surroundings(asyncio.Event(), Health(), Metrics())


async def some_turns(work: Coroutine[Any, Any, None], count: int = 20) -> None:
    """Let *work* go on for a while, and raise what broke it."""
    task = asyncio.create_task(work)
    for _ in range(count):
        await asyncio.sleep(0)
    task.cancel()
    (broken,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(broken, asyncio.CancelledError), broken


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no pause take time."""
    for name in ("SWEEP_SECONDS", "FIRST_LISTING_SECONDS", "LISTING_SECONDS", "RETRY_SECONDS"):
        monkeypatch.setattr(startup, name, 0)


def make_unheard(stage: Scene, name: str) -> None:
    """Create a Database of which the watch tells nothing."""
    watchers, stage.kube.watchers = stage.kube.watchers, []
    stage.make(Kind.DATABASE, name)
    stage.kube.watchers = watchers


async def test_everything_is_listed_before_anything_is_judged() -> None:
    """An API server that does not answer is asked again; then every key waits."""
    stage = Scene()
    make_unheard(stage, "shop")
    stage.kube.refusals["list", "jobs"] = UnavailableError("503")
    operator = stage.operator
    listing = asyncio.create_task(_list_at_first(operator.hands, operator.intake, operator.observer))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not listing.done()
    stage.kube.refusals.clear()
    await listing

    assert [call.plural for call in stage.kube.calls][-1] == "cronjobs"
    assert len(operator.hands.queue) == 1


async def test_a_sweep_names_whatever_may_have_to_move(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the pods cannot be looked at; the heartbeat shows that the loop turns."""
    stage, process = Scene(), around()
    make_unheard(stage, "shop")
    operator = stage.operator
    await operator.start()
    await operator.hands.queue.get()
    operator.hands.queue.done(next(iter(operator.intake.everything())))
    monkeypatch.setattr(operator.observer, "refresh_pods", _fail)
    await some_turns(_sweep(operator.hands, operator.intake, operator.observer, process))

    assert len(operator.hands.queue) == 1
    assert process.metrics.registry.get_sample_value("dbcustody_heartbeat_timestamp_seconds", {"loop": "sweep"})


@pytest.mark.parametrize(("seconds", "swept"), [pytest.param(59.0, 0, id="soon"), pytest.param(61.5, 1, id="late")])
async def test_what_is_looked_at_soon_anyway_is_not_swept(seconds: float, swept: int) -> None:
    """A thousand running Jobs have their appointments; the sweep is for those who have none."""
    stage, process = Scene(), around()
    make_unheard(stage, "shop")
    operator = stage.operator
    await list_everything(operator.hands, operator.intake)
    key = await operator.hands.queue.get()
    operator.hands.queue.done(key)
    operator.hands.queue.add_after(key, seconds)
    await some_turns(_sweep(operator.hands, operator.intake, operator.observer, process))

    assert len(operator.hands.queue) == swept


async def _fail() -> None:
    raise UnavailableError("503")


@pytest.mark.parametrize(
    ("listings", "heard", "is_deaf"),
    [
        pytest.param([{"jobs"}], set(), False, id="one-may-be-on-its-way"),
        pytest.param([{"jobs"}] * 2, set(), False, id="two-as-well"),
        pytest.param([{"jobs"}] * 3, set(), True, id="three-in-a-row"),
        pytest.param([{"jobs"}, {"jobs"}, set(), {"jobs"}], set(), False, id="not-in-a-row"),
        pytest.param([{"jobs"}] * 4, {"jobs"}, False, id="the-watch-speaks-of-jobs"),
        pytest.param([{"jobs"}] * 3, {"databases"}, True, id="the-watch-speaks-of-others"),
        pytest.param([{"jobs"}] * 3 + [set()], set(), False, id="it-hears-again"),
    ],
)
async def test_a_deaf_watch_is_noticed(
    monkeypatch: pytest.MonkeyPatch, listings: list[set[str]], heard: set[str], *, is_deaf: bool
) -> None:
    """Listings that keep bringing news of a kind of which the watch is silent make the process unhealthy, until it hears again."""
    stage, process = Scene(), around()
    left = list(listings)

    async def list_(_: object, intake: Intake) -> set[str]:
        if not left:
            await asyncio.Event().wait()
        intake.heard.update(heard)
        return left.pop(0)

    monkeypatch.setattr(startup, "list_everything", list_)
    await some_turns(_list_again(stage.operator.hands, stage.operator.intake, process))

    assert left == []
    assert process.health.complaints() == (("the watch does not tell what happens",) if is_deaf else ())


async def test_a_listing_that_fails_is_repeated() -> None:
    """Trouble of the API server is no deafness of the watch."""
    stage, process = Scene(), around()
    stage.kube.refusals["list", "databases"] = UnavailableError("503")
    await some_turns(_list_again(stage.operator.hands, stage.operator.intake, process))

    assert process.health.complaints() == ()
    assert sum(call.plural == "databases" for call in stage.kube.calls) > 1


async def test_who_is_first() -> None:
    """The leadership, or the wish to end: the other one is cancelled."""
    never = asyncio.Event()

    assert await _first(asyncio.sleep(0), never.wait())  # type: ignore[arg-type]  # any coroutine will do
    assert not await _first(never.wait(), asyncio.sleep(0))
    with pytest.raises(UnavailableError):
        await _first(_fail(), never.wait())


async def test_the_exit_status() -> None:
    """0 when the watch ended as it was told to; 1 when anything broke or ended by itself, so that the Deployment restarts it."""
    going = asyncio.create_task(asyncio.Event().wait())
    ended, broken = asyncio.create_task(asyncio.sleep(0)), asyncio.create_task(_fail())
    await asyncio.wait([ended, broken])

    assert _verdict([going], ended) == 0  # type: ignore[list-item]  # what it returns does not matter
    assert _verdict([going], broken) == LOST  # type: ignore[list-item]
    assert _verdict([broken], ended) == LOST
    assert _verdict([ended], going) == LOST  # type: ignore[arg-type]
    await _end([going, ended, broken])  # type: ignore[list-item]
    assert going.cancelled()


def test_kopf_writes_nothing() -> None:
    """No peering, no Events, no scanning, no state; and Kopf would take off whatever it believes to be its finalizer, so it is not ours."""
    settings = operator_settings()

    assert settings.peering.standalone
    assert settings.scanning.disabled
    assert not settings.posting.enabled
    assert settings.persistence.finalizer not in {"", FINALIZER}


async def test_what_the_watch_brings_is_taken_in() -> None:
    """Each kind has one handler, which takes in news and absences and remembers that the watch spoke."""
    stage = Scene()
    intake, world = stage.operator.intake, stage.operator.hands.world
    registry = registry_for(intake, lambda: None)  # type: ignore[arg-type,return-value]  # nobody logs in
    handlers = {str(handler.id): handler.fn for handler in registry._watching.get_all_handlers()}
    watchers, stage.kube.watchers = stage.kube.watchers, []
    body = stage.make(Kind.DATABASE, "shop")
    stage.kube.watchers = watchers

    assert set(handlers) == {
        "hear-databases",
        "hear-backupstorages",
        "hear-backuppolicies",
        "hear-backups",
        "hear-restorerequests",
        "hear-approvals",
        "hear-databasemigrations",
        "hear-jobs",
        "hear-cronjobs",
    }
    hear: Any = handlers["hear-databases"]
    await hear(event={"type": "ADDED", "object": body})
    known = len(world.databases)
    await hear(event={"type": "DELETED", "object": body})
    assert (known, len(world.databases), intake.heard) == (1, 0, {"databases"})
    job = {"metadata": {**body["metadata"], "name": "j", "labels": {"dbcustody.dev/verb": "inspect"}}, "spec": {}}
    hear_job: Any = handlers["hear-jobs"]
    await hear_job(event={"type": None, "object": job})
    known = len(world.jobs)
    await hear_job(event={"type": "DELETED", "object": job})
    assert (known, len(world.jobs)) == (1, 0)
    assert stage.kube.peek(ours("databases"), TEAM, "shop") is not None
