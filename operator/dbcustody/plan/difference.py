"""How the server differs from the one of the backup, told before anything is made: nothing of it stands in the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dbcustody.api.restore import OwnerMapping
    from dbcustody.repository.catalogue import DatabaseFacts

Locale = tuple[str, str]
"""The provider, as the catalogue calls it, and what it calls the locale."""


def locale_of(database: DatabaseFacts) -> Locale:
    """Return the locale that *database* sorts by."""
    is_libc = database.locale_provider == "libc"
    return database.locale_provider, (database.collation if is_libc else database.icu_locale) or ""


def version_remarks(source_major: int, target_major: int) -> Iterator[str]:
    """Yield that the server is of another major version than the backup's."""
    if source_major != target_major:
        yield f"the backup is of PostgreSQL {source_major}, the server is {target_major}"


def collation_remarks(database: DatabaseFacts, versions: Mapping[Locale, str]) -> Iterator[str]:
    """Yield that text sorts by other rules than it did, where both versions are known; *versions* are those of the server."""
    was, now = database.collation_version, versions.get(locale_of(database))
    if was is not None and now is not None and was != now:
        yield (
            f"the collation {locale_of(database)[1]} was of version {was} and is {now} here: text may sort otherwise; "
            "indexes are built by the new rules, ranges of partitions and constraints on text are not"
        )


def owner_remarks(pairs: tuple[OwnerMapping, ...]) -> Iterator[str]:
    """Yield which roles take whose place."""
    yield from (f"{pair.to} takes the place of {pair.from_}" for pair in pairs)
