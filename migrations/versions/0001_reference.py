"""Progress of the projections, and the reference data that rows of history point to.

Numbers are the engine's own: prices in ticks, quantities in steps, money in 1e-8 of the quote currency.
"""

from alembic import op
from sqlalchemy import text

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Loaded at the server's start, the extension can be made; merely installed, it cannot.
AVAILABLE = text(
    """
    SELECT EXISTS (
               SELECT FROM pg_available_extensions WHERE name = 'timescaledb' AND installed_version IS NULL
           )
       AND current_setting('shared_preload_libraries') LIKE '%timescaledb%'
    """
)

PROJECTION_PROGRESS = """
    CREATE TABLE projection_progress (
        projection text PRIMARY KEY,
        seq bigint NOT NULL CHECK (seq >= 0),
        ts timestamptz NOT NULL DEFAULT now()
    )
"""
INSTRUMENTS = """
    CREATE TABLE instruments (
        symbol_index integer PRIMARY KEY CHECK (symbol_index >= 0),
        symbol text NOT NULL UNIQUE,
        base text NOT NULL,
        quote text NOT NULL,
        price_tick_e12 bigint NOT NULL CHECK (price_tick_e12 > 0),
        quantity_step_e8 bigint NOT NULL CHECK (quantity_step_e8 > 0),
        min_quantity bigint NOT NULL,
        max_quantity bigint NOT NULL,
        min_notional bigint NOT NULL,
        maker_fee_ppm integer NOT NULL,
        taker_fee_ppm integer NOT NULL,
        status smallint NOT NULL,
        seq bigint NOT NULL
    )
"""
ACCOUNTS = """
    CREATE TABLE accounts (
        account_index integer PRIMARY KEY CHECK (account_index >= 0),
        account text NOT NULL UNIQUE,
        leverage bigint NOT NULL CHECK (leverage >= 1),
        seq bigint NOT NULL
    )
"""


def upgrade() -> None:
    if op.get_bind().execute(AVAILABLE).scalar_one():
        op.execute("CREATE EXTENSION timescaledb")
    for table in (PROJECTION_PROGRESS, INSTRUMENTS, ACCOUNTS):
        op.execute(table)


def downgrade() -> None:
    # The extension stays: it may have been there before us, and others may use it.
    for table in ("accounts", "instruments", "projection_progress"):
        op.execute(f"DROP TABLE {table}")
