"""A plan as status tells it: names, numbers and words; no SQL, and nothing of what files hold but the names in it."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final

from dbcustody.api.migration import (
    LikenessClass,
    RiskClass,
    SeverityClass,
    StatedAttempt,
    StatedDrift,
    StatedFinding,
    StatedMigration,
    StatedMigrationPlan,
    Way,
)
from dbcustody.api.migration_error import StatedError
from dbcustody.api.restore import StatedObstacle
from dbcustody.migration.finding import Severity
from dbcustody.migration.forecast import Risk
from dbcustody.migration.history import Kind
from dbcustody.migration.ledger import State
from dbcustody.migration.outlook import risk_of_body
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dbcustody.migration.drift import Drift
    from dbcustody.migration.finding import Finding
    from dbcustody.migration.history import History
    from dbcustody.migration.lint import Judged
    from dbcustody.migration.planned import MigrationPlan
    from dbcustody.migration.script import Script

MOST_TOLD: Final = 100
"""As many migrations, and findings, as are told; the hash of the plan is of all."""
MOST_OBSTACLES: Final = 20
_UNFINISHED: Final = frozenset({Kind.PARTIAL, Kind.UNSETTLED})
_REFUSED: Final = frozenset({State.FAILED, State.PARTIAL})


def obstacles_of(history: History) -> tuple[Reason, tuple[str, ...]] | None:
    """Return every difference that stands in the way, and what that is called; None: nothing does.

    A database that is only ahead of its source is sound.
    """
    if history.is_ahead or not history.differences:
        return None
    unfinished = any(one.kind in _UNFINISHED for one in history.differences)
    told = tuple(f"{one.kind.value}: {one}" for one in history.differences)
    return Reason.NEEDS_RESOLUTION if unfinished else Reason.HISTORY_BROKEN, told


def stated_plan(
    plan: MigrationPlan,
    history: History,
    *,
    heritage: Sequence[str] = (),
    drift: Drift | None = None,
    unfinished: Sequence[str] = (),
) -> StatedMigrationPlan:
    """Return *plan*, of what *history* has pending, as status tells it; the worst findings first, and notes not at all.

    *heritage* is what another tool has carried out and nobody took over, *drift* what forbids to run anything (None: nothing does), and
    *unfinished* which statements are in of what is in in part.
    """
    findings = sorted(
        (one for one in plan.findings if one.severity > Severity.NOTE), key=lambda one: (one.waived is not None, -one.severity)
    )  # fmt: skip
    migrations = (*map(_stated_migration, plan.judged), *map(_stated_undoing, plan.aim.back))
    return StatedMigrationPlan(
        hash=plan.hash,
        way=Way.BACK if plan.aim.back else Way.FORTH,
        migrations=migrations[:MOST_TOLD],
        resolutions=tuple(one.name for one in plan.aim.declared),
        risk=max((one.risk for one in migrations), key=list(RiskClass).index, default=None),
        irreversible=any(one.irreversible for one in migrations),
        findings=tuple(_stated_finding(one) for one in findings[:MOST_TOLD]),
        refused=len(plan.refusals),
        obstacles=tuple(chain(_foreign(plan, heritage, drift), _own(plan, history, unfinished)))[:MOST_OBSTACLES],
        ahead=history.is_ahead,
    )


def stated_drift(drift: Drift | None) -> StatedDrift | None:
    """Return *drift* as status tells it."""
    if drift is None:
        return None
    return StatedDrift(likeness=LikenessClass(drift.likeness.value), fingerprint=drift.found, message=drift.told)


def stated_attempts(history: History) -> tuple[StatedAttempt, ...]:
    """Return the last attempts of the ledger as status tells them."""
    return tuple(
        StatedAttempt(name=one.name, state=one.state.value, finish_time=one.finished) for one in history.recent
    )


def stated_error(history: History) -> StatedError | None:
    """Return what the ledger keeps of the server's word on the last attempt.

    None: that did not fail, or not by the server's word; a statement that was cut short because the run was to stop had nothing wrong.
    """
    last = history.recent[-1] if history.recent else None
    if last is None or last.sqlstate is None or last.state not in _REFUSED or last.reason == Reason.INTERRUPTED.value:
        return None
    return StatedError(sqlstate=last.sqlstate, revision=last.name, time=last.finished)


def _stated_migration(judged: Judged) -> StatedMigration:
    risk = RiskClass(judged.risk.label)
    return StatedMigration(name=judged.script.name, risk=risk, irreversible=_is_irreversible(judged))


def _stated_undoing(script: Script) -> StatedMigration:
    """Return what is told of *script*, which is to be undone: what its way back destroys, as far as that is known of code."""
    risk = risk_of_body(script.down) if script.down is not None else Risk.DESTRUCTIVE
    return StatedMigration(name=script.name, risk=RiskClass(risk.label), irreversible=risk is Risk.DESTRUCTIVE)


def _is_irreversible(judged: Judged) -> bool:
    """Return whether a migration has no way back, or loses what no way back brings back."""
    return judged.script.down is None or judged.outlook.point_of_no_return is not None


def _stated_finding(finding: Finding) -> StatedFinding:
    return StatedFinding(
        migration=finding.file,
        rule=finding.rule,
        severity=SeverityClass(finding.severity.label),
        message=f"{finding.what}; {finding.helps}",
        line=finding.line,
        waived=finding.waived is not None,
    )


def _foreign(plan: MigrationPlan, heritage: Sequence[str], drift: Drift | None) -> Iterator[StatedObstacle]:
    """Yield what others have done to the database."""
    if drift is not None and not plan.aim.is_reached:
        message = f"{drift.told}; take it back, or name {drift.found} as `policy.acceptedFingerprint`"
        yield StatedObstacle(reason=Reason.DRIFTED.value, message=message)
    yield from (StatedObstacle(reason=Reason.HISTORY_FOREIGN.value, message=one) for one in heritage)


def _own(plan: MigrationPlan, history: History, unfinished: Sequence[str]) -> Iterator[StatedObstacle]:
    reason, told = obstacles_of(history) or (Reason.HISTORY_BROKEN, ())
    yield from (StatedObstacle(reason=reason.value, message=message) for message in (*told, *unfinished))
    yield from (StatedObstacle(reason=Reason.TARGET_UNREACHABLE.value, message=one) for one in plan.aim.obstacles)
    yield from (StatedObstacle(reason=Reason.LINT_FAILED.value, message=str(one)) for one in plan.refusals)
