"""A backup into a new database: planned, made shut, filled, checked, and handed over in one transaction; or nothing is left of it.

Nobody but the restoring role and superusers can enter before the last step. What fails or is told to stop takes the database, and the roles
that were made for it, away again; only a process that is killed leaves them, shut, with a comment that says what they are.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from dbcustody.adapters.postgres import PostgresTarget, connect, session_options
from dbcustody.adapters.postgres.cancellation import cancelled_by
from dbcustody.adapters.postgres.crowd import loading_tables
from dbcustody.adapters.postgres.landing import drop_database, read_landing
from dbcustody.adapters.postgres.loading import Loading
from dbcustody.adapters.postgres.session import Session
from dbcustody.adapters.postgres.settling import advance_sequences, analyse, let_create, prepare_part
from dbcustody.api.restore import Assertion, RestoreProgress, RestoreStage
from dbcustody.errors import RefusedError
from dbcustody.jobs.acceptance import Accepted, accept, ask_all, read_sequence_positions
from dbcustody.jobs.definitions import Definitions, States, altered, definitions, take_all, take_head
from dbcustody.jobs.newdatabase import complete, find_begun, new_database
from dbcustody.jobs.source import Archive, Source, choose_loader, coming_rows, refuse_pending_erasures
from dbcustody.jobs.stream import Tally
from dbcustody.jobs.tools import check_stop
from dbcustody.plan.lending import owners_rights
from dbcustody.plan.position import find_advances
from dbcustody.plan.replacement import Replacement, with_replacement
from dbcustody.plan.restoration import Landing, RestorePlan, Wish, plan_restoration, state
from dbcustody.reason import Reason
from dbcustody.repository.contents import rewritten
from dbcustody.repository.layout import WHOLE_OBJECT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbcustody.adapters.postgres import Client
    from dbcustody.api.restore import StatedPlan
    from dbcustody.jobs.tools import Tools
    from dbcustody.plan.part import Part
    from dbcustody.repository.contents import Contents

_LOOK_SECONDS: Final = 0.2
_TELL_SECONDS: Final = 1.0
_OWNS_PUBLIC_SINCE: Final = 15
"""Of PostgreSQL: from then on the schema public belongs to the owner of the database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreOrder:
    """What a restore is to do, and who hears of it."""

    source: Source
    server: PostgresTarget
    """Where databases are made: the server's maintenance database, as the role that restores."""
    wish: Wish
    parallelism: int = 1
    report: Callable[[RestoreProgress], None] = lambda _: None
    assertions: tuple[Assertion, ...] = ()
    """What the database must answer besides, as its owner sees it, before it is handed over."""
    mark: str | None = None
    """For whom, as the database is to remember it; None: for nobody who could ask again."""
    agreed_hash: str | None = None
    """Of the plan that was told, and is the only one that may be carried out; None: whatever the plan is."""
    replacement: Replacement | None = None
    """Whose place it takes once it is complete, and is left shut for; None: it is handed over."""
    is_throw_away: bool = False
    """Whether the database is only to be compared, and dropped then: nobody is let in, so that nobody's erasure stands in the way."""
    replay: Callable[[Session], None] = lambda _: None
    """Called when everything is in and nobody else may enter yet; what it raises ends the restore."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What came of a restore."""

    database: str
    accepted: Accepted
    remarks: tuple[str, ...] = ()
    skipped_objects: tuple[str, ...] = ()
    unknown_settings: tuple[str, ...] = ()
    """Settings of the archives that the server does not know, by name; nothing else was left out."""
    seconds: float = 0.0
    """From the first byte that was read to the end of the last check."""


def make_plan(order: RestoreOrder, landing: Landing) -> RestorePlan:
    """Return the plan for *order* on the server *landing*, with what stands in its way."""
    catalogue, replacement = order.source.catalogue, order.replacement
    if replacement is not None:
        catalogue = replace(catalogue, database=replace(catalogue.database, owner=replacement.live.owner))
    contents = _read_contents(order, landing)
    major = order.source.manifest.server.major_version
    plan = plan_restoration(catalogue, major, landing, order.wish, contents=contents)
    return plan if replacement is None else replace(plan, obstacles=(*plan.obstacles, *replacement.obstacles))


def _read_contents(order: RestoreOrder, landing: Landing) -> Contents | None:
    """Return the table of contents where it is needed, or says what the role may not make; None: it is not looked at."""
    if order.wish.needs_contents:
        return order.source.read_contents()
    if landing.is_superuser:
        return None
    try:
        return order.source.read_contents()
    except RefusedError:  # of a pg_dump newer than we know: pg_restore will complain of what cannot be made
        return None


def told_plan(order: RestoreOrder, plan: RestorePlan) -> StatedPlan:
    """Return *plan* for *order* as it is told."""
    stated = state(plan, order.source.manifest_sha256, order.wish.database)
    return stated if order.replacement is None else with_replacement(stated, order.replacement)


def find_left(session: Session, order: RestoreOrder) -> int | None:
    """Return the OID of what an earlier run of the same order left half-done under the wanted name, or None."""
    return find_begun(session, order.wish.database, order.mark)


def without(landing: Landing, left: int | None, order: RestoreOrder) -> Landing:
    """Return *landing* as it is once what is *left* half-done (None: nothing) is dropped."""
    return landing if left is None else replace(landing, databases=landing.databases - {order.wish.database})


def restore(order: RestoreOrder, tools: Tools) -> Restored:
    """Return what was restored and found equal to the backup.

    Raises RefusedError with the plan's obstacles before anything is made; ErasuresPending; RestoreFailed, ChecksFailed; the errors of
    connection, storage and keys; DamagedError when the backup is not what was written; InterruptedRunError when told to stop.
    """
    return _Restoration(order, tools).run()


class _Restoration:
    def __init__(self, order: RestoreOrder, tools: Tools) -> None:
        self._order, self._tools, self._source = order, tools, order.source
        self._database = order.server.at(order.wish.database)
        self._ended = threading.Event()
        self._unknown: list[str] = []
        self._tally, self._started, self._seconds = Tally(), time.monotonic(), 0.0

    def run(self) -> Restored:
        self._tell(RestoreStage.PLANNING, "Planning")
        self._refuse_pending_erasures()
        with connect(self._order.server) as session, definitions() as head:
            self._database = replace(self._database, options=session_options(session))
            landing = Landing(**read_landing(session))
            left = find_left(session, self._order)
            plan = make_plan(self._order, without(landing, left, self._order))
            self._require_agreement(plan, is_first=left is None)
            client = choose_loader(self._tools, self._source.manifest, landing.major_version)
            self._started = time.monotonic()
            self._fetch(head, client)
            if left is not None:
                drop_database(session, left)
            with new_database(self._order, session, plan):
                if self._source.is_partial:
                    self._prepare_part(plan)
                with self._owners_may_create(landing, plan):
                    states = self._fill(head, client, plan)
                accepted = self._settle(plan, states)
                self._tell(RestoreStage.HANDING_OVER, "Handing over")
                complete(self._order, session, plan)
                self._seconds = time.monotonic() - self._started
        return Restored(
            database=self._order.wish.database,
            accepted=accepted,
            remarks=(*plan.remarks, *accepted.remarks),
            skipped_objects=plan.part.skipped,
            unknown_settings=tuple(sorted(set(self._unknown))),
            seconds=self._seconds,
        )

    def _refuse_pending_erasures(self) -> None:
        """Raise RefusedError (ErasuresPending), but not for a database that nobody ever enters."""
        if not self._order.is_throw_away:
            refuse_pending_erasures(self._source, self._tools)

    def _require_agreement(self, plan: RestorePlan, *, is_first: bool) -> None:
        """Raise RefusedError when *plan* cannot be carried out, or is another one than was told before anything was done for it."""
        if plan.obstacles:
            raise _refusal(plan)
        agreed, made = self._order.agreed_hash, told_plan(self._order, plan).hash
        if is_first and agreed is not None and made != agreed:
            raise RefusedError(f"the plan is {made} now, and was {agreed} when it was told", reason=Reason.PLAN_CHANGED)

    def _fetch(self, head: Definitions, client: Client) -> None:
        """Read the definitions; a table of contents that pg_restore cannot read is told when it is used."""
        archive, objects = self._source.definitions
        pieces = self._source.pieces(objects, self._tools.stop)
        if archive == WHOLE_OBJECT:
            take_head(head, pieces, client, what=archive, stop=self._tools.stop)
        else:
            take_all(head, pieces)

    def _fill(self, head: Definitions, client: Client, plan: RestorePlan) -> States:
        """Load definitions, rows, and what belongs behind them; return how all that was made should stand."""
        belonging = _belonging(plan)
        self._tell(RestoreStage.DEFINING, "Defining")
        with altered(head, self._source.definitions[0], plan.part) as coming:
            jobs = f"--jobs={coming.workers(self._order.parallelism)}"
            self._load_definitions(coming.head, client, ("--section=pre-data", *belonging))
            self._load_rows(partial(self._load_archive, head, client, plan), plan.part)
            self._tell(RestoreStage.FINISHING, "Indexes and constraints")
            self._load_definitions(coming.head, client, ("--section=post-data", jobs, *belonging))
        return coming.states

    @contextmanager
    def _owners_may_create(self, landing: Landing, plan: RestorePlan) -> Iterator[None]:
        """Let things be given to their owners while the block lasts; a superuser gives to whom he likes."""
        if landing.is_superuser or not plan.with_ownership:
            yield
            return
        lent, returned = owners_rights(plan.part, with_database=landing.major_version >= _OWNS_PUBLIC_SINCE)
        with connect(self._database) as session:
            let_create(session, lent, allowed=True)
        yield
        with connect(self._database) as session:
            let_create(session, returned, allowed=False)

    def _prepare_part(self, plan: RestorePlan) -> None:
        catalogue = plan.part.catalogue
        extensions = [(one.name, one.schema) for one in catalogue.extensions]
        schemas = {table.schema for table in catalogue.tables} | {schema for _, schema in extensions} - {"pg_catalog"}
        with connect(self._database) as session:
            prepare_part(session, sorted(schemas), extensions)

    def _load_definitions(self, head: Definitions, client: Client, arguments: tuple[str, ...]) -> None:
        archive, _ = self._source.definitions
        with Loading(
            client, self._database, arguments, what=archive, stop=self._tools.stop, archive=head.file
        ) as loading:
            self._unknown += loading.finish()

    def _load_rows(self, load: Callable[[Archive], tuple[str, ...]], part: Part) -> None:
        """Load all archives with rows that come, as many at a time as was asked for; the first that fails ends the others."""
        work = [partial(load, archive) for archive in coming_rows(self._source, part).items()]
        with ThreadPoolExecutor(self._order.parallelism, thread_name_prefix="load") as pool:
            running = [pool.submit(one) for one in work]
            try:
                self._watch(running)
            except BaseException:
                self._ended.set()
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        self._unknown += [name for one in running for name in one.result()]

    def _watch(self, running: list[Future[Any]]) -> None:
        pending, next_telling = set(running), 0.0
        with connect(self._database) as looking:
            while pending:
                done, pending = wait(pending, timeout=_LOOK_SECONDS, return_when=FIRST_EXCEPTION)
                for one in done:
                    one.result()
                check_stop(self._tools)
                if time.monotonic() >= next_telling:
                    self._tell_loading(loading_tables(looking))
                    next_telling = time.monotonic() + _TELL_SECONDS

    def _load_archive(self, head: Definitions, client: Client, plan: RestorePlan, archive: Archive) -> tuple[str, ...]:
        """Load one archive to its end, also where pg_restore wants no more: only at the end it is known to be what was written."""
        name, objects = archive
        pieces: Iterator[bytes | memoryview] = self._source.pieces(objects, self._ended)
        is_first = name == self._source.definitions[0]
        if is_first:
            pieces = head.compared(pieces, name)
        if plan.part.alters:
            pieces = rewritten(pieces, name, partial(plan.part.rewrite, by_name=not is_first))
        with Loading(
            client, self._database, ("--section=data", *_belonging(plan)), what=name, stop=self._ended
        ) as loading:
            for piece in pieces:
                loading.feed(piece)
                self._tally.add(len(piece))
            return loading.finish()

    def _settle(self, plan: RestorePlan, states: States) -> Accepted:
        """Set sequences, collect statistics, compare everything with the catalogue, and let erasures be replayed."""
        catalogue = plan.part.catalogue
        with connect(self._database) as session, cancelled_by(self._tools.stop, session):
            self._tell(RestoreStage.FINISHING, "Sequences and statistics")
            advance_sequences(session, find_advances(catalogue.sequences, read_sequence_positions(session)))
            analyse(session)
            self._tell(RestoreStage.CHECKING, "Counting rows")
            accepted = accept(session, catalogue, states, is_partial=self._source.is_partial)
            self._ask(session, role=catalogue.database.owner if plan.with_ownership else None)
            self._refuse_pending_erasures()
            self._order.replay(session)
        check_stop(self._tools)
        return accepted

    def _ask(self, session: Session, *, role: str | None) -> None:
        """Ask what was wanted to be asked; a question that was broken off because we are to stop was not answered otherwise."""
        try:
            ask_all(session, self._order.assertions, role=role)
        except RefusedError:
            check_stop(self._tools)
            raise

    def _tell(self, stage: RestoreStage, summary: str) -> None:
        check_stop(self._tools)
        self._order.report(RestoreProgress(stage=stage, summary=summary, updated_time=self._tools.now()))

    def _tell_loading(self, tables: tuple[str, ...]) -> None:
        passed, whole = self._tally.passed_bytes, self._source.manifest.logical_bytes
        seconds = max(time.monotonic() - self._started, 0.001)
        percent = min(99, 100 * passed // whole) if whole else 0
        self._order.report(
            RestoreProgress(
                stage=RestoreStage.LOADING,
                summary=" ".join((f"{percent}%", *tables[:1])),
                percent=percent,
                bytes=passed,
                bytes_per_second=int(passed / seconds),
                updated_time=self._tools.now(),
            )
        )


def _belonging(plan: RestorePlan) -> tuple[str, ...]:
    return () if plan.with_ownership else ("--no-owner", "--no-privileges")


def _refusal(plan: RestorePlan) -> RefusedError:
    """Return all that stands in the way as one error, with the reason of the first."""
    return RefusedError("; ".join(one.text for one in plan.obstacles), reason=plan.obstacles[0].reason)
