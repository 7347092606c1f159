CREATE TABLE dbcustody.ledger_version (
    version_num VARCHAR(32) NOT NULL, 
    CONSTRAINT ledger_version_pkc PRIMARY KEY (version_num)
);

-- Running upgrade  -> 0001

create table dbcustody.marker (
    is_only boolean primary key default true check (is_only),
    database_uuid uuid not null default pg_catalog.gen_random_uuid(),
    epoch integer not null default 1,
    made_at timestamptz not null default pg_catalog.clock_timestamp()
);
create table dbcustody.attempt (
    id bigint generated always as identity primary key,
    run uuid not null,
    revision text not null,
    name text not null,
    direction text not null check (direction in ('Up', 'Down', 'Mark')),
    sha256 text not null check (sha256 ~ '^[0-9a-f]{64}$'),
    body text not null,
    down_body text,
    allowed_out_of_order boolean not null default false,
    source_sha256 text,
    plan_sha256 text,
    tool text not null,
    actor text not null,
    began_at timestamptz not null default pg_catalog.clock_timestamp()
);
create table dbcustody.step (
    attempt bigint not null references dbcustody.attempt,
    ordinal integer not null check (ordinal > 0),
    sha256 text not null,
    nature text not null,
    found_before text not null,
    began_at timestamptz not null default pg_catalog.clock_timestamp(),
    primary key (attempt, ordinal)
);
create table dbcustody.outcome (
    id bigint generated always as identity primary key,
    attempt bigint not null references dbcustody.attempt,
    state text not null check (state in (
        'Applied', 'Failed', 'Partial', 'RolledBack', 'ResolvedApplied', 'ResolvedRolledBack', 'Imported'
    )),
    done integer not null default 0 check (done >= 0),
    sqlstate text,
    object text,
    reason text,
    actor text not null,
    ended_at timestamptz not null default pg_catalog.clock_timestamp()
);
create index on dbcustody.attempt (revision);
create index on dbcustody.outcome (attempt);;

create function dbcustody.refuse_change() returns trigger language plpgsql set search_path = pg_catalog as $$
begin
    raise exception 'dbcustody.% is a ledger: rows are added to it, and none is changed or deleted', tg_table_name
        using errcode = 'restrict_violation';
end $$;;

comment on schema dbcustody is 'what dbcustody did to this database; do not edit';

insert into dbcustody.marker default values;

comment on table dbcustody.marker is 'which database this is, for whoever compares ledgers; a restore opens a new epoch';

comment on table dbcustody.attempt is 'each time a migration was tried or its standing was declared, with the text that was to run';

comment on table dbcustody.step is 'each statement that was about to run by itself, outside of a transaction';

comment on table dbcustody.outcome is 'what became of an attempt; the last row counts';

create trigger append_only before update or delete or truncate on dbcustody.attempt for each statement execute function dbcustody.refuse_change();

create trigger append_only before update or delete or truncate on dbcustody.step for each statement execute function dbcustody.refuse_change();

create trigger append_only before update or delete or truncate on dbcustody.outcome for each statement execute function dbcustody.refuse_change();

INSERT INTO dbcustody.ledger_version (version_num) VALUES ('0001') RETURNING dbcustody.ledger_version.version_num;

-- Running upgrade 0001 -> 0002

create table dbcustody.fingerprint (
    id bigint generated always as identity primary key,
    attempt bigint references dbcustody.attempt,
    moment text not null check (moment in ('Found', 'After', 'Accepted')),
    format integer not null check (format > 0),
    digest text check (digest ~ '^[0-9a-f]{32}$'),
    excluded text[] not null,
    server_major integer not null,
    reason text,
    actor text not null,
    taken_at timestamptz not null default pg_catalog.clock_timestamp()
);
create table dbcustody.catalogue (
    is_only boolean primary key default true check (is_only),
    digest text not null,
    content text
);;

comment on table dbcustody.fingerprint is 'what the schema was like: found by a run, after an attempt (the last one by then), or accepted by a person';

comment on table dbcustody.catalogue is 'the schema of which the last digest is, to tell in which objects it differs; replaced, for it can be taken anew';

create trigger append_only before update or delete or truncate on dbcustody.fingerprint for each statement execute function dbcustody.refuse_change();

UPDATE dbcustody.ledger_version SET version_num='0002' WHERE dbcustody.ledger_version.version_num = '0001';

-- Running upgrade 0002 -> 0003

alter table dbcustody.outcome add column ran text;

alter table dbcustody.step add column statement text;

comment on column dbcustody.outcome.ran is 'the SQL that a file in Python ran, without the values of rows';

comment on column dbcustody.step.statement is 'the statement, where the text of the attempt is not SQL';

UPDATE dbcustody.ledger_version SET version_num='0003' WHERE dbcustody.ledger_version.version_num = '0002';

-- Running upgrade 0003 -> 0004

create table dbcustody.seed (
    id bigint generated always as identity primary key,
    run uuid not null,
    name text not null,
    sha256 text not null check (sha256 ~ '^[0-9a-f]{64}$'),
    body text not null,
    tool text not null,
    actor text not null,
    ran_at timestamptz not null default pg_catalog.clock_timestamp()
);

comment on table dbcustody.seed is 'each seed that ran, with its text; the last row of a name counts';

create trigger append_only before update or delete or truncate on dbcustody.seed for each statement execute function dbcustody.refuse_change();

UPDATE dbcustody.ledger_version SET version_num='0004' WHERE dbcustody.ledger_version.version_num = '0003';

-- Running upgrade 0004 -> 0005

alter table dbcustody.attempt add column approval text, add column backup text;

alter table dbcustody.outcome add column statement integer check (statement > 0);

comment on column dbcustody.attempt.approval is 'who agreed to the plan, by the word of whoever asked for the run; null: nobody was asked';

comment on column dbcustody.attempt.backup is 'the verified backup that was there before, with its place in the write-ahead log; null: none was asked for';

comment on column dbcustody.outcome.statement is 'which statement was refused, from 1; null: none was, or it was refused at the end of the transaction';

UPDATE dbcustody.ledger_version SET version_num='0005' WHERE dbcustody.ledger_version.version_num = '0004';

