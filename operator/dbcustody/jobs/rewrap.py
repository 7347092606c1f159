"""The re-wrap Job: closes the data keys of older backups for the active key too, so that a key of the keyring can be taken out one day.

Each backup gets one small object more; no data is read or written again, and nothing is taken away. Every copy for the active key is
opened, also those that were there before: what bears its name and is no copy must not make an old key seem dispensable. It is no
revocation: whoever had the old key and a copy of the storage can still read what lay there.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from dbcustody.contract import Verb
from dbcustody.errors import ConflictError, DamagedError, InvalidSpecError, RefusedError
from dbcustody.facts import ReWrapFacts
from dbcustody.jobs.custody import open_storage
from dbcustody.jobs.stock import close_data_key, open_data_key
from dbcustody.jobs.survey import survey
from dbcustody.jobs.tools import side_by_side
from dbcustody.jobs.verdict import fail, give
from dbcustody.reason import Reason
from dbcustody.repository.binding import Place
from dbcustody.repository.layout import data_key_object

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dbcustody.adapters.envelope import DataKey
    from dbcustody.adapters.keyring import Keyring
    from dbcustody.contract import JobRequest, JobResult
    from dbcustody.jobs.custody import OpenStorage
    from dbcustody.jobs.tools import Tools
    from dbcustody.plan.key_use import ClosedAttempt, KeyStanding

Trouble = RefusedError | DamagedError
Spot = tuple[str, str, str]
"""Custody, backup and attempt."""


def run(request: JobRequest, tools: Tools) -> JobResult:
    """Return how the keys stand afterwards: KeysCurrent, or the first trouble with a wrapped key; the others are closed all the same.

    Raises the errors of storage and keyring, and InterruptedRunError: what was done until then stays done.
    """
    storage = open_storage(tools, request)
    keyring = _keyring_of(storage)
    before = survey(storage.store, tools)
    waiting = before.standing(keyring).waiting
    troubles = _close_all(storage, [one for one in before.closed if not one.key_ids.isdisjoint(keyring.keys)], tools)
    after = survey(storage.store, tools)
    # What was deleted meanwhile had no key to be closed any more, and needs none.
    left = [troubles[one.place] for one in after.closed if one.place in troubles]
    wrapped = sum(one.place not in troubles for one in waiting)
    facts = _facts(after.standing(keyring), wrapped=wrapped, failed=len(left))
    if left:
        return fail(Verb.RE_WRAP, left[0].reason, f"{len(left)} backups: {left[0].message}", re_wrap=facts)
    told = f"{facts.wrapped} backups were closed for {keyring.active_key_id} too"
    return give(Verb.RE_WRAP, Reason.KEYS_CURRENT, told, re_wrap=facts)


def _keyring_of(storage: OpenStorage) -> Keyring:
    if storage.keyring is None:
        raise InvalidSpecError("spec.encryption: is missing; without a keyring no key can be closed for another")
    return storage.keyring


def _facts(standing: KeyStanding, *, wrapped: int, failed: int) -> ReWrapFacts:
    return ReWrapFacts(
        wrapped=wrapped,
        failed=failed,
        unwrapped=len(standing.waiting),
        unopened=standing.unopened,
        keys=standing.keys,
    )


def _close_all(storage: OpenStorage, attempts: Sequence[ClosedAttempt], tools: Tools) -> Mapping[Spot, Trouble]:
    """Close each of *attempts* for the active key, or see that it is; returns by place what could not be, and why."""

    def close(one: ClosedAttempt) -> Trouble | None:
        try:
            _close(storage, one)
        except (RefusedError, DamagedError) as trouble:
            return trouble
        return None

    outcomes = side_by_side(close, attempts, tools)
    return {one.place: trouble for one, trouble in zip(attempts, outcomes, strict=True) if trouble is not None}


def _close(storage: OpenStorage, one: ClosedAttempt) -> None:
    """Add the copy for the active key where there is none, and open it again: what cannot be opened is no copy."""
    keyring = _keyring_of(storage)
    place = Place(
        storage_id=storage.storage_id, custody_id=one.custody_id, backup_id=one.backup_id, attempt=one.attempt
    )
    if keyring.active_key_id in one.key_ids:
        _open_copy(storage, place, keyring.active_key_id)
        return
    key = open_data_key(storage, place, sorted(one.key_ids))
    with suppress(ConflictError):  # somebody else was faster; whether theirs is good is seen below
        close_data_key(storage.store, place, key, keyring)
    if _open_copy(storage, place, keyring.active_key_id) != key:
        raise _no_copy(place, keyring.active_key_id)


def _open_copy(storage: OpenStorage, place: Place, key_id: str) -> DataKey:
    """Return what the copy for *key_id* holds; the storage key was opened with that key, so that a mismatch is the copy's fault."""
    try:
        return open_data_key(storage, place, (key_id,))
    except (RefusedError, DamagedError) as error:
        raise _no_copy(place, key_id) from error


def _no_copy(place: Place, key_id: str) -> DamagedError:
    return DamagedError(
        f"{place.backup_id}/{place.attempt}/{data_key_object(key_id)}: is not this backup's key, closed for {key_id}; "
        "find out who put it there and remove it, and it is made anew"
    )
