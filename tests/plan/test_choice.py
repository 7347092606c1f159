"""Which backup of an inventory is restored."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from dbcustody.errors import RefusedError
from dbcustody.plan.choice import choose_named, choose_newest, choose_offered
from dbcustody.reason import Reason
from dbcustody.repository.inventory import Doubt, Inventory
from dbcustody.repository.manifest import Scope
from tests.fakes.history import START, Told, read_backup

if TYPE_CHECKING:
    from dbcustody.repository.inventory import ReadBackup

HOURS = [read_backup(Told(name=f"h{hour}", snapshot=START + timedelta(hours=hour))) for hour in range(3)]
EVERY = Inventory(backups=tuple(HOURS))


def with_newest(**changes: Any) -> Inventory:
    """Return the inventory with its newest backup changed."""
    return Inventory(backups=(*HOURS[:2], replace(HOURS[2], **changes)))


def test_the_very_backup_that_was_named() -> None:
    """Its id decides, whatever else lies there; it may never have been verified, for all that is read of it is checked."""
    unproven = with_newest(verified=())
    assert choose_named(EVERY, HOURS[1].manifest.backup_id) is HOURS[1]
    assert choose_named(unproven, HOURS[2].manifest.backup_id) is unproven.backups[2]


@pytest.mark.parametrize(
    ("doubt", "reason"),
    [
        (Doubt.KEY_MISSING, Reason.KEY_MISSING),
        (Doubt.FORGED_MANIFEST, Reason.ARCHIVE_DAMAGED),
        (Doubt.INCOMPLETE, Reason.ARCHIVE_DAMAGED),
    ],
)
def test_what_cannot_be_believed_is_refused(doubt: Doubt, reason: Reason) -> None:
    """The reason is the one that a person can do something about."""
    with pytest.raises(RefusedError) as caught:
        choose_named(with_newest(doubts=(doubt,)), HOURS[2].manifest.backup_id)
    assert caught.value.reason is reason


def test_what_is_not_there_is_refused() -> None:
    """A name that never was, or was deleted."""
    with pytest.raises(RefusedError) as caught:
        choose_named(EVERY, "20200101T000000Z-other-00000000")
    assert caught.value.reason is Reason.BACKUP_NOT_FOUND


def test_what_cannot_even_be_read_was_not_deleted() -> None:
    """A manifest that is no manifest any more is told as damaged: nobody is to look for it elsewhere."""
    lost = HOURS[2].manifest.backup_id
    inventory = Inventory(
        backups=tuple(HOURS[:2]), unreadable={f"web.shop/backups/{lost}/manifest.json": Doubt.UNREADABLE}
    )
    with pytest.raises(RefusedError) as caught:
        choose_named(inventory, lost)
    assert (caught.value.reason, caught.value.message) == (
        Reason.ARCHIVE_DAMAGED,
        f"backup {lost}: cannot be believed (Unreadable)",
    )


def test_what_might_have_been_a_good_one_is_named() -> None:
    """Where nothing fits, what cannot be believed is told by name, and of many how many."""
    unreadable = {f"web.shop/backups/{hour}/manifest.json": Doubt.UNREADABLE for hour in range(5)}
    with pytest.raises(RefusedError) as caught:
        choose_newest(Inventory(unreadable=unreadable))
    told = ", ".join(f"{name}: Unreadable" for name in list(unreadable)[:3])
    assert caught.value.message.endswith(f"not believed: {told} and 2 more")


def test_the_newest_good_one() -> None:
    """What is in doubt or unproven is passed over, and a time counts to the second."""
    assert choose_newest(EVERY) is HOURS[2]
    assert choose_newest(with_newest(verified=())) is HOURS[1]
    assert choose_newest(with_newest(doubts=(Doubt.FORGED_MANIFEST,))) is HOURS[1]
    assert choose_newest(EVERY, before=HOURS[1].manifest.snapshot) is HOURS[1]
    assert choose_newest(EVERY, before=HOURS[1].manifest.snapshot - timedelta(seconds=1)) is HOURS[0]


def as_part(backup: ReadBackup, **manifest: Any) -> ReadBackup:
    """Return *backup* as one of some tables alone."""
    return replace(backup, manifest=replace(backup.manifest, scope=Scope.PARTIAL, **manifest))


def test_one_of_the_whole_database_comes_before_a_newer_one_of_a_part() -> None:
    """However the newest is asked for; a part comes only where nothing whole fits, and never into another's place."""
    mixed = Inventory(backups=(as_part(HOURS[0]), HOURS[1], as_part(HOURS[2])))
    parts = Inventory(backups=tuple(as_part(one) for one in HOURS))
    first = HOURS[0].manifest.snapshot

    assert choose_newest(mixed) is choose_newest(mixed, must_be_whole=True) is HOURS[1]
    assert choose_newest(mixed, before=first) is mixed.backups[0]
    assert choose_newest(parts) is parts.backups[2]
    for inventory, before, there in ((parts, None, 3), (mixed, first, 1)):
        with pytest.raises(RefusedError) as caught:
            choose_newest(inventory, policy="nightly", before=before, must_be_whole=True)
        assert caught.value.reason is Reason.BACKUP_PARTIAL
        assert f"of the whole database: the {there} that fit leave something out" in caught.value.message
    with pytest.raises(RefusedError) as caught:
        choose_newest(parts, policy="other", must_be_whole=True)
    assert caught.value.reason is Reason.BACKUP_NOT_FOUND


def test_a_part_may_be_named() -> None:
    """Whoever names it knows what it is; whether it fits the place is judged elsewhere."""
    part = as_part(HOURS[0])
    assert choose_named(Inventory(backups=(part,)), part.manifest.backup_id) is part


def test_what_a_person_is_offered() -> None:
    """The newest good one of the whole database, else the newest good one, else whatever is newest."""
    unproven = replace(HOURS[2], verified=())
    assert choose_offered(HOURS) is HOURS[2]
    assert choose_offered((*HOURS[:2], unproven)) is HOURS[1]
    assert choose_offered((HOURS[0], as_part(HOURS[1]), unproven)) is HOURS[0]
    parts = [as_part(one) for one in HOURS]
    assert choose_offered(parts) is parts[2]
    assert choose_offered([unproven]) is unproven


def test_only_those_of_the_policy() -> None:
    """Another policy of the same database may copy less."""
    other = with_newest(manifest=replace(HOURS[2].manifest, policy="other"))
    assert choose_newest(other, policy=HOURS[0].manifest.policy) is HOURS[1]
    with pytest.raises(RefusedError) as caught:
        choose_newest(other, policy="other", before=START)
    assert caught.value.reason is Reason.BACKUP_NOT_FOUND
    assert "of policy other from before" in caught.value.message
    assert "of 3 in the storage 3 are good" in caught.value.message
