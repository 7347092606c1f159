"""Random lives of Backups whose data goes, and may come back: every tool goes on to say what it said of the run."""

# ruff: noqa: D401 - a rule tells what happens in the world, not what to do

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from dbcustody.api.condition import ConditionType, find
from dbcustody.api.policy import PlanEntry
from dbcustody.reason import Reason
from tests.fakes.seen import policy, with_status
from tests.gitops.test_backup_lives import Watched
from tests.plan.test_backup_story import VERDICT


class Pruned(Watched):
    """The story of a Backup and of its data; *gone* is what retention last told of it."""

    def __init__(self) -> None:
        super().__init__()
        self.gone: str | None = None

    @initialize(is_scheduled=st.booleans(), is_heard=st.booleans())
    def begin(self, *, is_scheduled: bool, is_heard: bool) -> None:
        """The story begins near its end: the run commits its backup, and in half of them that was heard."""
        super().begin(is_scheduled=is_scheduled, is_heard=True)
        self.run_ends("is done", Reason.JOB_LOST, commits=True)
        if is_heard:
            self.plane.reconcile()

    @precondition(lambda self: self._is_over and self.plane.status.artefact is not None)
    @rule(found=st.sampled_from(["deleted", "vanished", "kept", "nothing"]), dies_after=st.sampled_from([9, 9, 1, 0]))
    def retention_tells(self, found: str, dies_after: int) -> None:
        """A prune is over; the operator hears of it, and may die before it has written what follows."""
        name = self.plane.backup.metadata.name
        told = {
            "deleted": {"deleted": (name,)},
            "vanished": {"vanished": (name,)},
            "kept": {"plan": (PlanEntry(name=name, keep=True),)},
            "nothing": {},
        }
        self.plane.passes(1)
        seen = with_status(policy(), pruned_time=self.plane.now, **told[found])
        self.plane.seen = replace(self.plane.seen, policy=seen)
        self.plane.reconcile(dies_after=dies_after)
        self.plane.reconcile()
        self._expect(found)

    def _expect(self, found: str) -> None:
        if self.gone != "deleted" and found in {"deleted", "vanished"}:
            self.gone = found
        elif self.gone == "vanished" and found == "kept":
            self.gone = None

    @rule()
    def party_returns_without_a_word(self) -> None:
        """The policy was deleted and applied again: it knows of no prune, and takes nothing back."""
        self.plane.seen = replace(self.plane.seen, policy=policy())

    @invariant()
    def a_verdict_stays(self) -> None:
        """What was said of the run is never taken back, and of the data is said what retention told."""
        if not self._is_over:
            return
        status = self.plane.status
        found = {kind: find(status.conditions, kind) for kind in VERDICT}
        uploaded = found.pop(ConditionType.UPLOADED)
        told = (
            tuple(None if one is None else replace(one, observed_generation=None) for one in found.values()),
            status.artefact,
            status.attempts,
        )
        self.verdict = self.verdict or told
        assert told == self.verdict
        reasons = {"deleted": "DataDeleted", "vanished": "DataVanished"}
        if self.gone is not None:
            assert uploaded is not None
            assert (uploaded.status.value, uploaded.reason.value) == ("False", reasons[self.gone])
        elif status.artefact is not None:
            assert uploaded is not None
            assert (uploaded.status.value, uploaded.reason.value) == ("True", "Uploaded")


TestPruned = Pruned.TestCase
TestPruned.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
