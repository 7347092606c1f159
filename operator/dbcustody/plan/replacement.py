"""Whether a database may take the place of the one that runs, and what hangs on that one: told before anything is touched.

A swap is a matter of milliseconds in which nobody is served; whatever could fail in it is looked for hours earlier, and named.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from dbcustody.api.restore import Replaced, SideEffect, StatedObstacle, StatedPlan, StatedSideEffect
from dbcustody.plan.restoration import LONGEST_NAME_BYTES, TEMPLATES, Obstacle
from dbcustody.reason import Reason
from dbcustody.repository.canonical import canonical, sha256_hex

if TYPE_CHECKING:
    from dbcustody.contract import RestoreTerms

OPERATED: Final = frozenset({"CloudNativePG", "Zalando", "Crunchy"})
"""Conventions of Secrets that say that another operator looks after the server."""
_HASH_DIGITS: Final = 16
_MARK_DIGITS: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """The database whose place is to be taken, as the role that restores sees it."""

    name: str
    oid: int
    owner: str
    role: str
    is_superuser: bool = False
    may_create_databases: bool = False
    """Renaming needs that right too (https://www.postgresql.org/docs/current/sql-alterdatabase.html)."""
    is_open: bool = True
    is_ours: bool = True
    """Whether the role is a member of the owner."""
    is_template: bool = False
    tablespace: str = "pg_default"
    system_identifier: str | None = None
    """None: the role may not know it."""
    slots: tuple[tuple[str, bool, bool], ...] = ()
    """Logical replication slots: name, whether a PostgreSQL subscriber reads it, whether somebody does now."""
    prepared: int = 0
    subscriptions: tuple[str, ...] = ()
    cron_jobs: tuple[str, ...] = ()
    foreign_servers: tuple[str, ...] = ()
    unendable: tuple[str, ...] = ()
    """Sessions in it that the role may not end."""
    convention: str = ""
    size_bytes: int | None = None
    """None: the role may not know it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """What a plan for taking the place of *live* adds to the plan for the new database."""

    live: Live
    confirm: str | None = None
    """The text that confirms it; None: the role may not know which server it is."""
    obstacles: tuple[Obstacle, ...] = ()
    side_effects: tuple[StatedSideEffect, ...] = ()


def judge_replacement(live: Live, terms: RestoreTerms, *, database_name: str, maintenance: str) -> Replacement:
    """Return what stands in the way of taking the place of *live*, which the Database *database_name* names, and what hangs on it."""
    effects, said = find_side_effects(live), terms.replace.confirm if terms.replace is not None else ""
    wanted = confirmation(database_name, live.system_identifier, live.oid)
    obstacles = (
        *_unfit(live, maintenance),
        *_unconfirmed(live, said, wanted),
        *_without_rights(live),
        *_in_use(live),
        *_unacknowledged(effects, terms.acknowledge),
    )
    return Replacement(live=live, confirm=wanted, obstacles=obstacles, side_effects=effects)


def confirmation(database_name: str, system_identifier: str | None, oid: int) -> str | None:
    """Return the text that confirms that the database with *oid* is replaced; None: nobody may know which server it is.

    A swap gives the name to a database with another OID, so that what confirmed it confirms nothing any more.
    """
    return None if system_identifier is None else f"{database_name}@{system_identifier}/{oid}"


def confirmation_after(said: str, oid: int) -> str:
    """Return what confirms the next swap, once the one that *said* confirmed put the database with *oid* in the place."""
    return f"{said.rpartition('/')[0]}/{oid}"


def refusal_of(said: str, wanted: str) -> str:
    """Return why *said*, which is not *wanted*, confirms nothing, and the text that would."""
    if wanted.startswith(f"{said}/"):
        return f"confirmed is {said}, which would go for every later swap too; this one is confirmed with {wanted}"
    return f"confirmed is {said}, and this would replace {wanted}"


def find_side_effects(live: Live) -> tuple[StatedSideEffect, ...]:
    """Return what hangs on *live* and stays with it, or is lost, when another database takes its place."""
    named = (
        (SideEffect.REPLICATION_SLOTS, tuple(name for name, is_own, _ in live.slots if not is_own)),
        (SideEffect.REMOTE_SUBSCRIBERS, tuple(name for name, is_own, _ in live.slots if is_own)),
        (SideEffect.SUBSCRIPTIONS, live.subscriptions),
        (SideEffect.CRON_JOBS, live.cron_jobs),
        (SideEffect.FOREIGN_SERVERS, live.foreign_servers),
        (SideEffect.OTHER_OPERATORS, (live.convention,) if live.convention in OPERATED else ()),
    )
    return tuple(StatedSideEffect(kind=kind, names=names) for kind, names in named if names)


def with_replacement(plan: StatedPlan, found: Replacement) -> StatedPlan:
    """Return *plan* with whose place is taken: the hash is of that, too."""
    effects = [[one.kind.value, list(one.names)] for one in found.side_effects]
    content = [plan.hash, found.live.name, found.live.oid, effects]
    digest = sha256_hex(canonical(content))[:_HASH_DIGITS]
    return replace(plan, hash=digest, side_effects=found.side_effects, replaces=_replaced(found))


def _replaced(found: Replacement) -> Replaced:
    live = found.live
    return Replaced(
        database=live.name,
        oid=live.oid,
        owner=live.owner,
        system_identifier=live.system_identifier,
        size_bytes=live.size_bytes,
        confirm=found.confirm,
    )


def undo_plan(kept_oid: int | None, found: Replacement) -> StatedPlan:
    """Return the plan for putting back the database *kept_oid* (None: it is not there any more)."""
    obstacles = found.obstacles
    if kept_oid is None:
        text = "the database that was put away is not there any more; restore a backup"
        obstacles = (Obstacle(Reason.NOTHING_TO_UNDO, text), *obstacles)
    stated = tuple(StatedObstacle(reason=one.reason.value, message=one.text) for one in obstacles)
    return with_replacement(StatedPlan(hash=str(kept_oid), obstacles=stated), found)


def incoming_name(mark: str) -> str:
    """Return what a database is called that is made for *mark*, until it takes another's place."""
    return f"dbcustody_{_digest(mark)}"


def kept_name(live: str, mark: str) -> str:
    """Return what *live* is called once its place was taken for *mark*; the server cuts longer names, so it is cut before."""
    tail = f"_replaced_{_digest(mark)}"
    front = live.encode()[: LONGEST_NAME_BYTES - len(tail)].decode(errors="ignore")
    return f"{front}{tail}"


def _digest(mark: str) -> str:
    return hashlib.sha256(mark.encode()).hexdigest()[:_MARK_DIGITS]


def _unfit(live: Live, maintenance: str) -> list[Obstacle]:
    if live.is_template or live.name in {*TEMPLATES, maintenance}:
        text = f"the place of {live.name} is never taken: it is a template, or where databases are made from"
        return [Obstacle(Reason.INVALID_SPEC, text)]
    if not live.is_open:
        text = f"{live.name} lets nobody in; if a swap was broken off, `dbcustody restore --recover` opens it"
        return [Obstacle(Reason.TARGET_IN_USE, text)]
    return []


def _unconfirmed(live: Live, said: str, wanted: str | None) -> list[Obstacle]:
    if wanted is None:
        helps = f'GRANT EXECUTE ON FUNCTION pg_control_system() TO "{live.role}";'
        return [
            Obstacle(
                Reason.NOT_CONFIRMED, f"the role may not know which server it is, so nothing is confirmed: {helps}"
            )
        ]
    return [] if said == wanted else [Obstacle(Reason.NOT_CONFIRMED, refusal_of(said, wanted))]


def _without_rights(live: Live) -> list[Obstacle]:
    if live.is_superuser:
        return []
    helps = []
    if not live.is_ours:
        helps.append(f'GRANT "{live.owner}" TO "{live.role}";')
    if not live.may_create_databases:
        helps.append(f'ALTER ROLE "{live.role}" CREATEDB;')
    if not helps:
        return []
    return [Obstacle(Reason.PRIVILEGES_MISSING, f"the role may not rename {live.name}: {' '.join(helps)}")]


def _in_use(live: Live) -> list[Obstacle]:
    found = []
    if live.prepared:
        text = f"{live.prepared} prepared transactions hold {live.name}; commit them or roll them back"
        found.append(Obstacle(Reason.TARGET_IN_USE, text))
    active = [name for name, _, is_active in live.slots if is_active]
    if active:
        text = f"replication slots of {live.name} are read now: {', '.join(active)}; stop who reads them"
        found.append(Obstacle(Reason.TARGET_IN_USE, text))
    if live.unendable:
        text = (
            f"sessions in {live.name} that the role may not end: {', '.join(live.unendable)}; GRANT pg_signal_backend"
        )
        found.append(Obstacle(Reason.SESSIONS_HELD, text))
    return found


def _unacknowledged(effects: tuple[StatedSideEffect, ...], acknowledged: tuple[SideEffect, ...]) -> list[Obstacle]:
    return [
        Obstacle(
            Reason.ACKNOWLEDGEMENT_NEEDED,
            f"{one.kind.value} stay with the old database or are lost: {', '.join(one.names)}; accept that in `acknowledge`",
        )
        for one in effects
        if one.kind not in acknowledged
    ]
