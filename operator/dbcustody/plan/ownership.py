"""Whom things belong to in the new database: roles of the server in the place of those of the backup, and owners that cannot be had."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from dbcustody.plan.role_names import roles_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from dbcustody.api.restore import OwnerMapping
    from dbcustody.repository.catalogue import Catalogue, DatabaseFacts, RoleFacts, RoleSetting
    from dbcustody.repository.contents import Contents, Entry

OWNED: Final = frozenset(
    {"AGGREGATE", "BLOB", "BLOB METADATA", "COLLATION", "CONVERSION", "DOMAIN", "EVENT TRIGGER", "FOREIGN DATA WRAPPER",
     "FOREIGN TABLE", "FUNCTION", "MATERIALIZED VIEW", "OPERATOR", "OPERATOR CLASS", "OPERATOR FAMILY", "PROCEDURAL LANGUAGE",
     "PROCEDURE", "PUBLICATION", "SCHEMA", "SEQUENCE", "SERVER", "STATISTICS", "SUBSCRIPTION", "TABLE",
     "TEXT SEARCH CONFIGURATION", "TEXT SEARCH DICTIONARY", "TYPE", "VIEW"}
)  # fmt: skip
"""Kinds of entries that pg_restore gives to an owner."""
_OF_EVERY_DATABASE: Final = "pg_database_owner"
_ACL_ITEM: Final = re.compile(r'(?P<grantee>"(?:[^"]|"")*"|[^"=]*)(?P<rest>=.*)', re.DOTALL)
_PLAIN: Final = re.compile(r"[A-Za-z0-9_]+")


def map_faults(pairs: Iterable[OwnerMapping], catalogue: Catalogue) -> Iterator[str]:
    """Yield why *pairs* cannot be meant: a role of which the backup knows nothing, or one that has two successors."""
    known, seen = {role.name for role in catalogue.roles}, set[str]()
    for pair in pairs:
        if pair.from_ not in known:
            yield f"ownerMap: the backup knows no role {pair.from_}"
        if pair.from_ in seen:
            yield f"ownerMap: {pair.from_} stands there twice"
        seen.add(pair.from_)


def mapped(catalogue: Catalogue, names: Mapping[str, str]) -> Catalogue:
    """Return *catalogue* with the roles *names* in the place of those that they are told by, which it needs no more."""
    return replace(
        catalogue,
        database=_mapped_database(catalogue.database, names),
        roles=tuple(_mapped_role(role, names) for role in catalogue.roles if role.name not in names),
    )


def needed_roles(catalogue: Catalogue, entries: Iterable[Entry]) -> Catalogue:
    """Return *catalogue* with those roles alone that *entries*, or the database itself, name, and what these are members of."""
    database = catalogue.database
    needed: set[str | None] = {database.owner, *(item.role for item in database.settings), *map(_grantee, database.acl)}
    needed.update(name for entry in entries for name in roles_of(entry))
    groups = {role.name: set(role.member_of) for role in catalogue.roles}
    while more := set[str | None]().union(*(groups.get(name or "", ()) for name in needed)) - needed:
        needed |= more
    return replace(catalogue, roles=tuple(role for role in catalogue.roles if role.name in needed))


def unattainable(contents: Contents, memberships: Collection[str], *, without_public: bool) -> dict[str, list[Entry]]:
    """Return by owner what of *contents* cannot be given to it by a role that is a member of *memberships* alone."""
    found: dict[str, list[Entry]] = {}
    in_reach = {*memberships, _OF_EVERY_DATABASE}
    for entry in contents.entries:
        is_given = entry.kind in OWNED and not (without_public and is_public(entry))
        if is_given and entry.owner and entry.owner not in in_reach:
            found.setdefault(entry.owner, []).append(entry)
    return found


def disowned(contents: Contents, owners: Collection[str], *, with_public: bool) -> Contents:
    """Return *contents* with nothing in it that is given to *owners*: it stays with whoever restores; *with_public* nor that schema."""
    return contents.having(
        replace(entry, owner="")
        if (entry.kind in OWNED and entry.owner in owners) or (with_public and is_public(entry))
        else entry
        for entry in contents.entries
    )


def is_public(entry: Entry) -> bool:
    """Return whether *entry* is the schema public, which every new database has already."""
    return entry.kind == "SCHEMA" and entry.name == "public"


def _mapped_database(database: DatabaseFacts, names: Mapping[str, str]) -> DatabaseFacts:
    return replace(
        database,
        owner=names.get(database.owner, database.owner),
        acl=tuple(_mapped_item(item, names) for item in database.acl),
        settings=tuple(_mapped_setting(item, names) for item in database.settings),
    )


def _mapped_role(role: RoleFacts, names: Mapping[str, str]) -> RoleFacts:
    return replace(role, member_of=tuple(names.get(group, group) for group in role.member_of))


def _mapped_setting(item: RoleSetting, names: Mapping[str, str]) -> RoleSetting:
    return replace(item, role=names.get(item.role, item.role)) if item.role is not None else item


def _mapped_item(item: str, names: Mapping[str, str]) -> str:
    """Return one entry of an ACL, `grantee=rights/grantor`, with another grantee; who gave the right plays no part in a restore."""
    match = _ACL_ITEM.fullmatch(item)
    successor = names.get(_grantee(item)) if match is not None else None
    if match is None or successor is None:
        return item
    said = successor if _PLAIN.fullmatch(successor) else '"' + successor.replace('"', '""') + '"'
    return f"{said}{match['rest']}"


def _grantee(item: str) -> str:
    """Return whom one entry of an ACL gives rights; empty for everybody."""
    match = _ACL_ITEM.fullmatch(item)
    quoted = match["grantee"] if match is not None else ""
    return quoted[1:-1].replace('""', '"') if quoted.startswith('"') else quoted
