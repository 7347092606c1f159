"""The fingerprints in the ledger, read and added; with the last one goes its catalogue, as long as that has a sensible size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dbcustody.adapters.postgres.failure import translated
from dbcustody.migration.catalogue import from_text, to_text
from dbcustody.migration.drift import Moment, Print, Taken
from dbcustody.migration.fingerprint import FORMAT, fingerprint_of_text
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from dbcustody.adapters.postgres.session import Session
    from dbcustody.migration.catalogue import Catalogue

MOST_CHARACTERS: Final = 32 * 1024 * 1024
"""A catalogue that is longer is not kept: about 200 000 columns. Drift is seen nevertheless, and only not told object by object."""
_THERE: Final = "select to_regclass('dbcustody.fingerprint') is not null"
_PRINTS: Final = """
select f.digest, f.format, f.excluded, f.server_major, f.moment, f.attempt, false from dbcustody.fingerprint f order by f.id
"""
_LAST: Final = """
select f.digest, f.format, f.excluded, f.server_major, f.moment, f.attempt, exists (
    select from dbcustody.attempt a left join lateral (
        select o.state from dbcustody.outcome o where o.attempt = a.id order by o.id desc limit 1) o on true
    where a.id > coalesce(f.attempt, 0) and coalesce(o.state, 'Started') not in ('Failed', 'Partial'))
from dbcustody.fingerprint f order by f.id desc limit 1
"""
"""With whether anything came in, or may have, since it was taken; of what is in in part it is told what it changed since."""
_KEPT: Final = "select content from dbcustody.catalogue where digest = %s"
_ADD: Final = """
insert into dbcustody.fingerprint (attempt, moment, format, digest, excluded, server_major, reason, actor)
values ((select max(id) from dbcustody.attempt), %s, %s, %s, %s, %s, %s, %s)
"""
_KEEP: Final = """
insert into dbcustody.catalogue (digest, content) values (%s, %s)
on conflict (is_only) do update set digest = excluded.digest, content = excluded.content where catalogue.digest <> excluded.digest
"""
_DOING: Final = "read the fingerprints in the ledger"


def read_prints(session: Session) -> tuple[Print, ...]:
    """Return every fingerprint in the ledger, oldest first; none where there is no ledger, or one from before there were any."""
    with translated(_DOING, otherwise=Reason.MIGRATION_FAILED):
        if session.execute(_THERE).fetchone() != (True,):
            return ()
        return tuple(_print(row) for row in session.execute(_PRINTS).fetchall())


def read_last(session: Session) -> Print | None:
    """Return the last fingerprint; None: there is none."""
    with translated(_DOING, otherwise=Reason.MIGRATION_FAILED):
        if session.execute(_THERE).fetchone() != (True,):
            return None
        rows = session.execute(_LAST).fetchall()
    return _print(rows[0]) if rows else None


def read_kept(session: Session, last: Print) -> Catalogue | None:
    """Return the catalogue that *last* is of; None: it was not kept, or what was kept is not that one."""
    with translated(_DOING, otherwise=Reason.MIGRATION_FAILED):
        rows = session.execute(_KEPT, (last.fingerprint,)).fetchall()
    content = rows[0][0] if rows else None
    if content is None or last.format != FORMAT or fingerprint_of_text(content) != last.fingerprint:
        return None
    return from_text(content)


def add_print(session: Session, taken: Taken | None, *, moment: Moment, actor: str, reason: str | None = None) -> None:
    """Write down what was *taken* (None: it was not to be had, so that nothing is known from here on); in a transaction, with that.

    Raises what psycopg raises, as `ledger.add_outcome` does.
    """
    if taken is None:
        major = session.info.server_version // 10_000
        session.execute(_ADD.encode(), (moment.value, FORMAT, None, [], major, reason, actor))
        return
    values = (moment.value, FORMAT, taken.fingerprint, list(taken.exclude), taken.server_major, reason, actor)
    session.execute(_ADD.encode(), values)
    text = to_text(taken.catalogue)
    session.execute(_KEEP.encode(), (taken.fingerprint, text if len(text) <= MOST_CHARACTERS else None))


def _print(row: tuple[str | None, int, list[str], int, str, int | None, bool]) -> Print:
    digest, number, excluded, major, moment, attempt, is_old = row
    return Print(
        fingerprint=digest,
        format=number,
        exclude=tuple(excluded),
        server_major=major,
        moment=Moment(moment),
        attempt=attempt,
        is_outdated=is_old,
    )
