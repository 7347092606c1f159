"""Two databases on a real server, one live and one that waits to take its place, and what their swap needs to be asked for."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from dbcustody.adapters.postgres import connect
from dbcustody.adapters.postgres.landing import comment_on, create_database
from dbcustody.adapters.postgres.surroundings import read_database
from dbcustody.adapters.postgres.swapping import find_place
from dbcustody.codec import decode
from dbcustody.contract import JobRequest, ReplaceTerms, RestoreTerms, Verb
from dbcustody.errors import DbcustodyError
from dbcustody.jobs import restore as restore_job
from dbcustody.jobs import swap as swap_job
from dbcustody.plan.imprint import ready
from dbcustody.plan.replacement import incoming_name, kept_name
from dbcustody.repository.catalogue import DatabaseFacts
from tests.fakes.custodian import CUSTODY, Custodian, in_volume

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dbcustody.contract import JobResult
    from ground.postgres import PostgresServer

MARK: Final = "RestoreRequest web/back 0123456789ab"
UNDO: Final = "RestoreRequest web/undo ba9876543210"
CONFIRM: Final = (
    "select 'shop@' || system_identifier || '/' || d.oid from pg_control_system(), pg_database d where datname = 'shop'"
)
ROLES: Final = (
    'create role "Owner of shop"',
    "create role reader login password 'r'",
    "create role restorer login createdb password 'r'",
    'grant "Owner of shop" to restorer',
)
"""Those that own, use and restore."""
LIKENESS: Final = """
select d.datallowconn, d.datconnlimit, pg_get_userbyid(d.datdba), (select array_agg(a::text order by a::text) from unnest(d.datacl) a),
       (select array_agg(coalesce(r.rolname, '') || s.setconfig::text order by 1) from pg_db_role_setting s
        left join pg_roles r on r.oid = s.setrole where s.setdatabase = d.oid)
from pg_database d where d.datname = %s
"""


@dataclass
class Swapper:
    """Swaps the database `shop` of *custodian*'s server for one that was restored for *mark*."""

    custodian: Custodian
    mark: str = MARK
    terms: dict[str, Any] = field(default_factory=dict)
    asked: dict[str, Any] = field(default_factory=dict)
    """What is asked otherwise about the backup."""

    @property
    def kept(self) -> str:
        """What the old database is called afterwards."""
        return kept_name(self.custodian.database, self.mark)

    @property
    def backup_id(self) -> str:
        """Of the backup that was restored, as it is told."""
        return self.custodian.stock().live[-1].manifest.backup_id

    def request(self, verb: Verb, **terms: Any) -> JobRequest:
        """Return the request of a Job that does *verb*."""
        ((confirm,),) = self.custodian.server.execute(CONFIRM)
        wanted = {"custody_id": CUSTODY, "confirm": confirm, "keep_old_seconds": 3600} | self.terms | terms
        asked = {"database": incoming_name(self.mark), "backup_id": self.backup_id} | self.asked
        restore = RestoreTerms(mark=self.mark, parallelism=2, replace=ReplaceTerms(**wanted), **asked)
        return replace(self.custodian.request(), verb=verb, options=None, restore=restore)

    def ask(self, verb: Verb, **terms: Any) -> JobResult:
        """Return the Job's result; raises what it raises."""
        run = swap_job.run if verb in {Verb.SWAP, Verb.DROP_REPLACED} else restore_job.run
        return run(self.request(verb, **terms), self.custodian.tools())

    def refusal(self, verb: Verb, **terms: Any) -> DbcustodyError:
        """Return why the Job did nothing."""
        with pytest.raises(DbcustodyError) as caught:
            self.ask(verb, **terms)
        return caught.value

    def make_waiting(self) -> int:
        """Make what waits to take the place of `shop`, with one row that says `new`; return its OID."""
        custodian, name = self.custodian, incoming_name(self.mark)
        server = custodian.tools().target(Verb.RESTORE).at("postgres")
        with connect(server) as session, connect(server.at(custodian.database)) as inside:
            facts = decode(DatabaseFacts, read_database(inside))
            live = find_place(session, name=custodian.database)
            assert live is not None
            oid = create_database(session, name, facts, remark="being made")
            with connect(server.at(name)) as waiting:
                waiting.execute("create table public.said (word text)")
                waiting.execute("insert into public.said values ('new')")
            comment_on(session, name, ready(live.oid, self.mark))
        return oid

    def words(self, database: str = "shop") -> list[str]:
        """Return what the rows of *database* say, the first first; raises when nobody may enter."""
        return [
            word
            for (word,) in self.custodian.server.execute(
                "select word from public.said order by ctid", database=database
            )
        ]

    def databases(self) -> dict[str, tuple[int, str | None]]:
        """Return OID and comment of every database by name."""
        query = "select datname, oid::bigint, shobj_description(oid, 'pg_database') from pg_database where not datistemplate"
        return {name: (int(oid), comment) for name, oid, comment in self.custodian.server.execute(query)}

    def likeness(self, database: str = "shop") -> tuple[Any, ...]:
        """Return what others see of a database: whether it lets them in, limit, owner, rights, settings."""
        with self.custodian.server.connect("postgres") as session:
            row = session.execute(LIKENESS.encode(), (database,)).fetchone()
        assert row is not None
        return tuple(row)


@contextmanager
def lent_swapper(server: PostgresServer, folder: Path) -> Iterator[Swapper]:
    """Lend who may swap the database `shop`, which has an owner, rights, settings, a comment, a backup, and one row that says `old`."""
    server.execute(
        'create database shop owner "Owner of shop" connection limit 40',
        "revoke all on database shop from public",
        "grant connect on database shop to reader",
        "alter database shop set work_mem to '5MB'",
        "alter role reader in database shop set search_path to said, public",
        "comment on database shop is 'our shop'",
    )
    server.execute("create table public.said (word text)", "insert into public.said values ('old')", database="shop")
    folder.mkdir()
    swapper = Swapper(Custodian(server=server, open_store=in_volume(folder)))
    swapper.custodian.take()
    yield swapper
    for name in set(swapper.databases()) - {"postgres"}:
        server.execute(f'drop database "{name}" with (force)')
