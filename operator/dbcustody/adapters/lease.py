"""Leadership among the replicas by a `coordination.k8s.io` Lease, as Kubernetes' own components do it.

A holder is judged by the local monotonic clock alone: the time that others wrote is compared only with itself. Only an earlier container
of our own pod is followed at once: the kubelet starts a container when the one before it has ended
(https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy), and a pod's UID names no other pod. A Lease is no
fence; what makes a late request of an old leader harmless are the deterministic names of everything that is created.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from dbcustody.errors import ConflictError, DbcustodyError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

DURATION_SECONDS: Final = 15
RENEW_DEADLINE_SECONDS: Final = 10
RETRY_SECONDS: Final = 2.0
ANSWER_SECONDS: Final = RENEW_DEADLINE_SECONDS - 2 * RETRY_SECONDS
"""How long one attempt may take, so that another one is possible before the deadline."""
_LOG: Final = logging.getLogger(__name__)


class LeaseApi(Protocol):
    """What the election needs of the API."""

    async def read(self) -> dict[str, Any] | None:
        """Return the Lease, or None when there is none."""

    async def create(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the Lease as created; raises ConflictError when there is one."""

    async def replace(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the Lease as replaced; raises ConflictError when somebody wrote since."""


@dataclass(slots=True)
class _Seen:
    """Somebody's record and when, by our own clock, it last changed."""

    record: tuple[str, str]
    since: float


class Lease:
    """One candidate for leadership, named *identity*; holders whose names begin with *estate* are known to be dead (empty: none is)."""

    def __init__(
        self,
        api: LeaseApi,
        *,
        name: str,
        namespace: str,
        identity: str,
        estate: str = "",
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._api = api
        self._metadata = {"name": name, "namespace": namespace}
        self.identity = identity
        self._estate = estate
        self._clock = clock
        self._pause = pause
        self._seen: _Seen | None = None
        self._body: dict[str, Any] | None = None
        self._trouble = ""
        self.renewed_at: float | None = None
        """By the monotonic clock; None while somebody else leads."""

    @property
    def transitions(self) -> int:
        """How often the leadership changed hands, as of the last look."""
        return int(((self._body or {}).get("spec") or {}).get("leaseTransitions") or 0)

    @property
    def age_seconds(self) -> float | None:
        """How long ago the leadership was last confirmed; None while somebody else leads."""
        return None if self.renewed_at is None else self._clock() - self.renewed_at

    async def acquire(self) -> None:
        """Return once this process leads; an unreachable API is asked again and again."""
        while not await self._attempt():
            await self._pause(RETRY_SECONDS)

    async def hold(self) -> None:
        """Renew until that has not worked for the renew deadline, then return: the caller must stop at once."""
        while (left := self._seconds_left()) > 0:
            await self._pause(min(RETRY_SECONDS, left))
            if (left := self._seconds_left()) > 0:
                await self._attempt(left)

    def _seconds_left(self) -> float:
        """Return how long the leadership may be relied on; others take over only some seconds after that."""
        age = self.age_seconds
        return 0.0 if age is None else RENEW_DEADLINE_SECONDS - age

    async def release(self) -> None:
        """Give the leadership back, so that another replica need not wait; best effort."""
        if self.renewed_at is None or self._body is None:
            return
        self.renewed_at = None
        spec = {**self._body["spec"], "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _micro_time()}
        try:
            await self._api.replace({**self._body, "spec": spec})
        except DbcustodyError:
            return

    async def _attempt(self, limit_seconds: float = ANSWER_SECONDS) -> bool:
        """Take or renew the Lease if it is ours to take; return whether we lead now."""
        started = self._clock()
        try:
            taken = await asyncio.wait_for(self._take(), min(ANSWER_SECONDS, limit_seconds))
        except ConflictError:
            return False
        except (DbcustodyError, TimeoutError) as error:
            self._complain(str(error) or "the API server does not answer in time")
            return False
        self._trouble = ""
        self.renewed_at = started if taken else None
        return taken

    def _complain(self, trouble: str) -> None:
        """Log what keeps us from the Lease, once for as long as it stays the same."""
        if trouble != self._trouble:
            self._trouble = trouble
            _LOG.warning("the Lease cannot be read or written: %s", trouble)

    async def _take(self) -> bool:
        found = await self._api.read()
        if found is None:
            self._body = await self._api.create(self._new_body(0))
            return True
        self._body = found
        spec = found.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        if holder not in {"", self.identity} and not self._is_inherited(holder) and not self._is_expired(spec, holder):
            return False
        transitions = int(spec.get("leaseTransitions") or 0) + (holder != self.identity)
        body = {**found, "spec": {**self._new_body(transitions)["spec"]}}
        if holder == self.identity:
            body["spec"]["acquireTime"] = spec.get("acquireTime")
        self._body = await self._api.replace(body)
        return True

    def _is_inherited(self, holder: str) -> bool:
        return bool(self._estate) and holder.startswith(self._estate)

    def _is_expired(self, spec: dict[str, Any], holder: str) -> bool:
        record = (holder, str(spec.get("renewTime")))
        if self._seen is None or self._seen.record != record:
            self._seen = _Seen(record, self._clock())
            return False
        return self._clock() - self._seen.since > float(spec.get("leaseDurationSeconds") or DURATION_SECONDS)

    def _new_body(self, transitions: int) -> dict[str, Any]:
        now = _micro_time()
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": self._metadata,
            "spec": {
                "holderIdentity": self.identity,
                "leaseDurationSeconds": DURATION_SECONDS,
                "acquireTime": now,
                "renewTime": now,
                "leaseTransitions": transitions,
            },
        }


def _micro_time() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
