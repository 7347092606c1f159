"""Fingerprints of the schema: what the database was like after each attempt, so that a change by somebody else is seen."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TABLES = """
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
);
"""
_WORDS = {
    "fingerprint": "what the schema was like: found by a run, after an attempt (the last one by then), or accepted by a person",
    "catalogue": "the schema of which the last digest is, to tell in which objects it differs; replaced, for it can be taken anew",
}


def upgrade() -> None:
    """Make the tables; of what was before nothing is known, and the next run takes the first fingerprint."""
    op.execute(_TABLES)
    for table, words in _WORDS.items():
        op.execute(f"comment on table dbcustody.{table} is '{words}'")
    op.execute(
        "create trigger append_only before update or delete or truncate on dbcustody.fingerprint "
        "for each statement execute function dbcustody.refuse_change()"
    )


def downgrade() -> None:
    """Refuse: what was known about the database would go."""
    raise NotImplementedError("the ledger is not taken away by a command; drop schema dbcustody by hand")
