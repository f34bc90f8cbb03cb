"""Transfers are found by their account: rows of the audit log that have an index of their own."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

CASH_TRANSFERRED = 21  # the kind of their events


def upgrade() -> None:
    for number, columns in enumerate(("account_index, ts, seq, event_index", "ts, seq, event_index"), 1):
        op.execute(
            f"CREATE INDEX audit_log_transfers_{number} ON audit_log ({columns}) "
            f"WHERE kind = {CASH_TRANSFERRED}"
        )


def downgrade() -> None:
    for number in (1, 2):
        op.execute(f"DROP INDEX audit_log_transfers_{number}")
