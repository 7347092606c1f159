"""`dbcustody migrate diff`: what makes one schema like another, for people or as SQL; nothing is written but a file that is asked for."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from dbcustody.api.database import Environment
from dbcustody.cli.answer import answer, answering
from dbcustody.cli.ending import Exit, complain, interruptible
from dbcustody.cli.environment import read_laptop, read_migrating, recognise_url
from dbcustody.cli.folder import read_folder
from dbcustody.cli.laptop import write_new
from dbcustody.cli.models import load_models
from dbcustody.errors import InvalidSpecError
from dbcustody.jobs.divergence import Kind, Side, compare_sides
from dbcustody.jobs.migration import MigrationOrder
from dbcustody.jobs.tools import make_target
from dbcustody.jobs.workshop import Bench
from dbcustody.migration.draft import UNSEEN, brief, losses, write_script

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping

    from dbcustody.adapters.postgres import PostgresTarget
    from dbcustody.adapters.postgres.modelling import Steps
    from dbcustody.migration.script import Script

_HELP: Final = "must be empty, migrations, env:NAME, models:package.module:Base.metadata, or a URL without a password"
_APPLICATION: Final = "dbcustody migrate diff"
_LEFT: Final = "the next run removes what it left"
_NAMES_A_DATABASE: Final = ("DATABASE_URL", "PGDATABASE")


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffWish:
    """What `diff` is told."""

    first: str
    second: str
    folder: Path
    dev_url: str | None
    as_script: bool
    as_json: bool
    output: Path | None
    shows_by_exit_code: bool


def diff(environ: Mapping[str, str], wish: DiffWish) -> int:
    """Show what makes the first like the second; returns the exit code, 2 for a difference where that is asked for."""
    return answering(lambda: _compare(environ, wish), as_json=wish.as_json)


def _compare(environ: Mapping[str, str], wish: DiffWish) -> int:
    if wish.output is not None and wish.output.exists():
        raise InvalidSpecError(f"--output: {wish.output} is there already, and nothing is overwritten")
    first, second = (
        _read_side(environ, wish, option, words) for option, words in (("--from", wish.first), ("--to", wish.second))
    )

    def work(stop: threading.Event) -> int:
        bench = make_bench(environ, wish.dev_url, stop)
        steps = compare_sides(bench, first, second, target=target_of(environ))
        _show(steps, wish)
        return Exit.PENDING if steps.forth and wish.shows_by_exit_code else Exit.DONE

    return interruptible(work, left=_LEFT)


def make_bench(environ: Mapping[str, str], dev_url: str | None, stop: threading.Event) -> Bench:
    """Return where throw-away databases are to be made; *dev_url* None: what the environment says."""
    laptop = read_laptop(environ)
    if dev_url is not None:
        refuse_password("--dev-url", dev_url, helps="put the URL into DBCUSTODY_DEV_DATABASE_URL")
    found = laptop.dev_database if dev_url is None else recognise_url("--dev-url", dev_url)
    return Bench(
        stop=stop,
        say=lambda words: complain(words, kind="note"),
        programs=laptop.programs,
        dev_server=None if found is None else make_target(found, application=_APPLICATION),
        is_production=laptop.environment is Environment.PRODUCTION,
    )


def target_of(environ: Mapping[str, str]) -> PostgresTarget | None:
    """Return the database of the environment; None where it names none."""
    if not any(environ.get(name, "").strip() for name in _NAMES_A_DATABASE):
        return None
    return make_target(read_migrating(environ).database, application=_APPLICATION)


def _read_side(environ: Mapping[str, str], wish: DiffWish, option: str, words: str) -> Side:
    """Return what *words* name; raises InvalidSpecError that names *option*, and as `read_folder` does."""
    kind, _, rest = words.partition(":")
    if words == "empty":
        return Side(kind=Kind.EMPTY)
    if words == "migrations":
        scripts = read_folder(wish.folder).scripts
        return Side(kind=Kind.MIGRATIONS, order=lambda target: _order(target, scripts))
    if kind == "models" and rest:
        return Side(kind=Kind.MODELS, model=load_models(rest))
    if kind == "env" and rest:
        return _database(option, f"{option} {words}", environ.get(rest, "").strip(), helps=f"set the variable {rest}")
    if "://" in words:
        refuse_password(option, words, helps=f"put the URL into a variable, and say {option} env:NAME")
        return _database(option, option, words, helps=_HELP)
    raise InvalidSpecError(f"{option}: {_HELP}")


def refuse_password(option: str, url: str, *, helps: str) -> None:
    """Raise InvalidSpecError when there is a password in *url*: `ps` shows the words of a command to everybody, shells keep them."""
    if re.search(r"://[^/@]*:[^/@]*@|[?&]password=", url):
        raise InvalidSpecError(
            f"{option}: a password in the words of a command can be read by everybody on the machine; {helps}"
        )


def _database(option: str, name: str, url: str, *, helps: str) -> Side:
    if not url:
        raise InvalidSpecError(f"{option}: {helps}")
    return Side(kind=Kind.DATABASE, target=make_target(recognise_url(name, url), application=_APPLICATION))


def _order(target: PostgresTarget, scripts: tuple[Script, ...]) -> MigrationOrder:
    return MigrationOrder(
        target=target,
        custody_id="dev",
        maintenance_database="postgres",
        scripts=scripts,
        run=uuid.uuid4(),
        actor="diff",
        tool="dbcustody",
    )


def _show(steps: Steps, wish: DiffWish) -> None:
    lost = losses(steps.forth)
    if wish.as_json:
        text = (
            json.dumps({"statements": list(steps.forth), "losses": list(lost), "notCompared": UNSEEN}, indent=2) + "\n"
        )
    elif wish.as_script:
        text = write_script(steps.forth, title=f"from {wish.first} to {wish.second}") if steps.forth else ""
    else:
        text = "".join(f"{line}\n" for line in _summary(steps, lost))
    for one in lost:
        complain(f"loses data: {one}", kind="warning")
    if wish.as_script and not wish.as_json:
        complain(UNSEEN, kind="note")
    if wish.output is None:
        click.echo(text, nl=False)
        return
    write_new(wish.output, text)
    answer({"files": [str(wish.output)]}, str(wish.output), as_json=wish.as_json)


def _summary(steps: Steps, lost: tuple[str, ...]) -> list[str]:
    if not steps.forth:
        return ["no difference", UNSEEN]
    lines = [f"{'! ' if told in lost else '  '}{told}" for told in map(brief, steps.forth)]
    return [f"{len(lines)} statements make the first like the second; `!` marks what loses data", *lines, UNSEEN]
