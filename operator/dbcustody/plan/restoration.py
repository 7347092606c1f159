"""Whether a backup can be restored into a new database of a server, and what stands in the way: found out before anything is made.

What is checked here fails late otherwise, hours into a restore: a role that owns tables, an extension that is not installed, a locale that
the server cannot make. Whoever reads the plan sees all of it at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from dbcustody.api.restore import MissingRoles, OwnerMapping, SideEffect, StatedObstacle, StatedPlan
from dbcustody.plan.difference import Locale, collation_remarks, owner_remarks, version_remarks
from dbcustody.plan.ownership import map_faults
from dbcustody.plan.part import Part, give_away, take_part
from dbcustody.plan.privilege import Privileges
from dbcustody.plan.selection import EVERYTHING, Choice
from dbcustody.reason import Reason
from dbcustody.repository.canonical import canonical, sha256_hex
from dbcustody.repository.catalogue import RoleFacts

if TYPE_CHECKING:
    from dbcustody.repository.catalogue import Catalogue, DatabaseFacts
    from dbcustody.repository.contents import Contents

LONGEST_NAME_BYTES: Final = 63
"""Longer names are cut by the server (https://www.postgresql.org/docs/current/sql-syntax-lexical.html)."""
TEMPLATES: Final = frozenset({"template0", "template1"})
_NAMES_SHOWN: Final = 10
_LEFT_OUT_SHOWN: Final = 50
_HASH_DIGITS: Final = 16
_PROVIDER_SINCE: Final = {"icu": 15, "builtin": 17}
_RULES_SINCE: Final = 16
_OWNS_PUBLIC_SINCE: Final = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Landing:
    """The server where a database is to be made, as far as the role that restores may know it."""

    major_version: int
    role: str
    is_superuser: bool = False
    may_create_databases: bool = False
    may_create_roles: bool = False
    roles: frozenset[str] = frozenset()
    memberships: frozenset[str] = frozenset()
    """Roles that the role is, directly or not, a member of, itself among them: to these it can give things away."""
    databases: frozenset[str] = frozenset()
    extensions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The versions that can be installed, by name."""
    superusers: frozenset[str] = frozenset()
    untrusted: frozenset[str] = frozenset()
    """Extensions that ask for a superuser."""
    guarded_settings: frozenset[str] = frozenset()
    """Settings that only a superuser may set, and the role was not allowed to."""
    alterable_roles: frozenset[str] = frozenset()
    """Roles whose settings the role may change."""
    collation_versions: Mapping[Locale, str] = field(default_factory=dict)
    size_bytes: int | None = None
    """What its databases take, as far as the role may know."""

    @property
    def privileges(self) -> Privileges:
        """What the role may make."""
        return Privileges(
            is_superuser=self.is_superuser,
            owns_public=self.major_version >= _OWNS_PUBLIC_SINCE,
            memberships=self.memberships,
            untrusted=self.untrusted,
            guarded_settings=self.guarded_settings,
            alterable_roles=self.alterable_roles,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a person asks for."""

    database: str
    missing_roles: MissingRoles = MissingRoles.FAIL
    choice: Choice = EVERYTHING
    owner_map: tuple[OwnerMapping, ...] = ()
    acknowledged: frozenset[SideEffect] = frozenset()

    @property
    def names(self) -> dict[str, str]:
        """Which role takes the place of which of the backup."""
        return {pair.from_: pair.to for pair in self.owner_map}

    @property
    def needs_contents(self) -> bool:
        """Whether it cannot be judged without the archive's table of contents."""
        return bool(self.owner_map) or not self.choice.is_everything


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why it cannot be done, and what helps."""

    reason: Reason
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorePlan:
    """What a restore will do; with an *obstacle* it will do nothing."""

    obstacles: tuple[Obstacle, ...] = ()
    roles_to_create: tuple[RoleFacts, ...] = ()
    with_ownership: bool = True
    """False: everything belongs to the role that restores, and nobody gets rights."""
    remarks: tuple[str, ...] = ()
    """What will not be as it was."""
    part: Part = field(repr=False, compare=False)
    """What comes, and how."""
    server_bytes: int | None = field(default=None, compare=False)
    """What the databases of the server take; None: not known."""


def plan_restoration(
    catalogue: Catalogue, source_major: int, landing: Landing, wish: Wish, *, contents: Contents | None = None
) -> RestorePlan:
    """Return what has to be done to restore the backup with *catalogue*, of a server *source_major*, on *landing*.

    Without the *contents* of the archive nobody looks for what the role may not make; a *wish* that is not for everything needs them.
    """
    part = take_part(catalogue, contents, wish.choice, names=wish.names, privileges=landing.privileges)
    missing = [role for role in part.catalogue.roles if role.name not in landing.roles]
    with_ownership = not (missing and wish.missing_roles is MissingRoles.SKIP_OWNERSHIP)
    if contents is not None and with_ownership:
        part = give_away(part, contents, landing.privileges, landing.superusers)
    return RestorePlan(
        obstacles=(
            *_name_obstacles(wish.database, landing),
            *_version_obstacles(source_major, landing),
            *_locale_obstacles(catalogue.database, landing),
            *_choice_obstacles(part, catalogue, wish),
            *_role_obstacles(missing, landing, wish),
            *_successor_obstacles(wish, landing),
            *_owner_obstacles(part, landing),
            *_extension_obstacles(part.catalogue, landing),
            *_skipping_obstacles(part, wish),
        ),
        roles_to_create=tuple(missing) if wish.missing_roles is MissingRoles.CREATE else (),
        with_ownership=with_ownership,
        remarks=(
            *_role_remarks(missing, wish),
            *_extension_remarks(part.catalogue, landing),
            *_absent(catalogue),
            *_choice_remarks(part, catalogue, wish),
            *owner_remarks(wish.owner_map),
            *version_remarks(source_major, landing.major_version),
            *collation_remarks(catalogue.database, landing.collation_versions),
        ),
        part=part,
        server_bytes=landing.size_bytes,
    )


def state(plan: RestorePlan, manifest_sha256: str, database: str) -> StatedPlan:
    """Return *plan* as it is told; its hash is of all that it will do: from which backup, into which database, what, with which roles."""
    part = plan.part
    stated = StatedPlan(
        hash="",
        obstacles=tuple(StatedObstacle(reason=one.reason.value, message=one.text) for one in plan.obstacles),
        roles_to_create=tuple(role.name for role in plan.roles_to_create),
        with_ownership=plan.with_ownership,
        remarks=plan.remarks,
        skipped_objects=part.skipped,
        server_bytes=plan.server_bytes,
    )
    content = [
        manifest_sha256,
        database,
        list(stated.roles_to_create),
        stated.with_ownership,
        list(stated.remarks),
        list(part.skipped),
        sorted(part.names.items()),
        sorted(part.selection.kept) if part.selection is not None else None,
    ]
    return replace(stated, hash=sha256_hex(canonical(content))[:_HASH_DIGITS])


def _name_obstacles(name: str, landing: Landing) -> list[Obstacle]:
    if not name or "\0" in name or len(name.encode()) > LONGEST_NAME_BYTES:
        return [Obstacle(Reason.INVALID_SPEC, f"a database's name has 1 to {LONGEST_NAME_BYTES} bytes")]
    if name in landing.databases | TEMPLATES:
        return [Obstacle(Reason.TARGET_EXISTS, f"the database {name} exists already: choose another name, or drop it")]
    if not (landing.may_create_databases or landing.is_superuser):
        helps = f'ALTER ROLE "{landing.role}" CREATEDB;'
        return [Obstacle(Reason.PRIVILEGES_MISSING, f"the role may not create databases: {helps}")]
    return []


def _version_obstacles(source_major: int, landing: Landing) -> list[Obstacle]:
    if source_major <= landing.major_version:
        return []
    text = f"the backup is of PostgreSQL {source_major}, the server is {landing.major_version}: restore into one that is not older"
    return [Obstacle(Reason.VERSION_UNSUPPORTED, text)]


def _locale_obstacles(database: DatabaseFacts, landing: Landing) -> list[Obstacle]:
    since = _PROVIDER_SINCE.get(database.locale_provider, 0)
    since = max(since, _RULES_SINCE) if database.icu_rules else since
    if landing.major_version >= since:
        return []
    text = f"the database's locale ({database.locale_provider}) needs PostgreSQL {since} or newer"
    return [Obstacle(Reason.VERSION_UNSUPPORTED, text)]


def _role_obstacles(missing: list[RoleFacts], landing: Landing, wish: Wish) -> list[Obstacle]:
    if not missing:
        return []
    names = _listed([role.name for role in missing])
    if wish.missing_roles is MissingRoles.FAIL:
        text = f"roles that the backup needs are missing: {names}; create them, let them be created, or leave ownership out"
        return [Obstacle(Reason.ROLES_MISSING, text)]
    if wish.missing_roles is MissingRoles.CREATE and not (landing.may_create_roles or landing.is_superuser):
        helps = f'ALTER ROLE "{landing.role}" CREATEROLE;'
        return [Obstacle(Reason.PRIVILEGES_MISSING, f"the role may not create the missing roles {names}: {helps}")]
    return []


def _owner_obstacles(part: Part, landing: Landing) -> list[Obstacle]:
    """Find out first what would fail last, after hours: that the role may not give the database, or what is in it, away."""
    owner = part.catalogue.database.owner
    found = []
    if not landing.is_superuser and owner in landing.roles and owner not in landing.memberships:
        helps = f'GRANT "{owner}" TO "{landing.role}";'
        found.append(f"the role may not give the database to its owner {owner}: {helps}")
    others = [one for one in part.denied if one in landing.roles and one != owner]
    if others:
        helps = " ".join(f'GRANT "{one}" TO "{landing.role}";' for one in others[:_NAMES_SHOWN])
        found.append(f"the role may not give things to their owners {_listed(others)}: {helps}")
    return [Obstacle(Reason.PRIVILEGES_MISSING, f"{text} or let another role take the owner's place") for text in found]


def _choice_obstacles(part: Part, catalogue: Catalogue, wish: Wish) -> list[Obstacle]:
    """Tell of patterns that fit nothing, of tables that cannot be made alone or by the role, and of roles that nobody knows."""
    wrong = [Obstacle(Reason.INVALID_SPEC, text) for text in (*part.faults, *map_faults(wish.owner_map, catalogue))]
    return wrong + [
        Obstacle(
            Reason.PRIVILEGES_MISSING,
            f"{text} because the role may not make it; restore as a superuser, or without the table",
        )
        for text in part.refused
    ]


def _successor_obstacles(wish: Wish, landing: Landing) -> list[Obstacle]:
    absent = sorted({pair.to for pair in wish.owner_map} - landing.roles)
    if not absent:
        return []
    return [Obstacle(Reason.ROLES_MISSING, f"roles that shall take the place of others are missing: {_listed(absent)}")]


def _skipping_obstacles(part: Part, wish: Wish) -> list[Obstacle]:
    if not part.skipped or SideEffect.SKIPPED_OBJECTS in wish.acknowledged:
        return []
    text = f"the role may not make what the backup has: {_listed(list(part.skipped))}; to go without, acknowledge SkippedObjects"
    return [Obstacle(Reason.ACKNOWLEDGEMENT_NEEDED, text)]


def _choice_remarks(part: Part, catalogue: Catalogue, wish: Wish) -> list[str]:
    """Tell what does not come because it was not chosen: by number what nobody asked for, by name what belongs to something that comes."""
    if wish.choice.is_everything:
        return []
    said = [f"only what was chosen comes: {len(part.catalogue.tables)} of {len(catalogue.tables)} tables with rows"]
    if catalogue.large_objects:
        said.append(f"left out: {catalogue.large_objects} large objects, which belong to no table")
    said += [f"left out: {title}" for title in part.left_out[:_LEFT_OUT_SHOWN]]
    more = len(part.left_out) - _LEFT_OUT_SHOWN
    return [*said, f"left out: and {more} more"] if more > 0 else said


def _role_remarks(missing: list[RoleFacts], wish: Wish) -> list[str]:
    if not missing:
        return []
    names = _listed([role.name for role in missing])
    if wish.missing_roles is MissingRoles.CREATE:
        return [f"roles are created without passwords: {names}"]
    return [f"without owners and rights, because roles are missing: {names}"]


def _extension_obstacles(catalogue: Catalogue, landing: Landing) -> list[Obstacle]:
    missing = [one.name for one in catalogue.extensions if not landing.extensions.get(one.name)]
    if not missing:
        return []
    text = f"extensions that the database uses cannot be installed on the server: {_listed(missing)}"
    return [Obstacle(Reason.EXTENSIONS_MISSING, text)]


def _extension_remarks(catalogue: Catalogue, landing: Landing) -> list[str]:
    return [
        f"the extension {one.name} was of version {one.version}, which the server does not have"
        for one in catalogue.extensions
        if landing.extensions.get(one.name) and one.version not in landing.extensions[one.name]
    ]


def _absent(catalogue: Catalogue) -> list[str]:
    return [f"not in the backup: {what}" for what in catalogue.not_captured]


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:_NAMES_SHOWN])
    more = len(names) - _NAMES_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
