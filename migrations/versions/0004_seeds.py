"""Seeds: which ran, with the text that ran; written in the transaction of the seed itself, so that a row is there exactly when it is in."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TABLE = """
create table dbcustody.seed (
    id bigint generated always as identity primary key,
    run uuid not null,
    name text not null,
    sha256 text not null check (sha256 ~ '^[0-9a-f]{64}$'),
    body text not null,
    tool text not null,
    actor text not null,
    ran_at timestamptz not null default pg_catalog.clock_timestamp()
)
"""


def upgrade() -> None:
    """Add the table; rows are added to it, and none is ever changed."""
    op.execute(_TABLE)
    op.execute("comment on table dbcustody.seed is 'each seed that ran, with its text; the last row of a name counts'")
    op.execute(
        "create trigger append_only before update or delete or truncate on dbcustody.seed "
        "for each statement execute function dbcustody.refuse_change()"
    )


def downgrade() -> None:
    """Refuse: with the table would go what is known about the database."""
    raise NotImplementedError("the ledger is not taken away by a command; drop schema dbcustody by hand")
