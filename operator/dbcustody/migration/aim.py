"""Where a database is to be brought: forth to a migration or back to one, and what was declared that the ledger does not say yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dbcustody.migration.ledger import Attempt, Standing, State, records, repeated
from dbcustody.migration.script import Script
from dbcustody.migration.target import choice_of, find_target

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dbcustody.migration.history import History

BASE: Final = "base"
"""Before the first migration."""
_DECLARED: Final = {State.RESOLVED_APPLIED: Standing.IN, State.RESOLVED_ROLLED_BACK: Standing.OUT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What a person says of a migration: that it is in (`RESOLVED_APPLIED`) or out (`RESOLVED_ROLLED_BACK`), and why."""

    name: str
    state: State
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """What has to run, forth or back."""

    forth: tuple[Script, ...] = ()
    back: tuple[Script, ...] = ()
    """What is to be undone, newest first; each has a way back."""
    declared: tuple[Declaration, ...] = ()
    """What is to be written down before anything runs."""
    obstacles: tuple[str, ...] = ()
    """Why there is no way there."""

    @property
    def is_reached(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.forth or self.back or self.declared or self.obstacles)


def aim_at(target: str | None, scripts: Sequence[Script], history: History, *, may_go_back: bool) -> Aim:
    """Return the way of a database with *history* to *target*: a migration by name or revision, `base`, or None for the newest.

    What is in and comes after *target* is to be undone, and only where that is allowed; then nothing runs forth.
    """
    if target is None:
        return Aim(forth=history.pending)
    known = {script.name: script.revision for script in scripts}
    name = find_target(target, known)
    if target != BASE and name is None:
        return Aim(obstacles=(f"targetRevision {target}: is not among the files; {choice_of(target, known)}",))
    if name is not None and name not in history.applied:
        order = [script.name for script in scripts]
        until = order.index(name)
        return Aim(forth=tuple(one for one in history.pending if order.index(one.name) <= until))
    later = history.applied[history.applied.index(name) + 1 :] if name is not None else history.applied
    return _back(target, scripts, later, may_go_back=may_go_back) if later else Aim()


def _back(target: str, scripts: Sequence[Script], later: Sequence[str], *, may_go_back: bool) -> Aim:
    if not may_go_back:
        what = f"{', '.join(later)} would have to be undone, and `policy.allowDowngrade` is not true"
        return Aim(obstacles=(f"targetRevision {target}: {what}",))
    by_name = {script.name: script for script in scripts}
    stuck = [one for one in later if one not in by_name or by_name[one].down is None]
    if stuck:
        return Aim(obstacles=(f"targetRevision {target}: no way back from {', '.join(stuck)}: there is no .down.sql",))
    back = tuple(by_name[one] for one in reversed(later))
    return Aim(back=back, obstacles=tuple(str(fault) for script in back for fault in script.down_faults))


def undeclared(
    declarations: Iterable[Declaration], scripts: Sequence[Script], attempts: Sequence[Attempt]
) -> tuple[Declaration, ...]:
    """Return those of *declarations* that are to be made: of a migration that does not stand so, or is in twice, and not made before.

    What was made is known by migration, state and reason, so that a declaration which stays where it was written is not made again when the
    migration moves on.
    """
    revisions = {script.name: script.revision for script in scripts}
    made = {(one.revision, one.state, one.reason) for one in attempts}
    standings = _standings(attempts)
    return tuple(
        one
        for one in declarations
        if one.name in revisions
        and (revisions[one.name], one.state, one.reason) not in made
        and (
            standings.get(revisions[one.name], Standing.OUT) not in {_DECLARED[one.state], Standing.IN}
            or settles_repeat(one.state, revisions[one.name], attempts)
        )
    )


def settles_repeat(state: State, revision: str, attempts: Iterable[Attempt]) -> bool:
    """Return whether to declare *revision* to be in *state* says of one that was applied twice that it is in as it should be."""
    return state is State.RESOLVED_APPLIED and revision in {one.revision for one in repeated(attempts)}


def contradicted(
    declarations: Iterable[Declaration], scripts: Sequence[Script], attempts: Sequence[Attempt]
) -> tuple[str, ...]:
    """Return what is wrong with those of *declarations* that cannot be made, and what helps."""
    revisions = {script.name: script.revision for script in scripts}
    made = {(one.revision, one.state, one.reason) for one in attempts}
    standings = _standings(attempts)
    found = []
    for one in declarations:
        revision = revisions.get(one.name)
        if revision is None:
            found.append(f"resolutions: {one.name}: is not among the files; name one of them, without its ending")
        elif (revision, one.state, one.reason) in made or one.state is State.RESOLVED_APPLIED:
            continue
        elif standings.get(revision) is Standing.IN:
            found.append(f"resolutions: {one.name}: is applied; to undo it, name the one before it as `targetRevision`")
    return tuple(found)


def _standings(attempts: Sequence[Attempt]) -> dict[str, Standing]:
    return {revision: record.standing for revision, record in records(attempts).items()}


def as_declared(
    declarations: Iterable[Declaration], scripts: Sequence[Script], attempts: Sequence[Attempt]
) -> tuple[Attempt, ...]:
    """Return *attempts* as they will be once *declarations* are made: what is judged before anything is written."""
    by_name = {script.name: script for script in scripts}
    found = list(attempts)
    for one in declarations:
        script = by_name[one.name]
        ordinal = max((each.ordinal for each in found), default=0) + 1
        found.append(
            Attempt(
                ordinal=ordinal,
                revision=script.revision,
                name=script.name,
                state=one.state,
                checksum=script.checksum,
                reason=one.reason,
            )
        )
    return tuple(found)
