"""Leadership: one at a time by the local monotonic clock alone, lost before others take it, given back at the end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from dbcustody.adapters.lease import DURATION_SECONDS, RENEW_DEADLINE_SECONDS, RETRY_SECONDS, Lease
from dbcustody.errors import ConflictError, DbcustodyError, UnavailableError


@dataclass
class LeaseStore:
    """The Lease as the API server keeps it, with failures on demand."""

    body: dict[str, Any] | None = None
    failure: DbcustodyError | None = None
    version: int = 0
    is_silent: bool = False

    async def read(self) -> dict[str, Any] | None:
        """Return the Lease, or None."""
        await self._answer()
        return None if self.body is None else {**self.body}

    async def create(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the Lease as created."""
        await self._answer()
        if self.body is not None:
            raise ConflictError("exists")
        return self._store(body)

    async def replace(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the Lease as replaced."""
        await self._answer()
        if self.body is None or body["metadata"]["resourceVersion"] != self.body["metadata"]["resourceVersion"]:
            raise ConflictError("modified")
        return self._store(body)

    @property
    def spec(self) -> dict[str, Any]:
        """What the Lease says."""
        assert self.body is not None
        found: dict[str, Any] = self.body["spec"]
        return found

    async def _answer(self) -> None:
        if self.is_silent:
            await asyncio.Event().wait()
        if self.failure is not None:
            raise self.failure

    def _store(self, body: dict[str, Any]) -> dict[str, Any]:
        self.version += 1
        self.body = {**body, "metadata": {**body["metadata"], "resourceVersion": str(self.version)}}
        return self.body


@dataclass
class Time:
    """A clock that moves only while somebody pauses; what happens meanwhile is scripted."""

    now: float = 100.0
    events: list[tuple[float, Any]] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    def clock(self) -> float:
        """Return the time."""
        return self.now

    async def pause(self, seconds: float) -> None:
        """Let time pass."""
        self.pauses.append(seconds)
        self.now += seconds
        for due, event in list(self.events):
            if due <= self.now:
                self.events.remove((due, event))
                event()
        await asyncio.sleep(0)


def candidate(store: LeaseStore, time: Time, identity: str = "a") -> Lease:
    """Return a candidate for leadership."""
    return Lease(store, name="lease", namespace="ns", identity=identity, clock=time.clock, pause=time.pause)


async def leader(store: LeaseStore, time: Time, identity: str = "a") -> Lease:
    """Return one that leads."""
    lease = candidate(store, time, identity)
    await lease.acquire()
    return lease


async def test_the_first_takes_it() -> None:
    """Without a Lease it is created, in the words that kubectl knows."""
    store, time = LeaseStore(), Time()
    lease = await leader(store, time)

    assert (store.spec["holderIdentity"], store.spec["leaseDurationSeconds"]) == ("a", DURATION_SECONDS)
    assert (lease.transitions, lease.age_seconds, time.pauses) == (0, 0, [])


async def test_a_renewal_is_no_transition() -> None:
    """The holder keeps the time at which it began."""
    store, time = LeaseStore(), Time()
    lease = await leader(store, time)
    begun = store.spec["acquireTime"]
    await lease.acquire()

    assert (store.spec["acquireTime"], lease.transitions, store.version) == (begun, 0, 2)


async def test_a_dead_holder_is_followed_after_the_duration_by_our_own_clock() -> None:
    """Whatever time the holder wrote, even in the far future: it is followed when its record stood still for the duration."""
    store, time = LeaseStore(), Time()
    await leader(store, time)
    store.spec["renewTime"] = "2999-01-01T00:00:00.000000Z"
    begun = time.now
    second = await leader(store, time, "b")

    assert (store.spec["holderIdentity"], second.transitions) == ("b", 1)
    assert DURATION_SECONDS < time.now - begun <= DURATION_SECONDS + 2 * RETRY_SECONDS


async def test_an_earlier_container_of_the_same_pod_is_followed_at_once() -> None:
    """The kubelet has seen it end; a pod of the same name but of another UID has to wait like everybody."""
    store, time = LeaseStore(), Time()
    await leader(store, time, "pod_1_a")
    other = Lease(
        store, name="l", namespace="n", identity="pod_2_b", estate="pod_2_", clock=time.clock, pause=time.pause
    )
    heir = Lease(
        store, name="l", namespace="n", identity="pod_1_b", estate="pod_1_", clock=time.clock, pause=time.pause
    )
    begun = time.now
    await heir.acquire()

    assert (store.spec["holderIdentity"], heir.transitions, time.now) == ("pod_1_b", 1, begun)
    await other.acquire()
    assert time.now - begun > DURATION_SECONDS


async def test_a_living_holder_is_not_followed() -> None:
    """Every change of the record starts the wait anew."""
    store, time = LeaseStore(), Time()
    first = await leader(store, time)
    for number in range(1, 30):
        time.events.append((time.now + number * DURATION_SECONDS / 2, lambda: _touch(store)))
    task = asyncio.create_task(candidate(store, time, "b").acquire())
    while time.events:  # noqa: ASYNC110 - time is turned by the one who waits
        await asyncio.sleep(0)
    task.cancel()

    assert store.spec["holderIdentity"] == first.identity


def _touch(store: LeaseStore) -> None:
    store.spec["renewTime"] = f"renewed {store.version}"
    store.version += 1


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param({"failure": UnavailableError("503")}, id="refused"),
        pytest.param({"failure": ConflictError("modified")}, id="somebody-else-writes"),
    ],
)
async def test_the_leadership_is_left_before_others_may_take_it(trouble: dict[str, Any]) -> None:
    """Without a renewal the holder stops at the renew deadline, to the second, whatever the API answers."""
    store, time = LeaseStore(), Time()
    lease = await leader(store, time)
    begun = time.now
    for name, value in trouble.items():
        setattr(store, name, value)
    await lease.hold()

    assert time.now - begun == RENEW_DEADLINE_SECONDS


async def test_a_short_trouble_is_survived() -> None:
    """An API server that comes back in time costs nobody the leadership."""
    store, time = LeaseStore(), Time()
    lease = await leader(store, time)
    store.failure = UnavailableError("503")
    time.events = [(time.now + 7, lambda: setattr(store, "failure", None)), (time.now + 60, _stop)]
    with pytest.raises(_StopError):
        await lease.hold()

    assert lease.age_seconds is not None
    assert lease.age_seconds <= RETRY_SECONDS
    assert store.spec["holderIdentity"] == "a"


class _StopError(Exception):
    """The test has seen enough."""


def _stop() -> None:
    raise _StopError


async def test_a_leadership_that_another_took_is_lost_at_once() -> None:
    """Whoever finds another holder stops at the very next look."""
    store, time = LeaseStore(), Time()
    lease = await leader(store, time)
    store.spec["holderIdentity"] = "b"
    begun = time.now
    await lease.hold()

    assert (lease.age_seconds, time.now - begun) == (None, RETRY_SECONDS)


async def test_a_released_lease_is_taken_at_once() -> None:
    """At an orderly end nobody waits for the duration."""
    store, time = LeaseStore(), Time()
    lease = await leader(store, time)
    await lease.release()
    begun = time.now
    second = await leader(store, time, "b")

    assert (lease.age_seconds, time.now - begun, second.transitions) == (None, 0, 1)


@pytest.mark.parametrize("failure", [UnavailableError("503"), ConflictError("modified")], ids=["away", "taken"])
async def test_a_release_that_fails_is_no_error(failure: DbcustodyError) -> None:
    """The process ends anyway; the others wait for the duration."""
    store, time = LeaseStore(), Time()
    lease = await leader(store, time)
    store.failure = failure
    await lease.release()

    assert store.spec["holderIdentity"] == "a"


async def test_who_does_not_lead_releases_nothing() -> None:
    """A replica that waits must not take the Lease from the holder when it ends."""
    store, time = LeaseStore(), Time()
    await leader(store, time)
    await candidate(store, time, "b").release()

    assert store.spec["holderIdentity"] == "a"


async def test_trouble_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """The same trouble is one line in the log, however long it lasts."""
    store, time = LeaseStore(failure=UnavailableError("403: forbidden")), Time()
    time.events = [(time.now + 60, lambda: setattr(store, "failure", None))]
    await candidate(store, time).acquire()

    assert [record.getMessage() for record in caplog.records] == ["the Lease cannot be read or written: 403: forbidden"]


async def test_one_that_was_beaten_to_creating_it_waits() -> None:
    """Two replicas that start at once: one leads, the other asks again."""
    store, time = LeaseStore(), Time()
    first, second = candidate(store, time), candidate(store, time, "b")
    waiting = asyncio.create_task(second.acquire())
    await first.acquire()
    for _ in range(5):
        await asyncio.sleep(0)
    waiting.cancel()

    assert store.spec["holderIdentity"] == "a"
    assert second.age_seconds is None
