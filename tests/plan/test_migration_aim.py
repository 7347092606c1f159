"""Where a DatabaseMigration brings a database, whether it was changed by hand, and what a person has declared of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dbcustody.api.condition import ConditionType
from dbcustody.api.migration import (
    DeclaredState,
    LikenessClass,
    MigrationMode,
    MigrationPolicy,
    MigrationProgress,
    MigrationStage,
    Resolution,
    StatedDrift,
    Way,
)
from dbcustody.reason import Reason
from tests.fakes.migration_plane import ALL_IN, FILE, NOTHING, PENDING, looked, migration, told

READY = ConditionType.READY


def drifted(likeness: LikenessClass) -> StatedDrift:
    """Return how the schema stands."""
    return StatedDrift(likeness=likeness, fingerprint="0" * 32, message="Added index public.a.b")


@pytest.mark.parametrize(
    ("likeness", "accepted", "word_of_it"),
    [
        (LikenessClass.SAME, None, ("True", "DriftFree")),
        (LikenessClass.UNKNOWN, None, ("Unknown", "DriftUnknown")),
        (LikenessClass.DRIFTED, None, ("False", "Drifted")),
        (LikenessClass.DRIFTED, "1" * 32, ("False", "Drifted")),
        (LikenessClass.DRIFTED, "0" * 32, ("True", "DriftFree")),
    ],
)
def test_whether_it_is_what_its_history_says_is_told(
    likeness: LikenessClass, accepted: str | None, word_of_it: tuple[str, str]
) -> None:
    """What is not known is neither; what somebody names as meant is meant."""
    wanted = migration(policy=MigrationPolicy(accepted_fingerprint=accepted))
    found = looked(replace(ALL_IN, drift=drifted(likeness)), of=wanted)
    assert found.word(ConditionType.DRIFT_FREE) == word_of_it
    assert found.migration.status.drift == drifted(likeness)
    assert found.word(READY) == ("True", "Applied")


def test_a_plan_that_is_only_told_is_never_carried_out() -> None:
    """The resource is ready as it is wanted; what is pending is said."""
    found = looked(of=migration(mode=MigrationMode.PLAN))
    found.steps()
    assert (found.verbs, found.word(READY)) == (["plan-migration"], ("True", "Planned"))
    assert found.word(ConditionType.APPLIED) == ("False", "Planned")
    assert found.message(READY) == "migrations to be carried out: 1; `mode: Plan` carries nothing out"


def test_migrations_are_undone_where_another_one_is_to_be_the_last() -> None:
    """By a run of its own; what it is asked names the target, and what is to be declared first."""
    stated = replace(PENDING, way=Way.BACK, resolutions=("20260101_000000_x",))
    resolution = Resolution(migration="20260101_000000_x", as_=DeclaredState.APPLIED, reason="by hand")
    wanted = migration(target_revision="base", resolutions=(resolution,), policy=MigrationPolicy(allow_downgrade=True))
    found = looked(replace(ALL_IN, plan=stated), of=wanted)
    assert found.message(READY) == "declared: 20260101_000000_x; migrations to be undone: 1"
    terms = found.asked().migration
    assert terms is not None
    assert (terms.target_revision, terms.resolutions, terms.policy.allow_downgrade) == ("base", (resolution,), True)
    assert found.verbs == ["plan-migration", "migrate"]


def test_a_declaration_alone_is_a_run() -> None:
    """Nothing is pending, and yet something is to be written down."""
    found = looked(replace(ALL_IN, plan=replace(NOTHING, resolutions=("a",))))
    assert found.verbs == ["plan-migration", "migrate"]
    assert found.message(READY) == "declared: a; migrations to be carried out: 0"


def test_what_a_run_says_of_itself_is_told_until_it_is_over() -> None:
    """Who is in the way among it."""
    found = looked()
    found.runs()
    words = f"{FILE}.sql: gives way to session 42 (report), try 2 of 30"
    progress = MigrationProgress(stage=MigrationStage.WAITING, summary=words)
    found.around = replace(found.around, progress=progress)
    found.step()
    assert (found.migration.status.progress, found.message(READY)) == (progress, words)
    found.around = replace(found.around, progress=None)
    found.step()
    assert found.message(READY) == words
    found.ends(told(ALL_IN, Reason.APPLIED))
    found.step()
    assert found.migration.status.progress is None
