"""`dbcustody hold` and `dbcustody release`: a hold by hand, also on a backup whose cluster is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dbcustody.cli.ending import Exit, interruptible
from dbcustody.cli.environment import read_standalone
from dbcustody.cli.standalone import set_up
from dbcustody.contract import Verb
from dbcustody.errors import RefusedError
from dbcustody.jobs import hold as holding
from dbcustody.jobs.commitment import read_claim
from dbcustody.jobs.custody import open_storage, read_custody, read_marker
from dbcustody.reason import Reason

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from dbcustody.adapters.objectstore import ObjectStore
    from dbcustody.cli.standalone import Bench
    from dbcustody.repository.inventory import ReadBackup


def hold(environ: Mapping[str, str], *, name: str) -> int:
    """Place a hold by hand beside the backup *name*, if none stands there, and tell which do; returns the exit code."""
    return _change(environ, name, lambda bench, spot: holding.place(spot, bench.tools, holding.BY_HAND))


def release(environ: Mapping[str, str], *, name: str, of_all: bool) -> int:
    """Release the holds by hand beside the backup *name* (*of_all*: every one) and tell which still stand; returns the exit code."""
    becauses = None if of_all else (holding.BY_HAND,)
    return _change(environ, name, lambda bench, spot: holding.release(spot, bench.tools, becauses))


def _change(environ: Mapping[str, str], name: str, change: Callable[[Bench, holding.Spot], ReadBackup | None]) -> int:
    settings = read_standalone(environ, needs_database=False)

    def work(stop: threading.Event) -> int:
        with set_up(settings, environ, stop=stop) as bench:
            spot = _find(bench, name)
            backup = change(bench, spot)
            if backup is None:
                raise _missing(spot.storage.store, bench, name)
        standing = ", ".join(f"hold {one.number} ({one.because})" for one in backup.open_holds)
        click.echo(f"backup {name}: beside it stands {standing or 'no hold'}")
        return Exit.DONE

    return interruptible(work)


def _find(bench: Bench, name: str) -> holding.Spot:
    """Return where the backup *name* lies; raises RefusedError when the storage knows none of that name, and mints nothing there."""
    store = bench.tools.store()
    if read_marker(store) is None or read_custody(store, bench.custody_id) is None:
        raise _missing(store, bench, name)
    storage = open_storage(bench.tools, bench.request(Verb.HOLD), store=store)
    backup_id = read_claim(store, bench.custody_id, name)
    if backup_id is None:
        raise _missing(store, bench, name)
    return holding.Spot(storage, bench.custody_id, backup_id)


def _missing(store: ObjectStore, bench: Bench, name: str) -> RefusedError:
    return RefusedError(
        f"{store.location}: holds no backup {name} of {bench.custody_id}; `dbcustody backups list` shows what there is",
        reason=Reason.NOTHING_TO_HOLD,
    )
