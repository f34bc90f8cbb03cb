"""Equity by hours and days; compressed chunks in the order in which pages of history are read.

A page is ordered by time, number and place of the event. A compressed chunk in another order would have to
be unpacked and sorted for every page.
"""

from alembic import op

from app.store import timescale

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

EQUITY = {"1h": "1 hour", "1d": "1 day"}
COMPRESSED_AFTER = "7 days"
_EVENTS, _TIMES = "ts DESC, seq DESC, event_index DESC", "ts DESC"
# Table: what its rows are kept together by, and in which order.
COMPRESSED = {
    "order_events": ("account_index", _EVENTS),
    "fills": ("account_index", _EVENTS),
    "risk_events": ("account_index", _EVENTS),
    "marks": ("symbol_index", _EVENTS),
    "market_trades": ("symbol_index", _TIMES),
    "account_snapshots": ("account_index", _TIMES),
}
_LAST = ("equity", "cash", "realised", "fees", "transferred")


def upgrade() -> None:
    bind = op.get_bind()
    licensed = timescale.is_licensed(bind)
    for name, interval in EQUITY.items():
        bucket = (
            f"time_bucket(INTERVAL '{interval}', ts)"
            if timescale.is_there(bind)
            else f"date_bin(INTERVAL '{interval}', ts, TIMESTAMPTZ '2000-01-01 00:00:00+00')"
        )
        last = ", ".join(f"last({column}, ts) AS {column}" for column in _LAST)
        plain = ", ".join(f"(array_agg({column} ORDER BY ts DESC))[1] AS {column}" for column in _LAST)
        query = (
            f"SELECT account_index, {bucket} AS start, {{columns}}, min(equity) AS lowest, "  # noqa: S608
            "max(equity) AS highest FROM account_snapshots GROUP BY 1, 2"
        )
        timescale.create_aggregate(
            f"equity_{name}",
            query.format(columns=last),
            query.format(columns=plain),
            # Also what is written late, by a rebuild say: nothing is ever removed from under it.
            (None, interval) if licensed else None,
        )
    if licensed:
        for table, (segment, order) in COMPRESSED.items():
            timescale.compress(table, segment, order, COMPRESSED_AFTER)


def downgrade() -> None:
    for name in EQUITY:
        timescale.drop_aggregate(f"equity_{name}")
