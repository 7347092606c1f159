"""`dbcustody migrate dev`: the database follows the files, and a new file is written where the models are ahead of them."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from dbcustody.cli.answer import answering
from dbcustody.cli.comparing import make_bench
from dbcustody.cli.ending import Exit, asking, complain, interruptible
from dbcustody.cli.environment import read_laptop
from dbcustody.cli.folder import read_folder
from dbcustody.cli.laptop import agree, refuse_production, write_new
from dbcustody.cli.migrating import Wish, next_stem, order_of
from dbcustody.cli.models import load_models
from dbcustody.cli.seeding import tell_order
from dbcustody.errors import InvalidSpecError, RefusedError
from dbcustody.jobs.development import diagnose, draft_steps, rest_after
from dbcustody.jobs.migration import MigrationOrder, migrate
from dbcustody.jobs.rehearsal import impossible_step
from dbcustody.jobs.renewal import make_database, survey
from dbcustody.jobs.workshop import open_workshop, replay, traits_of
from dbcustody.migration.body import read_body
from dbcustody.migration.draft import UNSEEN, losses, write_script
from dbcustody.reason import Reason

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping

    from dbcustody.adapters.postgres import PostgresTarget
    from dbcustody.adapters.postgres.modelling import Steps
    from dbcustody.jobs.development import Diagnosis
    from dbcustody.jobs.workshop import Workshop

_LEFT: Final = "the next run removes what it left"
_RESET: Final = "`dbcustody migrate reset` begins anew; all data in this database will be lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class DevWish:
    """What `dev` is told beside the folder."""

    name: str | None
    models: str | None
    dev_url: str | None
    creates_only: bool
    is_agreed: bool
    as_json: bool


@dataclass(slots=True, kw_only=True)
class Work:
    """What is worked with, and what was done so far: a run that stops tells that, too."""

    order: MigrationOrder
    wish: Wish
    choice: DevWish
    model: Any
    applied: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    losses: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    drift: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def dev(environ: Mapping[str, str], wish: Wish, choice: DevWish) -> int:
    """Apply what is pending, and write and apply what the models are ahead of the files; returns the exit code.

    130: the database would have to begin anew, or somebody said no. 6: it is not what its history says, and nothing else is wrong.
    """
    return answering(lambda: _develop(environ, wish, choice), as_json=choice.as_json)


def _develop(environ: Mapping[str, str], wish: Wish, choice: DevWish) -> int:
    laptop = read_laptop(environ)
    refuse_production(laptop, "migrate dev")
    model = None if choice.models is None else load_models(choice.models)
    wish.folder.mkdir(parents=True, exist_ok=True)

    def run(stop: threading.Event) -> int:
        work = Work(order=order_of(environ, wish, stop=stop), wish=wish, choice=choice, model=model)
        found = survey(work.order)
        refuse_production(laptop, "migrate dev", operator=None if found is None else found.operator)
        click.echo(f"{tell_order(work.order)}{'' if found is not None else ': is not there'}", err=True)
        if found is None and not choice.creates_only:
            make_database(work.order)
            click.echo(f"{work.order.target.database}: is made", err=True)
        bench = make_bench(environ, choice.dev_url, stop)
        with open_workshop(bench, traits_of(work.order.target), user=work.order.target.user) as shop:
            code = (_create if choice.creates_only else _follow)(work, shop)
        if choice.as_json:
            click.echo(json.dumps(_as_json(work)))
        return code

    return interruptible(run, left=_LEFT)


def _create(work: Work, shop: Workshop) -> int:
    """Write a file and apply nothing at all, neither that nor another one."""
    stage = shop.new_database()
    replay(shop, work.order, stage, work.order.scripts)
    steps = None if work.model is None else draft_steps(stage, work.model)
    name = _name(work)
    _warn(work, steps)
    _write(work, steps, name)
    _say(work, "nothing was applied; edit it, and say `dbcustody migrate dev`")
    return Exit.DONE


def _follow(work: Work, shop: Workshop) -> int:
    """Apply what is pending, then what the models are ahead."""
    stage = shop.new_database()
    found = diagnose(shop, work.order, stage)
    if found.reasons or found.drift:
        return _tell_reasons(work, found)
    _apply(work, before=found.history.applied)
    if work.model is None:
        _say(
            work, f"{len(work.order.scripts)} migrations run from nothing; no models were named, so nothing was written"
        )
        return Exit.DONE
    steps = draft_steps(stage, work.model)
    if not steps.forth:
        _say(work, "already in sync: the files make what the models say")
        return Exit.DONE
    _extend(work, stage, steps)
    return Exit.DONE


def _extend(work: Work, stage: PostgresTarget, steps: Steps) -> None:
    """Write what is missing as a file, and apply it; raises RefusedError (MigrationFailed) before that when it cannot be."""
    _require_faultless(steps)
    if (why := impossible_step(work.order, steps.forth)) is not None:
        message = f"cannot be done with the rows that are there: {why}; nothing was written. Use --create-only, and write what helps"
        raise RefusedError(message, reason=Reason.MIGRATION_FAILED)
    _warn(work, steps)
    if work.losses and not work.choice.is_agreed:
        agree("write and apply it all the same", lost=f"{len(work.losses)} statements lose data")
    _write(work, steps, _name(work))
    before = [script.name for script in work.order.scripts]
    work.order = replace(work.order, scripts=read_folder(work.wish.folder, work.wish.form).scripts, admitted=None)
    _apply(work, before=before)
    work.notes = rest_after(stage, steps, work.model)
    for one in work.notes:
        complain(f"the models still differ: {one}", kind="note")
    complain(UNSEEN, kind="note")
    _say(work, "in sync: the database has what the files and the models say")


def _apply(work: Work, *, before: Any) -> None:
    done = [name for name in migrate(work.order).applied if name not in before]
    work.applied += done
    for name in done:
        _say(work, f"{name}: applied")


def _tell_reasons(work: Work, found: Diagnosis) -> int:
    """Tell everything together for which the database has to begin anew; returns the exit code."""
    work.reasons, work.drift = found.reasons, found.drift
    click.echo("the database and the files have parted:", err=True)
    for one in found.reasons:
        click.echo(f"  - {one}", err=True)
    for one in found.drift:
        click.echo(f"  - drift: it would be what its history says after: {one}", err=True)
    click.echo(f"nothing was applied. {_RESET}", err=True)
    return Exit.CANCELLED if found.reasons else Exit.DRIFT


def _warn(work: Work, steps: Steps | None) -> None:
    work.losses = () if steps is None else losses(steps.forth)
    for one in work.losses:
        complain(f"loses data: {one}", kind="warning")


def _name(work: Work) -> str:
    """Return what the new file is called after; a person is asked. Raises InvalidSpecError where none is there."""
    if work.choice.name is not None:
        return work.choice.name
    if not sys.stdin.isatty():
        raise InvalidSpecError("--name: is missing, and nobody can be asked; nothing was written")
    with asking():
        return str(click.prompt("name of the new migration", err=True))


def _write(work: Work, steps: Steps | None, name: str) -> None:
    """Write the file, and that of the way back where the way forth loses nothing."""
    folder = work.wish.folder
    stem = next_stem(folder, name, datetime.now(UTC))
    forth = write_script(() if steps is None else steps.forth, title=name)
    texts = {folder / f"{stem}.sql": forth}
    if steps is not None and steps.back and not work.losses:
        texts[folder / f"{stem}.down.sql"] = write_script(steps.back, title=f"the way back from {name}")
    for path in reversed(texts):
        write_new(path, texts[path])
        work.written.append(str(path))
        _say(work, str(path))


def _require_faultless(steps: Steps) -> None:
    """Raise RefusedError (SourceInvalid) when what would be written breaks a rule of the files: the models ask for something special."""
    text = write_script(steps.forth, title="new")
    if faults := read_body("the new migration", text.encode(), is_down=False).faults:
        told = "; ".join(map(str, faults))
        raise RefusedError(f"{told}; nothing was written. Use --create-only, and part it", reason=Reason.SOURCE_INVALID)


def _say(work: Work, words: str) -> None:
    click.echo(words, err=work.choice.as_json)


def _as_json(work: Work) -> dict[str, Any]:
    return {
        "database": work.order.target.database,
        "applied": work.applied,
        "written": work.written,
        "losses": list(work.losses),
        "reset": list(work.reasons),
        "drift": list(work.drift),
        "stillDifferent": list(work.notes),
    }
