"""`dbcustody migrate adopt`: what another tool has carried out, verified and taken over, with a report of each migration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dbcustody.cli.adopting_alembic import adopt_from_alembic
from dbcustody.cli.answer import answer, answering
from dbcustody.cli.ending import Exit, complain, exit_of, interruptible, told
from dbcustody.cli.figures import table_text, time_text
from dbcustody.cli.folder import read_folder
from dbcustody.cli.migrating import Wish, differences_as_json, order_of
from dbcustody.errors import RefusedError
from dbcustody.jobs.adoption import AdoptionOrder, require_consistent, survey
from dbcustody.jobs.adoption import adopt as take_over
from dbcustody.reason import Reason

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Mapping

    from dbcustody.migration.adoption import Adoption
    from dbcustody.migration.tree import Tree

_LEFT: Final = "nothing was taken over"


def adopt(environ: Mapping[str, str], wish: Wish, *, table: str | None, is_trial: bool, as_json: bool) -> int:
    """Take over what another tool has carried out, or only say what would be (*is_trial*); returns the exit code."""

    def work(stop: threading.Event) -> int:
        read = _read(wish)
        if read.is_alembic:
            migration = order_of(environ, wish, stop=stop, read=read)
            return adopt_from_alembic(migration, f"--dir {wish.folder}", is_trial=is_trial, as_json=as_json)
        order = _order(environ, wish, table, stop=stop, read=read)
        found = survey(order)
        if not found.differences and found.new and not is_trial:
            found = take_over(order)
        _show(found, wish, is_trial=is_trial, as_json=as_json)
        return _end(found)

    return answering(lambda: interruptible(work, left=_LEFT), as_json=as_json)


def _end(found: Adoption) -> Exit:
    """Return the exit code of what was shown already; what stands against it is told to people here, for programs have it."""
    try:
        require_consistent(found)
    except RefusedError as error:
        complain(told(error.reason, error.message))
        return exit_of(error.reason)
    return Exit.DONE


def _read(wish: Wish) -> Tree:
    """Return the folder; raises RefusedError (SourceInvalid) where it is no other tool's."""
    read = read_folder(wish.folder, wish.form)
    if read.layout is None and not read.is_alembic:
        message = f"{wish.folder}: is laid out as no tool does whose history is known; say --dir with its folder, or --from with its name"
        raise RefusedError(message, reason=Reason.SOURCE_INVALID)
    return read


def _order(
    environ: Mapping[str, str], wish: Wish, table: str | None, *, stop: threading.Event, read: Tree
) -> AdoptionOrder:
    assert read.layout is not None  # noqa: S101 - `_read` lets no other pass but Alembic's
    return AdoptionOrder(
        migration=order_of(environ, wish, stop=stop, read=read),
        layout=read.layout,
        table=table,
    )


def _show(found: Adoption, wish: Wish, *, is_trial: bool, as_json: bool) -> None:
    for words in found.asides:
        complain(words, kind="note")
    answer(_as_json(found, is_trial=is_trial), *_as_text(found, wish, is_trial=is_trial), as_json=as_json)


def _as_text(found: Adoption, wish: Wish, *, is_trial: bool) -> Iterator[str]:
    rows = [
        (entry.script.name, entry.proof.value, time_text(entry.finished), "adopted before" if entry.is_known else "")
        for entry in found.entries
    ]
    if rows:
        yield table_text(("MIGRATION", "CHECKSUM", "APPLIED AT", ""), rows)
    yield from (f"{one.kind.value}: {one}" for one in found.differences)
    number, known = len(found.new), len(found.entries) - len(found.new)
    before = f", {known} adopted before" if known else ""
    if found.differences:
        yield f"{found.predecessor}: nothing was taken over"
        return
    verb = "would be adopted" if is_trial else "adopted"
    yield f"{found.predecessor}: {number} {verb}{before}, {len(found.pending)} pending"
    yield from (f"  {name}: pending" for name in found.pending)
    where = f"--dir {wish.folder}"
    if is_trial and number:
        yield f"next: dbcustody migrate adopt {where}"
    else:
        yield f"next: dbcustody migrate {'plan' if found.pending else 'status'} {where}"


def _as_json(found: Adoption, *, is_trial: bool) -> dict[str, Any]:
    return {
        "tool": found.predecessor.tool.value,
        "table": found.predecessor.table,
        "dryRun": is_trial,
        "migrations": [
            {
                "migration": entry.script.name,
                "checksum": entry.proof.value,
                "kept": entry.checksum,
                "appliedAt": None if entry.finished is None else time_text(entry.finished),
                "adoptedBefore": entry.is_known,
            }
            for entry in found.entries
        ],
        "adopted": 0 if is_trial or found.differences else len(found.new),
        "pending": list(found.pending),
        "differences": differences_as_json(found.differences),
    }
