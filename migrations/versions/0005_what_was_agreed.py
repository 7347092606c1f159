"""Who agreed to what ran, and which backup was there before: an audit of the database must not depend on resources of a cluster."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_WORDS = {
    "attempt.approval": "who agreed to the plan, by the word of whoever asked for the run; null: nobody was asked",
    "attempt.backup": "the verified backup that was there before, with its place in the write-ahead log; null: none was asked for",
    "outcome.statement": "which statement was refused, from 1; null: none was, or it was refused at the end of the transaction",
}


def upgrade() -> None:
    """Add them; of what was before nothing is known."""
    op.execute("alter table dbcustody.attempt add column approval text, add column backup text")
    op.execute("alter table dbcustody.outcome add column statement integer check (statement > 0)")
    for column, words in _WORDS.items():
        op.execute(f"comment on column dbcustody.{column} is '{words}'")


def downgrade() -> None:
    """Refuse: with the columns would go what is known about the database."""
    raise NotImplementedError("the ledger is not taken away by a command; drop schema dbcustody by hand")
