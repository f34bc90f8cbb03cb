"""What history needs once there is much of it: indexes by symbol and by time, kept candles, fewer chunks.

A page of one symbol's rows, or of all accounts' equity, must not read past everybody else's; candles of
hours and days must not be made of every trade each time they are asked for; and a query over years must
not have to look at a thousand chunks, each of which it locks.
"""

from alembic import op

from app.store import timescale

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

INDEXES = {
    "fills_symbol": "fills (symbol_index, ts, seq, event_index)",
    "risk_events_symbol": "risk_events (symbol_index, ts, seq, event_index)",
    "orders_symbol": "orders (symbol_index, created_ts, order_id)",
    "account_snapshots_time": "account_snapshots (ts, account_index)",
}
# Only chunks that are made from now on have the new length.
CHUNKS = {
    "order_events": "7 days",
    "fills": "7 days",
    "marks": "7 days",
    "market_trades": "7 days",
    "account_snapshots": "30 days",
}
CHUNKS_BEFORE = dict.fromkeys(CHUNKS, "1 day") | {"account_snapshots": "7 days"}

# `first_ts` and `last_ts`: of the trades that open and close it, so that late ones find their place.
CANDLES = """
    CREATE TABLE candles (
        seconds integer NOT NULL,
        symbol_index integer NOT NULL,
        start timestamptz NOT NULL,
        open bigint NOT NULL,
        high bigint NOT NULL,
        low bigint NOT NULL,
        close bigint NOT NULL,
        volume bigint NOT NULL,
        trades bigint NOT NULL,
        first_ts timestamptz NOT NULL,
        last_ts timestamptz NOT NULL,
        PRIMARY KEY (seconds, symbol_index, start)
    ) WITH (fillfactor = 80)
"""
FILL_CANDLES = """
    INSERT INTO candles
    SELECT seconds, symbol_index,
           date_bin(seconds * INTERVAL '1 s', ts, TIMESTAMPTZ '2000-01-01 00:00:00+00'),
           (array_agg(price ORDER BY ts, price))[1], max(price), min(price),
           (array_agg(price ORDER BY ts DESC, price DESC))[1], sum(quantity), count(*), min(ts), max(ts)
    FROM market_trades, unnest(ARRAY[60, 3600]) AS seconds
    GROUP BY 1, 2, 3
"""


def upgrade() -> None:
    for name, columns in INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON {columns}")
    op.execute(CANDLES)
    op.execute(FILL_CANDLES)
    _set_chunks(CHUNKS)
    # Why history begins later than the journal did, where it does.
    op.execute(
        """
        CREATE TABLE history_gaps (
            first_seq bigint PRIMARY KEY,
            last_seq bigint NOT NULL CHECK (last_seq >= first_seq),
            last_ts timestamptz,
            reason text NOT NULL,
            recorded_ts timestamptz NOT NULL DEFAULT now()
        )
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE history_gaps")
    _set_chunks(CHUNKS_BEFORE)
    op.execute("DROP TABLE candles")
    for name in INDEXES:
        op.execute(f"DROP INDEX {name}")


def _set_chunks(chunks: dict[str, str]) -> None:
    if timescale.is_there(op.get_bind()):
        for table, interval in chunks.items():
            op.execute(f"SELECT set_chunk_time_interval('{table}', INTERVAL '{interval}')")
