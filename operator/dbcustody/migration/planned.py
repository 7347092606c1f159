"""The plan of migrations: what would run, what it locks and for how long in kind, what is risky, and a hash that one can agree to."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from dbcustody.api.migration import FailOn, OnDrift
from dbcustody.migration.aim import Aim
from dbcustody.migration.directive import Waiver
from dbcustody.migration.finding import Finding, Severity
from dbcustody.migration.forecast import Risk
from dbcustody.migration.history import History
from dbcustody.migration.lint import Judged
from dbcustody.migration.lock import Lock, Work
from dbcustody.migration.patience import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


_FORMAT: Final = 2
_HASH_DIGITS: Final = 16
_LEAST: Final = {FailOn.ERROR: Severity.ERROR, FailOn.WARNING: Severity.WARNING}


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What is let pass, and how patiently locks are asked for; it is part of what somebody agrees to."""

    fail_on: FailOn = FailOn.ERROR
    waivers: tuple[Waiver, ...] = ()
    """Those that hold for every file."""
    allows_out_of_order: bool = False
    limits: Limits = field(default_factory=Limits)
    drift: OnDrift = OnDrift.FAIL
    exclude: tuple[str, ...] = ()
    """What is no part of the schema's fingerprint."""

    def refuses(self, finding: Finding) -> bool:
        """Return whether *finding* is reason enough to run nothing."""
        least = _LEAST.get(self.fail_on)
        return least is not None and finding.waived is None and finding.severity >= least


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """How a database stands to its files, and where it is to be brought."""

    history: History
    aim: Aim
    fingerprint: str | None = None
    """Of its schema as it is; None: nobody has taken it."""

    @classmethod
    def forth(cls, history: History) -> Prospect:
        """Return that all that *history* has pending is to be carried out."""
        return cls(history=history, aim=Aim(forth=history.pending))


@dataclass(frozen=True, slots=True)
class Held:
    """A lock, and what goes on until it is let go."""

    lock: Lock
    work: Work

    @property
    def words(self) -> str:
        """How long it is held, in kind."""
        return _DURATIONS[self.work]


_DURATIONS: Final = {
    Work.CATALOGUE: "for a moment",
    Work.ROWS: "while the rows that are named are worked on",
    Work.SCAN: "while all rows are read",
    Work.REWRITE: "while all rows are written anew",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """The first statement that no other one undoes."""

    file: str
    line: int
    statement: int
    why: tuple[str, ...]
    """What is lost; empty where nothing is, and yet there is no way back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationPlan:
    """What would run, in this order."""

    judged: tuple[Judged, ...]
    """What is carried out; nothing where something is undone, which nobody judges: to destroy is what ways back are for."""
    aim: Aim
    policy: Policy
    hash: str
    """The same for the same files, policy and state of the database; see `plan_hash`."""

    @property
    def risk(self) -> Risk:
        """That of the most dangerous file; safe where there is none."""
        return max((one.risk for one in self.judged), default=Risk.SAFE)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Those of all files."""
        return tuple(finding for one in self.judged for finding in one.findings)

    @property
    def refusals(self) -> tuple[Finding, ...]:
        """The findings for which the policy refuses the plan."""
        return tuple(finding for finding in self.findings if self.policy.refuses(finding))

    @property
    def point_of_no_return(self) -> Point | None:
        """Where the plan becomes irreversible; None: every statement of it can be undone by another."""
        return next((point for one in self.judged for point in _points(one)), None)


def make_plan(judged: Sequence[Judged], prospect: Prospect, policy: Policy) -> MigrationPlan:
    """Return the plan of *prospect*, what runs forth of it *judged*, under *policy*; see `plan_hash`."""
    return MigrationPlan(judged=tuple(judged), aim=prospect.aim, policy=policy, hash=plan_hash(prospect, policy))


def plan_hash(prospect: Prospect, policy: Policy) -> str:
    """Return 16 hexadecimal digits that change with what would run, its order, the *policy*, and the state of the database.

    Of that state the ledger tells what is in and ever was: what was undone and is pending again is another plan, for nobody agreed to have
    it once more; a run that failed changes nothing. The fingerprint tells the rest; None, nobody has taken it, is a value of its own.
    """
    history, aim = prospect.history, prospect.aim
    content: dict[str, Any] = {
        "format": _FORMAT,
        "applied": history.applied,
        "changes": history.changes,
        "differences": sorted([one.kind.value, one.name] for one in history.differences),
        "declared": [[one.name, one.state.value, one.reason] for one in aim.declared],
        "migrations": [[script.revision, script.name, script.checksum] for script in aim.forth],
        "undone": [[one.revision, one.name, one.down.checksum if one.down is not None else None] for one in aim.back],
        "policy": {
            "allowsOutOfOrder": policy.allows_out_of_order,
            "drift": policy.drift,
            "exclude": sorted(policy.exclude),
            "failOn": policy.fail_on,
            "limits": asdict(policy.limits),
            "waivers": sorted([waiver.rule, waiver.reason] for waiver in policy.waivers),
        },
        "fingerprint": prospect.fingerprint,
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH_DIGITS]


def held_locks(judged: Judged) -> tuple[Held, ...]:
    """Return the strongest lock on each relation that was there before, with the most that goes on from then to the end of its file."""
    steps = judged.outlook.steps
    works = [step.effect.work for step in steps]
    return tuple(Held(lock, max(works[_first(judged, lock) :])) for lock in judged.outlook.locks)


def _first(judged: Judged, lock: Lock) -> int:
    """Return the index of the first step that locks the relation of *lock*."""
    steps = judged.outlook.steps
    return next(at for at, step in enumerate(steps) if any(one.relation == lock.relation for one in step.effect.locks))


def _points(judged: Judged) -> Iterator[Point]:
    number = judged.outlook.point_of_no_return
    if number is not None:
        step = judged.outlook.steps[number - 1]
        file, line = judged.script.up.file, step.statement.place.line
        yield Point(file=file, line=line, statement=number, why=step.effect.destroys)
