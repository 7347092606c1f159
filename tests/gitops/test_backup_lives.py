"""Thousands of random lives of a Backup, and at every moment of them what Argo CD, Flux, kstatus and `kubectl wait` would say."""

# ruff: noqa: D401 - a rule tells what happens in the world, not what to do

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from dbcustody.api.backup import DeletionPolicy
from dbcustody.api.condition import ConditionType, find, is_true
from tests.fakes.seen import with_metadata
from tests.gitops.bodies import body_of
from tests.gitops.kstatus import waited
from tests.gitops.tools import Answer, answers
from tests.plan.test_backup_story import VERDICT, Story


class Watched(Story):
    """The story of a Backup, with a person who edits what may be edited, and tools that look on."""

    @rule(policy=st.sampled_from(DeletionPolicy))
    def person_edits(self, policy: DeletionPolicy) -> None:
        """Somebody applies another `deletionPolicy`: a new generation, about which the verdict is the same."""
        one = with_metadata(self.plane.backup, generation=self.plane.backup.metadata.generation + 1)
        self.plane.backup = replace(one, spec=replace(one.spec, deletion_policy=policy))

    @invariant()
    def a_verdict_stays(self) -> None:
        """What was said of a finished Backup is never taken back, of whichever generation it is said."""
        if not self._is_over:
            return
        status = self.plane.status
        found = [find(status.conditions, kind) for kind in VERDICT]
        told = (
            tuple(None if one is None else replace(one, observed_generation=None) for one in found),
            status.artefact,
            status.attempts,
        )
        self.verdict = self.verdict or told
        assert told == self.verdict

    @invariant()
    def tools_tell_the_truth(self) -> None:
        """Success only of what lies in the storage, failure only of what is over, and of everything else that it goes on."""
        body = body_of(self.plane.backup)
        is_good = self.committed and is_true(self.plane.status.conditions, ConditionType.SUCCEEDED)
        verdict = Answer.DONE if is_good else Answer.FAILED
        expected = verdict if self._is_over and self._is_seen else Answer.WAITS

        assert answers(body) == (expected, expected, expected)
        assert waited(body, "Finished") is (expected is not Answer.WAITS)
        assert waited(body, "Succeeded") is (expected is Answer.DONE)

    def teardown(self) -> None:
        """Nobody waits for ever: after the end of every story, all tools know it."""
        super().teardown()
        self.plane.reconcile()
        assert self._is_seen
        self.tools_tell_the_truth()

    @property
    def _is_seen(self) -> bool:
        return self.plane.status.observed_generation == self.plane.backup.metadata.generation


TestWatched = Watched.TestCase
TestWatched.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
