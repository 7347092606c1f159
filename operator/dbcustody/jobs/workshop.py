"""Where migrations are tried: throw-away databases on a server of the target's major, which is started here or named by somebody."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from dbcustody.adapters.ephemeral import PORT, find_programs, places, running
from dbcustody.adapters.postgres import PostgresTarget, connect
from dbcustody.adapters.postgres.scratch import (
    PLAIN,
    Traits,
    add_extensions,
    add_roles,
    read_traits,
    scratch_database,
)
from dbcustody.errors import RefusedError
from dbcustody.jobs.migration import MigrationOrder, migrate
from dbcustody.migration.extension import made_extensions, required_extensions
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dbcustody.adapters.ephemeral import Programs
    from dbcustody.migration.script import Script


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What a workshop is made of."""

    stop: threading.Event
    say: Callable[[str], None]
    programs: tuple[str, ...] = ()
    """Folders that may hold the programs of a server, looked into first."""
    dev_server: PostgresTarget | None = None
    """A server that somebody names; None: one is started."""
    is_production: bool = False
    """Whether what is compared is said to be that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """A server that is there for a moment; `new_database` may be called as often as one likes."""

    target: PostgresTarget
    traits: Traits
    say: Callable[[str], None]
    kept: ExitStack = field(repr=False)

    def new_database(self) -> PostgresTarget:
        """Return an empty database with the traits of the target; it is gone when the workshop is."""
        made, is_alike = self.kept.enter_context(scratch_database(self.target, self.traits))
        if not is_alike:
            self.say(
                f"the throw-away database has the locale C, because the server lacks {self.traits.collation}: order may differ"
            )
        return made


def traits_of(target: PostgresTarget | None, *, maintenance_database: str = "postgres") -> Traits:
    """Return what a stand-in for the database of *target* must have; of its server alone where there is no such database.

    None: any server will do. Raises as `connect` does.
    """
    if target is None:
        return PLAIN
    try:
        with connect(target) as session:
            return read_traits(session)
    except RefusedError as error:
        if error.reason is not Reason.DATABASE_MISSING:
            raise
    with connect(target.at(maintenance_database)) as session:
        return replace(read_traits(session), extensions=())


@contextmanager
def open_workshop(bench: Bench, traits: Traits, *, user: str = "postgres") -> Iterator[Workshop]:
    """Yield a workshop for a database of *traits*, whose superuser is called *user*; nothing of it is left afterwards.

    Raises RefusedError (TestServerUnavailable) when there is no server of that major to start, InterruptedRunError.
    """
    with ExitStack() as stack:
        if bench.dev_server is not None:
            target = bench.dev_server
            _require_fit(bench, target, traits)
        else:
            server = stack.enter_context(running(_choose(bench, traits), superuser=user, stop=bench.stop))
            target = PostgresTarget(
                host=str(server.folder), port=PORT, database="postgres", user=user, sslmode="disable"
            )
            with connect(target) as session:
                add_roles(session, traits.roles)
        yield Workshop(target=target, traits=traits, say=bench.say, kept=stack.enter_context(ExitStack()))


def replay(shop: Workshop, order: MigrationOrder, database: PostgresTarget, scripts: Sequence[Script]) -> None:
    """Run those of *scripts* that have not run yet in the throw-away *database*; raises with file and line when one does not run."""
    with connect(database) as session:
        made = made_extensions(order.scripts)
        wanted = (*shop.traits.extensions, *sorted(required_extensions(order.scripts)))
        add_extensions(session, [name for name in dict.fromkeys(wanted) if name not in made])
    again = replace(
        order,
        target=database,
        scripts=tuple(scripts),
        run=uuid.uuid4(),
        admitted=None,
        agreed_hash=None,
        allows_out_of_order=True,
        say=lambda _: None,
    )
    try:
        migrate(again)
    except RefusedError as error:
        if error.reason is not Reason.MIGRATION_FAILED:
            raise
        message = f"replayed from nothing in a throw-away database, the migrations do not run: {error.message}"
        raise RefusedError(message, reason=error.reason) from error


def _choose(bench: Bench, traits: Traits) -> Programs:
    """Return the programs of a server that fits *traits*: the first that is found, or of any major the newest."""
    found = find_programs(bench.programs)
    fitting = [one for one in found if one.major == traits.major] if traits.major else sorted(found, key=_age)
    if fitting:
        return fitting[0]
    wanted = f"PostgreSQL {traits.major}" if traits.major else "PostgreSQL"
    there = ", ".join(f"{one.major} in {one.folder}" for one in found) or "none"
    helps = f"install it, name its folder in DBCUSTODY_SERVERS, or name a server of that version in {_URL}"
    raise RefusedError(
        f"there is no {wanted} to start here (found: {there}; looked at: {', '.join(places(bench.programs))}); {helps}",
        reason=Reason.TEST_SERVER_UNAVAILABLE,
    )


_URL = "DBCUSTODY_DEV_DATABASE_URL"


def _age(programs: Programs) -> int:
    return -programs.major


def _require_fit(bench: Bench, target: PostgresTarget, traits: Traits) -> None:
    """Raise RefusedError unless the server that somebody named is of the right major, and not that of a Production database."""
    with connect(target) as session:
        named = read_traits(session)
    if traits.major is not None and named.major != traits.major:
        message = f"{_URL}: is PostgreSQL {named.major}, and the database is of {traits.major}; what differs would not be known"
        raise RefusedError(message, reason=Reason.TEST_SERVER_UNAVAILABLE)
    if bench.is_production and traits.server in {None, named.server}:
        message = f"{_URL}: is the server of a Production database, where no throw-away database is made; name another"
        raise RefusedError(message, reason=Reason.TEST_SERVER_UNAVAILABLE)
