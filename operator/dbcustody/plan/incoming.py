"""What may come into the place of a live database: all of a database, that very one unless somebody says otherwise.

Whatever a backup was told to leave out would be gone without a word, so a partial one is refused whatever is acknowledged. What a backup of
the whole could not hold, and that it is of another database, is named, and waits until a person names it too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from dbcustody.api.restore import SideEffect, StatedSideEffect
from dbcustody.plan.restoration import Obstacle
from dbcustody.plan.selection import Choice
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from dbcustody.contract import RestoreTerms
    from dbcustody.plan.replacement import Live, Replacement
    from dbcustody.repository.catalogue import Catalogue
    from dbcustody.repository.manifest import Manifest

_WHAT: Final = {
    SideEffect.OTHER_DATABASE: "the backup is of another database than the one whose place it takes",
    SideEffect.NOT_CAPTURED: "the live database has, or had, what the backup could not hold, and is without it then",
}


def judge_incoming(found: Replacement, manifest: Manifest, catalogue: Catalogue, terms: RestoreTerms) -> Replacement:
    """Return *found* with what speaks against the backup of *manifest* and *catalogue* in that place, and what has to be acknowledged."""
    if partial := _partial(manifest, terms):
        return replace(found, obstacles=(*partial, *found.obstacles))
    effects = find_losses(found.live, manifest, catalogue, terms)
    obstacles = (*found.obstacles, *_unacknowledged(effects, terms.acknowledge))
    return replace(found, obstacles=obstacles, side_effects=(*found.side_effects, *effects))


def find_losses(
    live: Live, manifest: Manifest, catalogue: Catalogue, terms: RestoreTerms
) -> tuple[StatedSideEffect, ...]:
    """Return of which other database the backup is, and what it lacks of its own."""
    named = (
        (SideEffect.OTHER_DATABASE, tuple(_otherness(live, manifest, catalogue, terms))),
        (SideEffect.NOT_CAPTURED, catalogue.lacking),
    )
    return tuple(StatedSideEffect(kind=kind, names=names) for kind, names in named if names)


def _partial(manifest: Manifest, terms: RestoreTerms) -> tuple[Obstacle, ...]:
    helps = "restore it into a new database beside this one, or take a backup of the whole database and name that"
    if not manifest.is_whole:
        text = (
            f"backup {manifest.name}: holds only a part of its database, and what it leaves out would be lost; {helps}"
        )
        return (Obstacle(Reason.BACKUP_PARTIAL, text),)
    if not Choice(schemas=terms.schemas, tables=terms.tables).is_everything:
        text = f"backup {manifest.name}: only a part of it is asked for, and the rest would be lost; {helps}"
        return (Obstacle(Reason.BACKUP_PARTIAL, text),)
    return ()


def _otherness(live: Live, manifest: Manifest, catalogue: Catalogue, terms: RestoreTerms) -> list[str]:
    """Return in what the backup's database differs from *live*; a server that neither side may know is not held against it."""
    own = terms.replace.custody_id if terms.replace is not None else manifest.custody_id
    server, here = manifest.server.system_identifier, live.system_identifier
    found = [f"custody {manifest.custody_id}"] if manifest.custody_id != own else []
    if server is not None and here is not None and server != here:
        found.append(f"server {server}")
    if catalogue.database.name != live.name:
        found.append(f"database {catalogue.database.name}")
    return found


def _unacknowledged(effects: tuple[StatedSideEffect, ...], acknowledged: tuple[SideEffect, ...]) -> list[Obstacle]:
    return [
        Obstacle(
            Reason.ACKNOWLEDGEMENT_NEEDED,
            f"{one.kind.value}: {_WHAT[one.kind]}: {'; '.join(one.names)}; accept that in `acknowledge`",
        )
        for one in effects
        if one.kind not in acknowledged
    ]
