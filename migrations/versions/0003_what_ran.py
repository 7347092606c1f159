"""What ran, where the text of the migration does not say it: a revision in Python decides by what it finds."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add it; what was written before stays as it is."""
    op.execute("alter table dbcustody.outcome add column ran text")
    op.execute("alter table dbcustody.step add column statement text")
    op.execute(
        "comment on column dbcustody.outcome.ran is 'the SQL that a file in Python ran, without the values of rows'"
    )
    op.execute(
        "comment on column dbcustody.step.statement is 'the statement, where the text of the attempt is not SQL'"
    )


def downgrade() -> None:
    """Refuse: with the columns would go what is known about the database."""
    raise NotImplementedError("the ledger is not taken away by a command; drop schema dbcustody by hand")
