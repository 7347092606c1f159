"""The ledger: what was tried, statement by statement, and what became of it; rows are added, and none is ever changed."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLES = """
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
create index on dbcustody.outcome (attempt);
"""
_GUARD = """
create function dbcustody.refuse_change() returns trigger language plpgsql set search_path = pg_catalog as $$
begin
    raise exception 'dbcustody.% is a ledger: rows are added to it, and none is changed or deleted', tg_table_name
        using errcode = 'restrict_violation';
end $$;
"""
_WORDS = {
    "marker": "which database this is, for whoever compares ledgers; a restore opens a new epoch",
    "attempt": "each time a migration was tried or its standing was declared, with the text that was to run",
    "step": "each statement that was about to run by itself, outside of a transaction",
    "outcome": "what became of an attempt; the last row counts",
}


def upgrade() -> None:
    """Make it; the schema itself is there already, for the table of versions stands in it."""
    op.execute(_TABLES)
    op.execute(_GUARD)
    op.execute("comment on schema dbcustody is 'what dbcustody did to this database; do not edit'")
    op.execute("insert into dbcustody.marker default values")
    for table, words in _WORDS.items():
        op.execute(f"comment on table dbcustody.{table} is '{words}'")
    for table in ("attempt", "step", "outcome"):
        op.execute(
            f"create trigger append_only before update or delete or truncate on dbcustody.{table} "
            "for each statement execute function dbcustody.refuse_change()"
        )


def downgrade() -> None:
    """Refuse: with the ledger would go what is known about the database."""
    raise NotImplementedError("the ledger is not taken away by a command; drop schema dbcustody by hand")
