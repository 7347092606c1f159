"""Which of the works of `dbcustody restore` is meant: exactly one, and no option of another one beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dbcustody.api.restore import MissingRoles, Patterns, SideEffect
from dbcustody.cli.backups import list_backups
from dbcustody.cli.replacing import Replacing, replace_database
from dbcustody.cli.restore import Choice, read_mapping, restore_backup
from dbcustody.cli.reverting import drop_old, put_right, undo
from dbcustody.cli.swapping import Consent
from dbcustody.errors import InvalidSpecError

if TYPE_CHECKING:
    from collections.abc import Mapping

_WORKS: Final = {
    "as_list": "--list",
    "replaces": "--replace",
    "undo": "--undo",
    "drop_old": "--drop-old",
    "recovers": "--recover",
}
"""What is done besides a new database, and how it is said."""
_IN_PLACE: Final = frozenset({"replaces", "undo"})
_FITTING: Final = {
    "confirm": ("--confirm", _IN_PLACE),
    "acknowledged": ("--acknowledge", frozenset({"", "replaces", "undo"})),
    "tables": ("--table", frozenset({""})),
    "no_tables": ("--exclude-table", frozenset({""})),
    "schemas": ("--schema", frozenset({""})),
    "no_schemas": ("--exclude-schema", frozenset({""})),
    "owner_map": ("--owner-map", frozenset({""})),
    "no_safety_backup": ("--no-safety-backup", frozenset({"replaces"})),
    "last": ("--last", frozenset({"undo"})),
    "is_agreed": ("--yes", frozenset({"drop_old"})),
    "as_json": ("--json", frozenset({"as_list"})),
}
"""Options that say nothing beside any other work."""
_OF_A_BACKUP: Final = frozenset({"", "as_list", "replaces"})


def run(environ: Mapping[str, str], words: Mapping[str, Any]) -> int:
    """Do what *words* mean; returns the exit code. Raises InvalidSpecError when they do not fit together."""
    work = _work(words)
    match work:
        case "as_list":
            return list_backups(environ, as_json=words["as_json"])
        case "replaces":
            return replace_database(environ, _replacing(words))
        case "undo":
            return undo(environ, words["undo"] or None, _consent(words))
        case "drop_old":
            return drop_old(environ, words["drop_old"], is_agreed=words["is_agreed"])
        case "recovers":
            return put_right(environ)
    return restore_backup(environ, _choice(words))


def _choice(words: Mapping[str, Any]) -> Choice:
    named = {name: words[name] for name in ("name", "to", "database", "jobs")}
    return Choice(
        **named,
        missing_roles=MissingRoles(words["missing_roles"]),
        schemas=Patterns(include=words["schemas"], exclude=words["no_schemas"]),
        tables=Patterns(include=words["tables"], exclude=words["no_tables"]),
        owner_map=tuple(read_mapping(one) for one in words["owner_map"]),
        acknowledged=frozenset(SideEffect(one) for one in words["acknowledged"]),
    )


def _work(words: Mapping[str, Any]) -> str:
    """Return which of the works is meant; empty: a new database."""
    said = [name for name in _WORKS if words[name] not in {None, False}]
    if len(said) > 1:
        raise InvalidSpecError(f"{', '.join(_WORKS[name] for name in said)}: only one of them can be done")
    work = said[0] if said else ""
    if work and words["database"] is not None:
        raise InvalidSpecError(f"--database: does not go with {_WORKS[work]}")
    if work in _IN_PLACE and words["to"] is not None:
        raise InvalidSpecError(f"--to, RESTORE_URL: does not go with {_WORKS[work]}, which is about DATABASE_URL")
    for name, (option, works) in _FITTING.items():
        if words[name] and work not in works:
            raise InvalidSpecError(
                f"{option}: goes with {' or '.join(sorted(_WORKS.get(one, '--database') for one in works))} only"
            )
    if words["name"] is not None and work not in _OF_A_BACKUP:
        raise InvalidSpecError(f"NAME: does not go with {_WORKS[work]}")
    if work == "undo" and bool(words["undo"]) is words["last"]:
        raise InvalidSpecError("--undo: takes the name of the old database, or --last")
    return work


def _replacing(words: Mapping[str, Any]) -> Replacing:
    return Replacing(
        name=words["name"],
        consent=_consent(words),
        with_safety_backup=not words["no_safety_backup"],
        jobs=words["jobs"],
        missing_roles=MissingRoles(words["missing_roles"]),
    )


def _consent(words: Mapping[str, Any]) -> Consent:
    return Consent(
        confirm=words["confirm"],
        keep_old_seconds=words["keep_old_seconds"],
        acknowledged=tuple(SideEffect(one) for one in words["acknowledged"]),
    )
