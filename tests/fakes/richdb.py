"""A database with everything that is easily lost on the way through a dump."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ground.postgres import PostgresServer

ODD: Final = 'Bücher; "Größe".\n\\n\\\\x'
"""A name with an umlaut, a semicolon, quotes, a dot, a line's end and backslashes."""
ODD_SQL: Final = '"' + ODD.replace('"', '""') + '"'
ROLES: Final = (
    "create role shop_owner login",
    "create role \"Web 'app'\" login in role shop_owner connection limit 7",
    "create role reader nologin",
)
DATABASE: Final = (
    "alter database {0} owner to shop_owner",
    "alter database {0} connection limit 50",
    "comment on database {0} is 'the shop''s \\ own'",
    "alter database {0} set work_mem = '8MB'",
    "alter database {0} set statement_timeout = '20ms'",
    'alter database {0} set search_path = sales, "$user", public',
    "alter role \"Web 'app'\" in database {0} set lock_timeout = '5s'",
    "revoke connect on database {0} from public",
    "grant connect on database {0} to \"Web 'app'\" with grant option",
)
CONTENT: Final = (
    "set statement_timeout = 0",
    "set search_path = public",
    "create schema sales authorization shop_owner",
    f"create schema {ODD_SQL}",
    f"comment on schema {ODD_SQL} is E'it''s\\nodd'",
    "create type public.colour as enum ('red', 'blue')",
    "create type public.point3 as (x int, y int, z text)",
    "create domain public.email as text check (value ~ '@')",
    "create extension citext with schema public",
    (
        'create table sales."Order lines" (id bigint generated always as identity primary key, note jsonb, amount numeric(10,2),'
        " twice numeric generated always as (amount * 2) stored, c public.colour, p public.point3)"
    ),
    (
        "insert into sales.\"Order lines\" (note, amount, c, p) select jsonb_build_object('text', repeat(md5(n::text), n % 9)), n,"
        " (array['red','blue'])[1 + n % 2]::public.colour, row(n, null, 'a,\"b')::public.point3 from generate_series(1, 3000) n"
    ),
    (
        "create table sales.customer (id serial primary key, name public.citext not null unique, mail public.email,"
        ' line bigint references sales."Order lines")'
    ),
    "insert into sales.customer (name, mail, line) select 'customer ' || n, n || '@example.org', n from generate_series(1, 300) n",
    f"create table {ODD_SQL}.{ODD_SQL} ({ODD_SQL} text, b bytea)",
    f"insert into {ODD_SQL}.{ODD_SQL} values (E'\\\\.', null), (E'a\\n\\\\.\\nb\\r\\n', '\\x00ff'), (null, null)",  # noqa: S608 - ours
    f"insert into {ODD_SQL}.{ODD_SQL} values (E'x\\nCOPY x FROM stdin;\\n', '')",  # noqa: S608 - ours
    'create table "UPPER.dotted" (a int)',
    'insert into "UPPER.dotted" values (1), (2)',
    "create table empty (a int)",
    "create table no_columns ()",
    "insert into no_columns default values",
    "create table paint (c public.colour, n int) partition by hash (n)",
    "create table paint_0 partition of paint for values with (modulus 2, remainder 0)",
    "create table paint_1 partition of paint for values with (modulus 2, remainder 1)",
    "insert into paint select (array['red', 'blue'])[1 + n % 2]::public.colour, n from generate_series(1, 50) n",
    "create table big (id int primary key, v text)",
    "alter table big alter v set storage external",
    "insert into big select n, repeat(md5(n::text), 100) from generate_series(1, 2000) n",
    "create table parent (a int); create table child (b int) inherits (parent)",
    "insert into parent values (1); insert into child values (2, 3)",
    "create unlogged table scratch (a int); insert into scratch values (1), (2)",
    "create sequence sales.invoice start 1000 increment -3 minvalue -500 maxvalue 2000",
    "select nextval('sales.invoice') from generate_series(1, 7)",
    "create sequence never_used",
    "create materialized view sales.total as select count(*) as lines from sales.customer",
    "create materialized view sales.not_yet as select 1 as one with no data",
    "create view sales.recent as select * from sales.customer where id > 100",
    "create function f() returns text language sql as $$\nselect '\nCOPY public.fake (a) FROM stdin;\n1\n\\.\n'\n$$",
    "create foreign data wrapper nowhere; create server far foreign data wrapper nowhere",
    "create foreign table abroad (a int) server far",
    "create table ruled (a int); alter table ruled enable row level security; create policy p on ruled to reader using (a > 1)",
    "insert into ruled values (1), (2)",
    "create index on big (md5(v)); create statistics st on id, v from big",
    "create publication everything for table sales.customer",
    "select lo_from_bytea(4711, decode(repeat('00ff', 50000), 'hex')), lo_create(4712)",
    "comment on large object 4711 is E'it''s\\nCOPY public.fake (a) FROM stdin;\\n\\\\'",
    "grant select on large object 4711 to reader; alter large object 4712 owner to shop_owner",
    'alter table sales."Order lines" owner to shop_owner',
    "grant select (id), update on sales.customer to \"Web 'app'\" with grant option",
    "alter default privileges for role shop_owner in schema sales grant select on tables to reader",
    "comment on table big is 'a \"comment\"'",
)
TABLES: Final = 13
"""Those with rows of their own; partitioned parents, views and foreign tables are not among them."""


def make_rich(server: PostgresServer, database: str) -> None:
    """Create *database* with everything in it; the roles are made when they are missing."""
    if not server.execute("select 1 from pg_roles where rolname = 'shop_owner'"):
        server.execute(*ROLES)
    server.execute(f'create database "{database}" template template0')
    server.execute(*CONTENT, database=database)
    server.execute(*(statement.format(f'"{database}"') for statement in DATABASE))
