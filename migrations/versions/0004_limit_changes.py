"""Which override or request a change of limits belongs to, when an override ends, and why one has ended.

Approvals and rejections name nothing but their request. Rows from before have the number 0.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE limit_changes ADD number bigint NOT NULL DEFAULT 0")
    op.execute("ALTER TABLE limit_changes ADD expires_ts timestamptz")
    op.execute("ALTER TABLE limit_changes ADD ended smallint NOT NULL DEFAULT 0")


def downgrade() -> None:
    for column in ("number", "expires_ts", "ended"):
        op.execute(f"ALTER TABLE limit_changes DROP {column}")
