"""History as hypertables, the latest state of orders and positions, who holds keys.

Numbers are the engine's own, as in 0001. Rows of history have no unique index: each lands exactly once,
because the writer's progress is in the same transaction. Ordinary tables where there is no TimescaleDB;
compression, retention and continuous aggregates only under its own licence.
"""

from alembic import op

from app.store import timescale

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_EVENT = "ts timestamptz NOT NULL, seq bigint NOT NULL, event_index integer NOT NULL, "
_WHERE = "account_index integer NOT NULL, symbol_index integer NOT NULL, "  # -1: does not apply
_WHY = "actor bigint NOT NULL, reason text"

# Table: columns, how much of time a chunk holds, indexes.
HISTORY = {
    "order_events": (
        _EVENT + _WHERE + "kind smallint NOT NULL, status smallint NOT NULL, code smallint NOT NULL, "
        "scope smallint NOT NULL, side smallint NOT NULL, order_type smallint NOT NULL, "
        "time_in_force smallint NOT NULL, flags smallint NOT NULL, order_id bigint NOT NULL, "
        "price bigint NOT NULL, stop_price bigint NOT NULL, quantity bigint NOT NULL, "
        "filled_quantity bigint NOT NULL, filled_notional bigint NOT NULL, last_price bigint NOT NULL, "
        "last_quantity bigint NOT NULL, limit_value bigint NOT NULL, observed_value bigint NOT NULL, "
        "client_order_id text",
        "1 day",
        ("order_id, seq, event_index",),
    ),
    "fills": (
        _EVENT + _WHERE + "order_id bigint NOT NULL, execution_id bigint NOT NULL, side smallint NOT NULL, "
        "liquidity smallint NOT NULL, price bigint NOT NULL, quantity bigint NOT NULL, fee bigint NOT NULL, "
        "position_quantity bigint NOT NULL, position_entry_cost bigint NOT NULL",
        "1 day",
        ("account_index, ts, seq, event_index", "ts, seq, event_index"),
    ),
    "risk_events": (
        _EVENT + _WHERE + "kind smallint NOT NULL, code smallint NOT NULL, scope smallint NOT NULL, "
        "order_id bigint NOT NULL, limit_value bigint NOT NULL, observed_value bigint NOT NULL, " + _WHY,
        "7 days",
        ("account_index, ts, seq, event_index", "ts, seq, event_index"),
    ),
    "limit_changes": (
        _EVENT + _WHERE + "kind smallint NOT NULL, scope smallint NOT NULL, limit_number smallint NOT NULL, "
        "old_value bigint NOT NULL, new_value bigint NOT NULL, version bigint NOT NULL, " + _WHY,
        "30 days",
        ("account_index, ts, seq, event_index", "ts, seq, event_index"),
    ),
    "audit_log": (
        _EVENT + _WHERE + "kind smallint NOT NULL, code smallint NOT NULL, scope smallint NOT NULL, "
        "new_value bigint NOT NULL, old_value bigint NOT NULL, " + _WHY,
        "30 days",
        ("ts, seq, event_index",),
    ),
    "marks": (
        _EVENT + "symbol_index integer NOT NULL, price bigint NOT NULL",
        "1 day",
        ("symbol_index, ts",),
    ),
    "market_trades": (
        (
            "ts timestamptz NOT NULL, symbol_index integer NOT NULL, price bigint NOT NULL, "
            "quantity bigint NOT NULL"
        ),
        "1 day",
        ("symbol_index, ts",),
    ),
    "account_snapshots": (
        (
            "ts timestamptz NOT NULL, seq bigint NOT NULL, account_index integer NOT NULL, "
            "cash bigint NOT NULL, equity bigint NOT NULL, position_value bigint NOT NULL, "
            "exposure bigint NOT NULL, realised bigint NOT NULL, fees bigint NOT NULL, "
            "transferred bigint NOT NULL, open_orders bigint NOT NULL"
        ),
        "7 days",
        ("account_index, ts",),
    ),
}

ORDERS = """
    CREATE TABLE orders (
        order_id bigint PRIMARY KEY,
        seq bigint NOT NULL,
        account_index integer NOT NULL,
        symbol_index integer NOT NULL,
        status smallint NOT NULL,
        code smallint NOT NULL,
        scope smallint NOT NULL,
        side smallint NOT NULL,
        order_type smallint NOT NULL,
        time_in_force smallint NOT NULL,
        flags smallint NOT NULL,
        self_trade_prevention smallint NOT NULL,
        price bigint NOT NULL,
        stop_price bigint NOT NULL,
        quantity bigint NOT NULL,
        filled_quantity bigint NOT NULL,
        filled_notional bigint NOT NULL,
        created_ts timestamptz NOT NULL,
        updated_ts timestamptz NOT NULL,
        expire_ts timestamptz,
        limit_value bigint NOT NULL,
        observed_value bigint NOT NULL,
        client_order_id text
    ) WITH (fillfactor = 80)
"""
POSITIONS = """
    CREATE TABLE positions (
        account_index integer NOT NULL,
        symbol_index integer NOT NULL,
        quantity bigint NOT NULL,
        entry_cost bigint NOT NULL,
        realised bigint NOT NULL,
        fees bigint NOT NULL,
        seq bigint NOT NULL,
        PRIMARY KEY (account_index, symbol_index)
    ) WITH (fillfactor = 80)
"""
API_KEYS = """
    CREATE TABLE api_keys (
        number bigint PRIMARY KEY,
        name text NOT NULL,
        role text NOT NULL,
        accounts text[] NOT NULL,
        created_ts bigint NOT NULL,
        revoked_ts bigint NOT NULL
    )
"""
CANDLES = {"1s": "1 second", "1m": "1 minute", "5m": "5 minutes", "1h": "1 hour", "1d": "1 day"}
COMPRESSED_AFTER = "7 days"
KEPT = {"marks": "1 year", "market_trades": "1 year"}  # all else is kept for ever


def upgrade() -> None:
    bind = op.get_bind()
    hypertables = timescale.is_there(bind)
    licensed = timescale.is_licensed(bind)
    for table, (columns, chunk, indexes) in HISTORY.items():
        op.execute(f"CREATE TABLE {table} ({columns})")
        if hypertables:
            op.execute(
                f"SELECT create_hypertable('{table}', 'ts', chunk_time_interval => INTERVAL '{chunk}', "
                "create_default_indexes => false)"
            )
        for number, index in enumerate(indexes, 1):
            op.execute(f"CREATE INDEX {table}_{number} ON {table} ({index})")
    op.execute(ORDERS)
    op.execute("CREATE INDEX orders_account ON orders (account_index, created_ts, order_id)")
    op.execute("CREATE INDEX orders_created ON orders (created_ts, order_id)")
    op.execute(POSITIONS)
    op.execute(API_KEYS)
    op.execute("ALTER TABLE accounts ADD cash bigint NOT NULL DEFAULT 0")
    op.execute("ALTER TABLE accounts ADD trading_state smallint NOT NULL DEFAULT 0")
    op.execute("ALTER TABLE instruments ADD trading_state smallint NOT NULL DEFAULT 0")
    # Whose progress it is: a database of another journal must not be continued.
    op.execute("ALTER TABLE projection_progress ADD journal text NOT NULL DEFAULT ''")
    for name, interval in CANDLES.items():
        _create_candles(name, interval, hypertables, licensed)
    if licensed:
        _add_policies()


def _create_candles(name: str, interval: str, hypertables: bool, licensed: bool) -> None:
    bucket = (
        f"time_bucket(INTERVAL '{interval}', ts)"
        if hypertables
        else f"date_bin(INTERVAL '{interval}', ts, TIMESTAMPTZ '2000-01-01 00:00:00+00')"
    )
    query = (
        f"SELECT symbol_index, {bucket} AS start, {{first}} AS open, max(price) AS high, "  # noqa: S608  # constants
        "min(price) AS low, {last} AS close, sum(quantity)::bigint AS volume, count(*) AS trades "
        "FROM market_trades GROUP BY 1, 2"
    )
    timescale.create_aggregate(
        f"candles_{name}",
        query.format(first="first(price, ts)", last="last(price, ts)"),
        # Trades with the same time have no other order; the lower price opens and the higher closes.
        query.format(
            first="(array_agg(price ORDER BY ts, price))[1]",
            last="(array_agg(price ORDER BY ts DESC, price DESC))[1]",
        ),
        # No further back: what retention has taken from under it must stay in it.
        ("3 days", interval) if licensed else None,
    )


def _add_policies() -> None:
    for table, segment in (
        *(("order_events", "account_index"), ("fills", "account_index"), ("risk_events", "account_index")),
        *(
            ("marks", "symbol_index"),
            ("market_trades", "symbol_index"),
            ("account_snapshots", "account_index"),
        ),
    ):
        timescale.compress(table, segment, "ts DESC", COMPRESSED_AFTER)
    for table, kept in KEPT.items():
        timescale.retain(table, kept)


def downgrade() -> None:
    for name in CANDLES:
        timescale.drop_aggregate(f"candles_{name}")
    for table in (*HISTORY, "orders", "positions", "api_keys"):
        op.execute(f"DROP TABLE {table}")
    op.execute("ALTER TABLE projection_progress DROP journal")
    op.execute("ALTER TABLE instruments DROP trading_state")
    op.execute("ALTER TABLE accounts DROP cash, DROP trading_state")
    # What is left says nothing of the history that is gone: the next upgrade begins from the start.
    op.execute("DELETE FROM projection_progress WHERE projection = 'database'")
