"""Some tables of a backup, on real servers: they come whole, with what belongs to them, and nothing else does."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from dbcustody.api.policy import Tables
from dbcustody.api.restore import Patterns, RestoreStage
from dbcustody.plan.part import Part
from dbcustody.plan.selection import Choice
from dbcustody.reason import Reason
from ground.postgres import PostgresServer
from tests.fakes.homecoming import likeness
from tests.fakes.richdb import ODD, make_rich
from tests.jobs.test_restoration import NONE, Restorer, make_backup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from dbcustody.repository.contents import Contents

pytestmark = pytest.mark.postgres
ROWS_OF = "select n.nspname || '.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
RELATIONS = (
    f"{ROWS_OF} where n.nspname !~ '^pg_|^information' and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') order by 1"
)
CONSTRAINTS = "select conname from pg_constraint where contype <> 'n' order by 1"
MORE = (
    "create schema parts",
    "create table event (id int not null, at date not null) partition by range (at)",
    "create table parts.event_1 partition of event for values from ('2020-01-01') to ('2021-01-01')",
    "create table parts.event_2 partition of event for values from ('2021-01-01') to ('2022-01-01')",
    "alter table event add primary key (id, at); create index on event (at)",
    "insert into event select n, date '2020-06-01' + n from generate_series(1, 300) n",
    (
        'create table sales."Straße ""7""" (id int primary key, parent int references sales."Straße ""7""",'
        " customer int references sales.customer (id))"
    ),
    'insert into sales."Straße ""7""" values (1, null, 5), (2, 1, 6)',
    "create function sales.touch() returns trigger language plpgsql as $$ begin return new; end $$",
    'create trigger touch before update on sales."Straße ""7""" for each row execute function sales.touch()',
    'create view sales.streets as select * from sales."Straße ""7"""',
    'create view sales.both as select s.id from sales."Straße ""7""" s join sales.customer c on c.id = s.customer',
    "create function sales.of_customer(sales.customer) returns int language sql as 'select 1'",
    "create table counted (id int default nextval('never_used'), n int); insert into counted (n) values (1), (2)",
)  # fmt: skip
STREET = 'sales."Straße ""7"""'


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[[int], PostgresServer]]:
    """Return a function that starts a server of a major with the rich database `shop` and more, once each."""
    servers: dict[int, PostgresServer] = {}
    with ExitStack() as stack:

        def start(major: int) -> PostgresServer:
            if major not in servers:
                servers[major] = stack.enter_context(PostgresServer(major))
                make_rich(servers[major], "shop")
                servers[major].execute("set search_path = public", "set statement_timeout = 0", *MORE, database="shop")
            return servers[major]

        yield start


@pytest.fixture
def restorer(serve: Callable[[int], PostgresServer], tmp_path: Path) -> Restorer:
    """Return who has a backup of everything on 17."""
    return Restorer(make_backup(tmp_path / "storage", serve(17)), serve(17))


def choice(*tables: str, schemas: tuple[str, ...] = (), without: tuple[str, ...] = ()) -> Choice:
    """Return what is wanted."""
    return Choice(schemas=Patterns(include=schemas), tables=Patterns(include=tables, exclude=without))


def relations(server: PostgresServer, database: str) -> list[str]:
    """Return tables, views and sequences of *database*."""
    return [name for (name,) in server.execute(RELATIONS, database=database)]


@pytest.mark.parametrize(
    ("major", "options"),
    [
        pytest.param(14, {}, id="14-one-archive"),
        pytest.param(14, {"parallelism": 3}, id="14-cut"),
        pytest.param(18, {}, id="18-one-archive"),
        pytest.param(18, {"parallelism": 3}, id="18-cut"),
    ],
)
def test_chosen_tables_come_with_what_belongs_to_them(
    serve: Callable[[int], PostgresServer], tmp_path: Path, major: int, options: dict[str, Any]
) -> None:
    """Odd names, a table in a schema of its own, a partitioned one; a foreign key to what is left out is left out, and told."""
    server = serve(major)
    restorer = Restorer(make_backup(tmp_path / "storage", server, **options), server)
    back = f"back-{tmp_path.name}"
    wanted = choice(
        STREET, "event", "sales.streets", "sales.both", "public.counted", f'"{ODD.replace(chr(34), chr(34) * 2)}".*'
    )
    found = restorer.run(back, choice=wanted)

    assert relations(server, back) == sorted(
        [f"{ODD}.{ODD}", "parts.event_1", "parts.event_2", "public.counted", "public.event", "public.never_used", "sales.streets",
         'sales.Straße "7"']
    )  # fmt: skip
    assert (found.accepted.tables, found.accepted.rows, found.accepted.sequences) == (5, 300 + 2 + 2 + 4, 1)
    here, there = likeness(server, "shop").rows, likeness(server, back).rows
    assert there.items() <= here.items()
    assert [name for (name,) in server.execute(CONSTRAINTS, database=back) if "Stra" in name] == [
        'Straße "7"_parent_fkey',
        'Straße "7"_pkey',
    ]
    assert server.execute("select tgname from pg_trigger where not tgisinternal", database=back) == [("touch",)]
    assert 'left out: FK CONSTRAINT sales.Straße "7" Straße "7"_customer_fkey' in found.remarks
    assert "left out: VIEW sales.both" in found.remarks
    assert "left out: FUNCTION sales.of_customer(sales.customer)" in found.remarks
    assert "left out: 2 large objects, which belong to no table" in found.remarks
    server.execute(f'drop database "{back}"')


def test_a_constraint_that_vanishes_is_missed(restorer: Restorer) -> None:
    """What was chosen is compared, and constraints with it."""
    server = restorer.server
    drop = 'alter table sales."Straße ""7""" drop constraint "Straße ""7""_parent_fkey"'
    restorer.on_stage = lambda at: server.execute(drop, database="back") if at is RestoreStage.CHECKING else None
    error = restorer.refusal(choice=choice(STREET))
    assert (error.reason, "the constraint sales.Straße" in error.message and "is missing" in error.message) == (
        Reason.CHECKS_FAILED,
        True,
    )


@pytest.mark.parametrize("options", [{}, {"parallelism": 3}], ids=["one-archive", "cut"])
def test_rows_that_are_in_no_archive_are_missed(
    serve: Callable[[int], PostgresServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    """An archive whose head does not name a chosen table is not taken for one without its rows."""
    restorer = Restorer(make_backup(tmp_path / "storage", serve(17), encrypted=False, **options), serve(17))
    whole = Part.rewrite

    def without_rows(part: Part, contents: Contents, *, by_name: bool) -> Contents:
        found = whole(part, contents, by_name=by_name)
        return found.having(one for one in found.entries if (one.kind, one.name) != ("TABLE DATA", "counted"))

    monkeypatch.setattr(Part, "rewrite", without_rows)
    error = restorer.refusal(choice=choice("counted", "event"))
    assert error.reason is Reason.ARCHIVE_DAMAGED
    assert "the rows of public.counted are in none of its archives" in error.message


def test_archives_without_chosen_rows_are_not_read(serve: Callable[[int], PostgresServer], tmp_path: Path) -> None:
    """Of a backup in several archives, those of other tables may even be damaged behind their heads."""
    custodian = make_backup(tmp_path / "storage", serve(17), encrypted=False, parallelism=4, compression=NONE)
    biggest = max((tmp_path / "storage").rglob("*.pgc"), key=lambda path: path.stat().st_size)
    biggest.chmod(0o600)
    biggest.write_bytes(biggest.read_bytes()[:-1000])
    restorer = Restorer(custodian, serve(17))
    assert restorer.run("back", choice=choice("counted")).accepted.rows == 2
    restorer.server.execute("drop database back")
    assert restorer.refusal(choice=choice("big")).reason in {Reason.ARCHIVE_DAMAGED, Reason.RESTORE_FAILED}


@pytest.mark.parametrize("options", [{}, {"parallelism": 2}], ids=["one-archive", "cut"])
def test_some_tables_of_a_backup_of_some(
    serve: Callable[[int], PostgresServer], tmp_path: Path, options: dict[str, Any]
) -> None:
    """Its archive has no schemas and no extensions; they are made for what comes."""
    server = serve(18)
    some = Tables(include=("public.big", "public.counted", "public.empty"))
    restorer = Restorer(make_backup(tmp_path / "storage", server, tables=some, **options), server)
    found = restorer.run("back", choice=choice("big", "empty"))
    assert (found.accepted.tables, found.accepted.rows) == (2, 2000)
    assert relations(server, "back") == ["public.big", "public.empty"]
    server.execute("drop database back")
