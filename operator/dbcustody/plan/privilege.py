"""What only a superuser may make: with a role that is none, as managed services give it, it is found in the table of contents beforehand.

Sources: the pages of the SQL commands in PostgreSQL's documentation, each under "Notes" or "Description", and for extensions
https://www.postgresql.org/docs/current/extend-extensions.html#EXTEND-EXTENSIONS-FILES-TRUSTED.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from dbcustody.plan.role_names import words_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dbcustody.repository.catalogue import DatabaseFacts, RoleSetting
    from dbcustody.repository.contents import Contents, Entry

_SUPERUSERS_KINDS: Final = frozenset(
    {"ACCESS METHOD", "EVENT TRIGGER", "FOREIGN DATA WRAPPER", "OPERATOR CLASS", "OPERATOR FAMILY", "PROCEDURAL LANGUAGE",
     "PUBLICATION TABLES IN SCHEMA", "SECURITY LABEL", "SHELL TYPE", "TEXT SEARCH PARSER", "TEXT SEARCH TEMPLATE"}
)  # fmt: skip
_CODE: Final = frozenset({"AGGREGATE", "FUNCTION", "PROCEDURE"})
_WIDE: Final = {"PUBLICATION": "ALL", "CAST": "WITHOUT"}
"""By kind the word that makes it more than an owner may do: FOR ALL TABLES, WITHOUT FUNCTION."""
_READ: Final = _CODE | _WIDE.keys()
_ABOUT: Final = frozenset({"ACL", "COMMENT"})
PUBLIC_SCHEMA: Final = "SCHEMA public"
_USUAL: Final = "REVOKE USAGE ON SCHEMA public FROM PUBLIC; GRANT ALL ON SCHEMA public TO PUBLIC;"
"""So pg_dump 15 and newer write the rights of every public of PostgreSQL 14."""
_UNTRUSTED_LANGUAGES: Final = frozenset({"C", "INTERNAL", "PLPERLU", "PLPYTHON3U", "PLPYTHONU", "PLTCLU"})
PROVIDERS: Final = frozenset({"azure_pg_admin", "cloudsqlsuperuser", "rds_superuser"})
"""Roles of managed services whose members may install extensions that only superusers may elsewhere."""
_SUBSCRIBERS: Final = "pg_create_subscription"


@dataclass(frozen=True, slots=True, kw_only=True)
class Privileges:
    """What a server keeps from the role that restores; a superuser may everything."""

    is_superuser: bool = True
    owns_public: bool = True
    """Whether the schema public of a new database is its own: since PostgreSQL 15 it belongs to whom the database does."""
    memberships: frozenset[str] = frozenset()
    untrusted: frozenset[str] = frozenset()
    """Extensions that ask for a superuser."""
    guarded_settings: frozenset[str] = frozenset()
    """Settings, in small letters, that the role may not set."""
    alterable_roles: frozenset[str] = field(default=frozenset())
    """Roles whose settings in a database it may set."""


def forbidden(contents: Contents, privileges: Privileges) -> frozenset[int]:
    """Return the ids of what of *contents* the role may not make."""
    if privileges.is_superuser:
        return frozenset()
    by_id = {entry.id: entry for entry in contents.entries}
    return frozenset(entry.id for entry in contents.entries if _is_forbidden(entry, by_id, privileges))


def settable(database: DatabaseFacts, privileges: Privileges) -> tuple[DatabaseFacts, tuple[str, ...]]:
    """Return *database* with the settings alone that the role may set, and what is left out, for people."""
    if privileges.is_superuser:
        return database, ()
    kept, skipped = [], list[str]()
    for item in database.settings:
        whose = "the database" if item.role is None else f"{item.role} in the database"
        left = [one for one in item.settings if not _may_set(item, one, privileges)]
        skipped += [f"SETTING {_setting_name(one)} of {whose}" for one in left]
        kept.append(replace(item, settings=tuple(one for one in item.settings if one not in left)))
    return replace(database, settings=tuple(item for item in kept if item.settings)), tuple(skipped)


def _is_forbidden(entry: Entry, by_id: Mapping[int, Entry], privileges: Privileges) -> bool:
    kind, words = entry.kind, words_of(entry.definition or "") if entry.kind in _READ else ()
    return (
        kind in _SUPERUSERS_KINDS
        or (kind == "EXTENSION" and entry.name in privileges.untrusted and not privileges.memberships & PROVIDERS)
        or (kind == "COMMENT" and any(one.name in privileges.untrusted for one in _extensions(entry, by_id)))
        or (kind in _ABOUT and entry.name == PUBLIC_SCHEMA and not privileges.owns_public and not _is_usual(entry))
        or (kind == "SUBSCRIPTION" and _SUBSCRIBERS not in privileges.memberships)
        or (kind == "DEFAULT ACL" and entry.owner not in privileges.memberships)
        or (kind in _WIDE and _WIDE[kind] in words)
        or (kind in _CODE and _is_forbidden_code(words, privileges))
    )


def _is_usual(entry: Entry) -> bool:
    """Return whether the rights of *entry* are those that the schema public of a new database has anyway."""
    return entry.kind == "ACL" and (entry.definition or "").split() == _USUAL.split()


def _extensions(entry: Entry, by_id: Mapping[int, Entry]) -> Iterator[Entry]:
    """Yield the extension that *entry* says something of."""
    yield from (by_id[need] for need in entry.needs if need in by_id and by_id[need].kind == "EXTENSION")


def _is_forbidden_code(words: tuple[str, ...], privileges: Privileges) -> bool:
    """Return whether a function is of a language that runs outside the database's rules, or sets what the role may not."""
    pairs = tuple(pairwise(words))
    languages = {after for word, after in pairs if word == "LANGUAGE"}
    settings = {after.lower() for word, after in pairs if word == "SET"}
    return bool(languages & _UNTRUSTED_LANGUAGES or settings & privileges.guarded_settings)


def _may_set(item: RoleSetting, setting: str, privileges: Privileges) -> bool:
    is_ours = item.role is None or item.role in privileges.alterable_roles
    return is_ours and _setting_name(setting) not in privileges.guarded_settings


def _setting_name(setting: str) -> str:
    return setting.partition("=")[0].lower()
