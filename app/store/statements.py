"""SQL statements of the writer other than COPY: the latest state, and the writer's progress."""

_CHANGED = (
    "seq",
    "status",
    "code",
    "scope",
    "flags",
    "price",
    "stop_price",
    "quantity",
    "filled_quantity",
    "filled_notional",
    "updated_ts",
    "expire_ts",
    "limit_value",
    "observed_value",
    "order_type",
)
UPDATE_ORDERS = (
    f"UPDATE orders SET {', '.join(f'{name} = c.{name}' for name in _CHANGED)} "  # noqa: S608  # constants
    "FROM changed_orders c WHERE orders.order_id = c.order_id AND orders.seq < c.seq"
)
UPSERT_POSITIONS = """
    INSERT INTO positions SELECT * FROM changed_positions
    ON CONFLICT (account_index, symbol_index) DO UPDATE SET
        quantity = excluded.quantity, entry_cost = excluded.entry_cost, realised = excluded.realised,
        fees = excluded.fees, seq = excluded.seq
    WHERE positions.seq < excluded.seq
"""
UPSERT_ACCOUNT = """
    INSERT INTO accounts (account_index, account, leverage, cash, trading_state, seq)
    VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (account_index) DO UPDATE SET account = excluded.account, leverage = excluded.leverage,
        cash = excluded.cash, trading_state = excluded.trading_state, seq = excluded.seq
"""
UPSERT_INSTRUMENT = """
    INSERT INTO instruments (symbol_index, symbol, base, quote, price_tick_e12, quantity_step_e8,
        min_quantity, max_quantity, min_notional, maker_fee_ppm, taker_fee_ppm, status, trading_state, seq)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
    ON CONFLICT (symbol_index) DO UPDATE SET min_quantity = excluded.min_quantity,
        max_quantity = excluded.max_quantity, min_notional = excluded.min_notional,
        maker_fee_ppm = excluded.maker_fee_ppm, taker_fee_ppm = excluded.taker_fee_ppm,
        status = excluded.status, trading_state = excluded.trading_state, seq = excluded.seq
"""
UPSERT_KEY = """
    INSERT INTO api_keys (number, name, role, accounts, created_ts, revoked_ts)
    VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (number) DO UPDATE SET name = excluded.name, role = excluded.role,
        accounts = excluded.accounts, revoked_ts = excluded.revoked_ts
"""
READ_PROGRESS = "SELECT seq, journal FROM projection_progress WHERE projection = $1"
BEGIN_PROGRESS = (
    "INSERT INTO projection_progress (projection, seq, journal) VALUES ($1, 0, $2) ON CONFLICT DO NOTHING"
)
MOVE_PROGRESS = (
    "UPDATE projection_progress SET seq = $1, ts = now() WHERE projection = $2 AND seq = $3 AND journal = $4"
)
