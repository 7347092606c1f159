"""`dbcustody migrate reset`: the database of a developer from nothing to the newest migration, with its seeds; everything in it is lost."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click

from dbcustody.cli.answer import answering
from dbcustody.cli.ending import Exit, interruptible
from dbcustody.cli.environment import read_laptop
from dbcustody.cli.figures import count_text, size_text
from dbcustody.cli.laptop import agree, refuse_production
from dbcustody.cli.migrating import order_of
from dbcustody.cli.seeding import SeedWish, read_files, run_command, tell_order
from dbcustody.jobs.migration import migrate
from dbcustody.jobs.renewal import Survey, make_database, renew, survey
from dbcustody.jobs.seeding import Seeded, sow

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Mapping

    from dbcustody.cli.environment import Laptop
    from dbcustody.cli.migrating import Wish
    from dbcustody.jobs.migration import MigrationOrder
    from dbcustody.migration.body import Body

_LEFT: Final = "say `dbcustody migrate reset` again"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetWish:
    """What `reset` is told beside the folder."""

    seed: SeedWish | None
    """None: no seeds."""
    is_agreed: bool
    disconnects: bool
    as_json: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewed:
    """What a reset came to."""

    found: Survey | None
    applied: tuple[str, ...]
    seeded: Seeded
    code: int


def reset(environ: Mapping[str, str], wish: Wish, choice: ResetWish) -> int:
    """Take away everything in the database, run all migrations, and then the seeds.

    Returns the exit code, which is the seed command's where that failed.
    """
    return answering(lambda: _reset(environ, wish, choice), as_json=choice.as_json)


def _reset(environ: Mapping[str, str], wish: Wish, choice: ResetWish) -> int:
    laptop = read_laptop(environ)
    refuse_production(laptop, "migrate reset")
    seeds = read_files(choice.seed) if choice.seed is not None else ()

    def work(stop: threading.Event) -> int:
        order = order_of(environ, wish, stop=stop)
        found = survey(order)
        refuse_production(laptop, "migrate reset", operator=None if found is None else found.operator)
        ask(order, found, is_agreed=choice.is_agreed)
        done = begin_anew(order, found, seeds, disconnects=choice.disconnects)
        code = run_command(environ, laptop.seed_command, (), stop) if choice.seed is not None else Exit.DONE
        _tell(order, Renewed(found=found, applied=done[0], seeded=done[1], code=code), laptop, as_json=choice.as_json)
        return code

    return interruptible(work, left=_LEFT)


def ask(order: MigrationOrder, found: Survey | None, *, is_agreed: bool) -> None:
    """Show what would be lost, and ask a person unless that is agreed to or there is no database; raises as `laptop.agree`."""
    if found is None:
        click.echo(f"{tell_order(order)}: is not there, and is made", err=True)
        return
    click.echo("\n".join(_losses(order, found)), err=True)
    if not is_agreed:
        agree("all of it will be lost; go on", lost=f"this drops everything in {tell_order(order)}")


def begin_anew(
    order: MigrationOrder, found: Survey | None, seeds: tuple[Body, ...], *, disconnects: bool
) -> tuple[tuple[str, ...], Seeded]:
    """Return which migrations and seeds ran in a database that was emptied, or made, before."""
    if found is None:
        make_database(order)
    else:
        renew(order, found, disconnects=disconnects)
    applied = migrate(order).applied
    return applied, sow(order, seeds, again=False) if seeds else Seeded(ran=(), before=())


def _losses(order: MigrationOrder, found: Survey) -> Iterator[str]:
    contents = found.contents
    how = "is dropped and made again" if found.is_whole else "stays, and everything in it that the role owns is dropped"
    yield f"{tell_order(order)}: {how}"
    yield f"  {contents.tables} tables, about {count_text(contents.rows)} rows, {size_text(contents.size_bytes)}"
    yield "  the ledger of migrations and seeds, which is made anew"
    for one in found.kept:
        yield f"  extension {one.name} {one.version}: is there afterwards, too"
    for inhabitant in contents.inhabitants:
        yield f"  in it now: {inhabitant}"


def _tell(order: MigrationOrder, done: Renewed, laptop: Laptop, *, as_json: bool) -> None:
    if as_json:
        how = "Made" if done.found is None else "Database" if done.found.is_whole else "Contents"
        told = {
            "database": order.target.database,
            "server": order.target.endpoint,
            "reset": how,
            "applied": list(done.applied),
            "seeded": list(done.seeded.ran),
            "command": None if laptop.seed_command is None else done.code,
        }
        click.echo(json.dumps(told))
        return
    for name in done.applied:
        click.echo(name)
    click.echo(
        f"{order.target.database}: is reset; {len(done.applied)} migrations and {len(done.seeded.ran)} seeds ran"
    )
