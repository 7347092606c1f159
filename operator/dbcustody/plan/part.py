"""What of a backup comes, under whose names, and how the head of each archive is written again for that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from dbcustody.naming import named
from dbcustody.plan.lending import Loan, lent, loans
from dbcustody.plan.ownership import disowned, is_public, mapped, needed_roles, unattainable
from dbcustody.plan.privilege import forbidden, settable
from dbcustody.plan.role_names import given_by_others, given_by_owner, renamed
from dbcustody.plan.selection import Choice, Selection, select
from dbcustody.repository.catalogue import Catalogue

if TYPE_CHECKING:
    from collections.abc import Collection

    from dbcustody.plan.privilege import Privileges
    from dbcustody.repository.contents import Contents

_NAMED: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What comes; *catalogue* is as it would be of a database with just that, by the names that it gets."""

    catalogue: Catalogue = field(repr=False)
    selection: Selection | None = field(default=None, repr=False)
    """None: everything."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Which role takes the place of which."""
    unowned: frozenset[str] = frozenset()
    """Owners, by their new names, to whom nothing is given."""
    has_foreign_public: bool = False
    """Whether the schema public belongs to another role, and cannot be given away."""
    by_owners_alone: bool = False
    """Whether rights are left out that others than the owners passed on."""
    skipped: tuple[str, ...] = ()
    """What the role that restores may not make."""
    denied: tuple[str, ...] = ()
    """Owners to whom the role cannot give what is theirs, though they are there."""

    loans: tuple[Loan, ...] = ()
    """Rights that owners need while it lasts."""

    @property
    def faults(self) -> tuple[str, ...]:
        """Why the choice cannot be carried out."""
        return self.selection.faults if self.selection is not None else ()

    @property
    def refused(self) -> tuple[str, ...]:
        """Which tables the role cannot make."""
        return self.selection.refused if self.selection is not None else ()

    @property
    def left_out(self) -> tuple[str, ...]:
        """What belongs to something that comes, and does not come itself."""
        return self.selection.left_out if self.selection is not None else ()

    @property
    def alters(self) -> bool:
        """Whether archives are read otherwise than they were written."""
        return bool(
            self.selection is not None
            or self.names
            or self.unowned
            or self.by_owners_alone
            or self.has_foreign_public
            or self.loans
        )

    def rewrite(self, contents: Contents, *, by_name: bool) -> Contents:
        """Return *contents* with what comes alone; *by_name* those of another archive than the one with the definitions."""
        chosen, selection = contents, self.selection
        if selection is not None:
            chosen = chosen.having(entry for entry in chosen.entries if selection.has(entry, by_name=by_name))
        if self.by_owners_alone:
            chosen = chosen.having(given_by_owner(entry) for entry in chosen.entries)
        chosen = disowned(renamed(chosen, self.names), self.unowned, with_public=self.has_foreign_public)
        return chosen if by_name else lent(chosen, self.loans)


def take_part(
    catalogue: Catalogue, contents: Contents | None, choice: Choice, *, names: Mapping[str, str], privileges: Privileges
) -> Part:
    """Return what comes of a backup by *choice*; without *contents* everything, and nothing is known of what the role may not make."""
    selection = None
    if contents is not None:
        banned = forbidden(contents, privileges)
        if banned or not choice.is_everything:
            selection = select(contents, catalogue, choice, forbidden=banned)
            catalogue = selection.narrow(catalogue)
            kept = [entry for entry in contents.entries if entry.id in selection.kept]
            catalogue = catalogue if choice.is_everything else needed_roles(catalogue, kept)
    catalogue = mapped(catalogue, names)
    database, unset = settable(catalogue.database, privileges)
    skipped = (*(selection.skipped if selection is not None else ()), *unset)
    return Part(catalogue=replace(catalogue, database=database), selection=selection, names=names, skipped=skipped)


def give_away(part: Part, contents: Contents, privileges: Privileges, superusers: Collection[str]) -> Part:
    """Return *part* as far as a role with *privileges* can give things away: what was the *superusers*' stays with the role."""
    if privileges.is_superuser:
        return part
    coming = part.rewrite(contents, by_name=False)
    is_lost = not privileges.owns_public
    owned = unattainable(coming, privileges.memberships, without_public=is_lost)
    others = [entry.title for entry in coming.entries if given_by_others(entry)]
    public = [entry.owner for entry in coming.entries if is_lost and is_public(entry) and entry.owner not in superusers]
    theirs = {owner: entries for owner, entries in owned.items() if owner in superusers}
    part = replace(
        part,
        unowned=frozenset(theirs),
        has_foreign_public=is_lost,
        by_owners_alone=bool(others),
        skipped=(
            *part.skipped,
            *(f"OWNER {owner} of {named([one.title for one in entries], _NAMED)}" for owner, entries in theirs.items()),
            *(f"OWNER {owner} of SCHEMA public" for owner in public),
            *(f"RIGHTS passed on by others: {title}" for title in others),
        ),
        denied=tuple(owner for owner in owned if owner not in superusers),
    )
    return replace(part, loans=loans(part.rewrite(contents, by_name=False)))
