"""Whatever happens to a DatabaseMigration, in whatever order: one run at a time, of an agreed plan, and no word too early."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dbcustody.api.approval import Decision
from dbcustody.api.condition import ConditionType
from dbcustody.api.migration import MigrationPolicy
from dbcustody.contract import Verb
from dbcustody.migration.digest import source_digest
from dbcustody.plan.actions import DeleteJob
from dbcustody.reason import Reason
from tests.fakes.migration_plane import ALL_IN, TO_DO, MigrationPlane, asking, config_map, migration, told, word

if TYPE_CHECKING:
    from collections.abc import Callable

    from dbcustody.facts import MigrationFacts
    from dbcustody.plan.migration_case import SeenConfigMap
    from dbcustody.plan.observed import SeenJob

EVENTS = (
    *("look",) * 12, *("end well",) * 6, *("wait",) * 3, "die", "work", "end badly", "end for now", "end in silence", "change plan",
    "lose job", "edit source", "edit spec", "suspend", "resume", "take away", "bring back", "approve", "deny", "wait long", "ask",
)  # fmt: skip
"""What moves it on comes most often: else hardly any story would get as far as a run."""


@dataclass
class World:
    """A plane, and a database in which a run of the plan that stands there does what it says."""

    plane: MigrationPlane
    numbers: itertools.count[int] = field(default_factory=itertools.count)
    pending: int = 1
    """The number of the plan that is pending; 0: none is."""
    agreed: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    answered: str | None = None
    """The digest of the source that the last Job was about which told how the database stands."""

    def facts(self) -> MigrationFacts:
        """Return how the database stands."""
        if not self.pending:
            return ALL_IN
        return replace(TO_DO, plan=replace(TO_DO.plan, hash=f"a{self.pending}"))

    def digest(self) -> str | None:
        """Return the digest of the source as it is; None: it is not there."""
        return next((source_digest(one.files or ()) for one in self.plane.around.config_maps), None)

    def newest(self) -> SeenJob | None:
        """Return the Job that is not over, if there is one."""
        return next((job for job in self.plane.jobs.values() if not job.is_finished), None)

    def end(self, reason: Reason | None) -> None:
        """Let the Job that is under way end; one that migrates, and ends well, does the work."""
        if not self.is_at_work:
            return
        job = self.plane.jobs[self.plane.name]
        if reason is None:
            self.plane.ends(None)
            return
        asked = self.plane.asked().migration
        is_meant = asked is not None and asked.plan_hash == f"a{self.pending}"
        if job.verb is Verb.MIGRATE and reason is Reason.APPLIED:
            reason = Reason.APPLIED if is_meant else Reason.PLAN_CHANGED
            self.pending = 0 if is_meant else self.pending
        elif job.verb is not Verb.MIGRATE and reason is Reason.APPLIED:
            reason = Reason.PLANNED
        if asked is not None:
            self.answered = asked.source_digest
        self.plane.ends(told(self.facts(), reason, "so it was"))

    def happen(self, event: str) -> None:
        """Let *event* happen."""
        number = next(self.numbers) + 2
        {**self._of_jobs(number), **self._of_people(number)}[event]()

    def _of_jobs(self, number: int) -> dict[str, Callable[[], object]]:
        plane = self.plane
        return {
            "look": plane.step,
            "die": lambda: plane.step(dies_after=number % 2),
            "work": lambda: plane.runs() if self.is_at_work else None,
            "end well": lambda: self.end(Reason.APPLIED),
            "end badly": lambda: self.end(Reason.MIGRATION_FAILED),
            "end for now": lambda: self.end(Reason.LOCK_NOT_OBTAINED),
            "end in silence": lambda: self.end(None),
            "lose job": lambda: plane.jobs.pop(plane.name, None) if plane.started else None,
            "wait": lambda: plane.passes(10),
            "wait long": lambda: plane.passes(4000),
        }

    def _of_people(self, number: int) -> dict[str, Callable[[], object]]:
        plane = self.plane
        return {
            "change plan": lambda: setattr(self, "pending", number),
            "edit source": lambda: self.edit_source(number),
            "edit spec": lambda: plane.edit(policy=MigrationPolicy(lock_attempts=number)),
            "suspend": lambda: plane.edit(suspend=True),
            "resume": lambda: plane.edit(suspend=False),
            "take away": lambda: self.have(()),
            "bring back": lambda: self.have(plane.around.config_maps or (config_map(),)),
            "approve": lambda: self.decide(Decision.APPROVE, number),
            "deny": lambda: self.decide(Decision.DENY, number),
            "ask": lambda: plane.ask_again(str(number)),
        }

    @property
    def is_at_work(self) -> bool:
        """Whether the Job that was started last is not over."""
        newest = self.newest()
        return newest is not None and newest.name == self.plane.name

    def have(self, config_maps: tuple[SeenConfigMap, ...]) -> None:
        """Have exactly these ConfigMaps there."""
        self.plane.around = replace(self.plane.around, config_maps=config_maps)

    def edit_source(self, number: int) -> None:
        """Have a person edit the ConfigMap, so that another plan is pending."""
        self.plane.edit(config=config_map(f"select {number}"))
        self.pending = number

    def decide(self, decision: Decision, number: int) -> None:
        """Have somebody say a word on the plan that is told."""
        stated = self.plane.migration.status.plan
        if stated is None:
            return
        (self.agreed if decision is Decision.APPROVE else self.refused).add(stated.hash)
        one = word(decision, plan_hash=stated.hash, name=f"w{number}")
        self.plane.around = replace(self.plane.around, approvals=(*self.plane.around.approvals, one))


def is_run(manifest: dict[str, Any]) -> bool:
    """Return whether the Job *manifest* carries migrations out."""
    arguments: list[str] = manifest["spec"]["template"]["spec"]["containers"][0]["args"]
    return arguments == ["job", "migrate"]


@given(st.booleans(), st.lists(st.sampled_from(EVENTS), min_size=10, max_size=60))
@settings(deadline=None, max_examples=300)
def test_whatever_happens(needs_approval: bool, events: list[str]) -> None:  # noqa: FBT001 - drawn
    """One run at a time; of the plan that stands in status; agreed to where that is wanted; Ready only when all is in."""
    world = World(MigrationPlane(migration=asking() if needs_approval else migration()))
    plane = world.plane
    for event in events:
        before = len(plane.started)
        world.happen(event)
        at_work = [job for job in plane.jobs.values() if not job.is_finished and job.verb is Verb.MIGRATE]
        assert len(at_work) <= 1
        for manifest in plane.started[before:]:
            if is_run(manifest):
                asked = plane.asked().migration
                assert asked is not None
                assert not needs_approval or asked.plan_hash in world.agreed - world.refused
        deleted = {one.name for one in plane.actions if isinstance(one, DeleteJob)}
        assert not deleted & {one["metadata"]["name"] for one in plane.started if is_run(one)}
        if event == "look" and plane.word(ConditionType.READY) == ("True", "Applied"):
            assert (plane.migration.status.pending, world.answered) == (0, world.digest())


@given(st.booleans(), st.lists(st.sampled_from(EVENTS), max_size=40))
@settings(deadline=None, max_examples=150)
def test_whatever_happened_it_comes_to_its_good_end(needs_approval: bool, events: list[str]) -> None:  # noqa: FBT001 - drawn
    """Once nothing is in the way any more, everything is in, and nothing is left at work."""
    world = World(MigrationPlane(migration=asking() if needs_approval else migration()))
    plane = world.plane
    for event in events:
        world.happen(event)
    world.happen("bring back")
    plane.edit(suspend=False)
    world.happen("edit source")
    for _ in range(40):
        plane.step()
        if plane.word(ConditionType.APPROVED) == ("Unknown", "ApprovalPending"):
            world.happen("approve")
        world.end(Reason.APPLIED)
        plane.passes(400)
    assert plane.word(ConditionType.READY) == ("True", "Applied"), plane.migration.status
    assert all(job.is_finished for job in plane.jobs.values())
