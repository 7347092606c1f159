"""What ran in another environment is carried out here, and nothing else."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from dbcustody.api.condition import ConditionType, yes
from dbcustody.api.migration import (
    MigrationGates,
    MigrationRef,
    PromotionGate,
    RiskClass,
    StatedAttempt,
    StatedMigration,
    Way,
)
from dbcustody.reason import Reason
from tests.fakes import seen
from tests.fakes.migration_plane import FILE, PENDING, TO_DO, MigrationPlane, looked, migration, told

if TYPE_CHECKING:
    from dbcustody.api.migration import DatabaseMigration
    from dbcustody.facts import MigrationFacts

READY, PROMOTED = ConditionType.READY, ConditionType.PROMOTION_PROVEN


def promoted(
    *, digest: str | None = None, pending: int = 0, generation: int = 1, is_in: bool = True
) -> DatabaseMigration:
    """Return the one of another environment."""
    conditions = (yes(READY, Reason.APPLIED), yes(ConditionType.APPLIED, Reason.APPLIED)) if is_in else ()
    one = replace(migration(), metadata=seen.metadata("staging"))
    status = {"source_digest": digest, "pending": pending, "observed_generation": generation, "conditions": conditions}
    return seen.with_status(one, **status)  # type: ignore[no-any-return]


def promoting(other: DatabaseMigration | None, facts: MigrationFacts = TO_DO, **spec: Any) -> MigrationPlane:
    """Return a plane whose source has to be in elsewhere first."""
    gates = MigrationGates(promotion=PromotionGate(migration_ref=MigrationRef(name="staging")))
    found = MigrationPlane(migration=migration(gates=gates, **spec))
    found.around = replace(found.around, promotion=other)
    return looked(facts, plane=found)


def test_what_is_in_elsewhere_is_carried_out_here() -> None:
    """The same files, byte for byte."""
    found = promoting(None)
    digest = found.migration.status.source_digest
    assert (found.word(PROMOTED), found.verbs) == (("Unknown", "PromotionPending"), ["plan-migration"])
    assert found.word(READY) == ("Unknown", "PromotionPending")
    assert found.message(PROMOTED) == "DatabaseMigration 'staging': is not there"
    found.around = replace(found.around, promotion=promoted(digest=digest))
    found.step()
    assert (found.word(PROMOTED), found.verbs[-1]) == (("True", "PromotionProven"), "migrate")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"digest": "0" * 64}, "has the source 0000000000000000, and"),
        ({"digest": None}, "has no source yet, and"),
        ({"pending": 1}, "is not in there yet"),
        ({"generation": 0}, "is not in there yet"),
        ({"is_in": False}, "is not in there yet"),
    ],
)
def test_what_is_not_in_elsewhere_is_waited_for(wrong: dict[str, Any], words: str) -> None:
    """Other files, or the same that are only planned, or are judged by an older spec."""
    digest = promoting(None).migration.status.source_digest
    found = promoting(promoted(**({"digest": digest} | wrong)))
    assert found.verbs == ["plan-migration"]
    assert words in found.message(PROMOTED)


DECLARED = replace(PENDING, migrations=(), resolutions=(FILE,))
FIRST, SECOND, THIRD = FILE, "20260201_120000_second", "20260202_120000_third"


def forth(*names: str, applied: int = 0, pending: int | None = None) -> MigrationFacts:
    """Return what is told where *names* are to run, the first ones of *pending*."""
    stated = replace(PENDING, migrations=tuple(StatedMigration(name=one, risk=RiskClass.SAFE) for one in names))
    return replace(TO_DO, applied=applied, pending=len(names) if pending is None else pending, plan=stated)


def back(*names: str) -> MigrationFacts:
    """Return what is told where *names* are to be undone."""
    return replace(forth(*names, pending=0), plan=replace(forth(*names).plan, way=Way.BACK), applied=3)


def stopped(digest: str | None, target: str | None, applied: int, *history: tuple[str, str]) -> DatabaseMigration:
    """Return the one of another environment, which is where its *target* says: *applied* are in, the last of which is that."""
    one = promoted(digest=digest)
    attempts = tuple(StatedAttempt(name=name, state=state) for name, state in history)
    status = replace(one.status, current_revision=target, applied=applied, history=attempts)
    return replace(one, spec=replace(one.spec, target_revision=target), status=status)


@pytest.mark.parametrize(
    ("facts", "target", "there", "is_open"),
    [
        pytest.param(forth(FIRST, SECOND), None, (None, 2), True, id="all of it is in there"),
        pytest.param(forth(FIRST, SECOND), None, (FIRST, 1), False, id="it stopped before the second"),
        pytest.param(forth(SECOND, applied=1), None, (FIRST, 1), False, id="it stopped where this one stands"),
        pytest.param(forth(FIRST), FIRST, (FIRST, 1), True, id="both stop at the first"),
        pytest.param(forth(SECOND, applied=1), None, (SECOND, 2), True, id="its target is the last one"),
        pytest.param(forth(FIRST, applied=1, pending=2), FIRST, (FIRST, 3), True, id="more than status has room for"),
        pytest.param(forth(FIRST, pending=2), None, (FIRST, 1), False, id="the end is not among those told"),
        pytest.param(forth(FIRST, SECOND, THIRD), THIRD, (THIRD, 2), False, id="one between was left out there"),
        pytest.param(forth(FIRST), FIRST, (SECOND, 2, (FIRST, "Applied"), (SECOND, "Applied")), True, id="it went on"),
        pytest.param(
            forth(FIRST), FIRST, (SECOND, 1, (FIRST, "Of tomorrow"), (SECOND, "Applied")), False, id="unknown"
        ),
        pytest.param(
            forth(FIRST, SECOND),
            None,
            (FIRST, 1, (FIRST, "Applied"), (SECOND, "Applied"), (SECOND, "Failed"), (SECOND, "RolledBack")),
            False,
            id="it was rolled back there",
        ),
        pytest.param(back(THIRD), SECOND, (None, 3), False, id="nothing was undone there"),
        pytest.param(back(THIRD), SECOND, (SECOND, 2), False, id="it may never have been in there"),
        pytest.param(back(THIRD), SECOND, (SECOND, 2, (THIRD, "RolledBack")), True, id="it is back there"),
        pytest.param(
            back(THIRD),
            SECOND,
            (SECOND, 2, (THIRD, "Applied"), (THIRD, "ResolvedRolledBack")),
            True,
            id="by hand there",
        ),
        pytest.param(
            back(THIRD), SECOND, (SECOND, 2, (THIRD, "RolledBack"), (THIRD, "Failed")), True, id="in vain tried again"
        ),
        pytest.param(
            back(THIRD), SECOND, (SECOND, 2, (THIRD, "RolledBack"), (THIRD, "Applied")), False, id="in again there"
        ),
        pytest.param(
            back(THIRD, SECOND),
            FIRST,
            (FIRST, 1, (THIRD, "RolledBack"), (SECOND, "RolledBack")),
            True,
            id="both undone",
        ),
        pytest.param(
            back(THIRD, SECOND), FIRST, (FIRST, 1, (SECOND, "RolledBack")), False, id="one never was in there"
        ),
        pytest.param(back(THIRD, SECOND), FIRST, (SECOND, 2, (THIRD, "RolledBack")), False, id="not so far back"),
        pytest.param(back(THIRD), SECOND, (FIRST, 1, (THIRD, "RolledBack")), True, id="further back there"),
        pytest.param(replace(TO_DO, pending=0, plan=DECLARED), None, (FIRST, 1), True, id="nothing runs"),
    ],
)
def test_only_what_ran_elsewhere_runs_here(
    facts: MigrationFacts, target: str | None, there: tuple[Any, ...], *, is_open: bool
) -> None:
    """The same files may have been carried out in part: as far as a `targetRevision` says, or back to it."""
    digest = promoting(None).migration.status.source_digest
    found = promoting(stopped(digest, *there), facts, target_revision=target)
    assert (found.verbs[-1] == "migrate") is is_open
    if not is_open:
        assert re.fullmatch(
            r"DatabaseMigration 'staging': "
            r"(stands at \w+ by its `targetRevision`, and what is planned here did not run there"
            r"|its history does not say that \w+(, \w+)* was undone there)",
            found.message(PROMOTED),
        )


def test_what_is_not_known_to_have_been_undone_is_named() -> None:
    """Of a way back only what the history of the other one does not have."""
    digest = promoting(None).migration.status.source_digest
    other = stopped(digest, FIRST, 1, (SECOND, "RolledBack"))
    found = promoting(other, back(THIRD, SECOND), target_revision=FIRST)
    assert found.word(PROMOTED) == ("Unknown", "PromotionPending")
    assert (
        found.message(PROMOTED)
        == f"DatabaseMigration 'staging': its history does not say that {THIRD} was undone there"
    )


def test_one_that_is_going_proves_nothing() -> None:
    """It may be made anew with other files."""
    digest = promoting(None).migration.status.source_digest
    other = promoted(digest=digest)
    going = replace(other, metadata=replace(other.metadata, deletion_timestamp=seen.NOW))
    assert promoting(going).verbs == ["plan-migration"]


def test_a_promotion_that_is_no_longer_asked_for_is_not_waited_for() -> None:
    """And what was said of it does not stay."""
    found = promoting(None)
    found.edit(gates=MigrationGates())
    found.steps(2)
    found.ends(told(TO_DO))
    found.steps(2)
    assert (found.verbs[-1], found.word(PROMOTED)) == ("migrate", ("True", "NotRequested"))
