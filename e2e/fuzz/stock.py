"""Taking stock of a whole storage in which somebody changed one document: it never fails, believes nothing of it, and says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dbcustody.repository.binding import FACT_LABEL, MANIFEST_LABEL, fact_context
from dbcustody.repository.fact import fact_text
from dbcustody.repository.layout import manifest_key
from dbcustody.repository.manifest import authenticated_text
from dbcustody.repository.stocktaking import document_keys, recognise, take_inventory
from dbcustody.repository.testimony import Trust
from fuzz import published
from fuzz.jsonwise import jsonwise
from fuzz.published import DATA_KEY, FILES, MOMENT, PLACE, STORAGE_KEY
from fuzz.target import Target, require

if TYPE_CHECKING:
    from collections.abc import Callable

    from dbcustody.repository.fact import Fact
    from dbcustody.repository.inventory import Inventory
    from dbcustody.repository.manifest import Manifest

_ROWS: Final = tuple(
    row for key, data in FILES.items() if (row := recognise(key, size_bytes=len(data), modified=MOMENT)) is not None
)
_CONTENTS: Final = {key: FILES[key] for key in document_keys(_ROWS)}
_FOLDER: Final = manifest_key(PLACE.custody_id, PLACE.backup_id).removesuffix("manifest.json")


class Keyholder:
    """The authority that has the published keys."""

    def manifest(self, manifest: Manifest, key_ids: tuple[str, ...]) -> Trust:
        """Judge by the data key."""
        if manifest.mac is None:
            return Trust.UNSIGNED
        text, context = authenticated_text(manifest), manifest.place.context
        is_ours = key_ids and DATA_KEY.proves(MANIFEST_LABEL, context, text, mac_hex=manifest.mac)
        return Trust.AUTHENTIC if is_ours else Trust.FORGED

    def fact(self, custody_id: str, fact: Fact) -> Trust:
        """Judge by the storage key."""
        if fact.mac is None:
            return Trust.UNSIGNED
        context = fact_context(PLACE.storage_id, custody_id, fact.backup_id)
        is_ours = STORAGE_KEY.proves(FACT_LABEL, context, fact_text(fact), mac_hex=fact.mac)
        return Trust.AUTHENTIC if is_ours else Trust.FORGED


def stock_with(data: bytes, name: str) -> Inventory:
    """Take stock of the published storage with *data* in place of one document."""
    contents: dict[str, bytes | None] = {**_CONTENTS, _FOLDER + name: data}
    return take_inventory(
        _ROWS, contents, storage_id=PLACE.storage_id, custody_id=PLACE.custody_id, authority=Keyholder()
    )


def stock_manifest(data: bytes) -> None:
    """Require that a changed manifest makes no good backup and is doubted."""
    inventory = stock_with(data, "manifest.json")
    require(data == _CONTENTS[_FOLDER + "manifest.json"] or inventory.doubts, "does not doubt a changed manifest")
    for backup in inventory.backups:
        require(
            data in _CONTENTS.values() or not (backup.is_good or backup.authenticated), "believes a changed manifest"
        )


def stock_verified(data: bytes) -> None:
    """Require that a changed mark proves nothing."""
    (backup,) = stock_doubted(data, "verified.1.json").backups
    require(data in _CONTENTS.values() or not backup.verified, "believes a changed mark")


def stock_release(data: bytes) -> None:
    """Require that a changed release frees nothing."""
    (backup,) = stock_doubted(data, "release.1.json").backups
    require(data in _CONTENTS.values() or backup.is_held, "believes a changed release")


def stock_doubted(data: bytes, name: str) -> Inventory:
    """Return the stock, which doubts whatever was changed."""
    inventory = stock_with(data, name)
    require(data == _CONTENTS[_FOLDER + name] or inventory.doubts, "does not doubt a changed fact")
    return inventory


def _target(name: str, read: Callable[[bytes], None], document: str) -> Target:
    donors = tuple(published.facts()[name] for name in ("tombstone.json", "hold.1.json"))
    return Target(
        name=name, read=read, corpus=(_CONTENTS[_FOLDER + document],), donors=donors, mutate=jsonwise, weight=2
    )


TARGETS: Final = (
    _target("stock-manifest", stock_manifest, "manifest.json"),
    _target("stock-verified", stock_verified, "verified.1.json"),
    _target("stock-release", stock_release, "release.1.json"),
)
