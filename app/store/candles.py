"""Candles of minutes and hours, kept beside the trades that they are made of, and the queries that read them.

Candles of seconds are computed from the trades on request: a page of them covers minutes of trades.
A page of days covers years, too much to compute on request.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

KEPT_SECONDS = (3_600, 60)  # the longest first; other widths are made of these, or of the trades

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ORIGIN = "TIMESTAMPTZ '2000-01-01 00:00:00+00'"
# Trades with the same time have no other order: the lower price opens and the higher closes.
_OPEN, _CLOSE = (
    "(array_agg(price ORDER BY ts, price))[1]",
    "(array_agg(price ORDER BY ts DESC, price DESC))[1]",
)

_ROLL_UP = f"""
    INSERT INTO candles AS kept
    SELECT seconds, symbol_index, date_bin(seconds * INTERVAL '1 s', ts, {_ORIGIN}), {_OPEN}, max(price),
           min(price), {_CLOSE}, sum(quantity), count(*), min(ts), max(ts)
    FROM {{source}}, unnest(ARRAY{list(KEPT_SECONDS)}) AS seconds
    GROUP BY 1, 2, 3
    ON CONFLICT (seconds, symbol_index, start) DO UPDATE SET
        open = CASE WHEN (excluded.first_ts, excluded.open) < (kept.first_ts, kept.open)
                    THEN excluded.open ELSE kept.open END,
        close = CASE WHEN (excluded.last_ts, excluded.close) > (kept.last_ts, kept.close)
                     THEN excluded.close ELSE kept.close END,
        high = greatest(kept.high, excluded.high), low = least(kept.low, excluded.low),
        volume = kept.volume + excluded.volume, trades = kept.trades + excluded.trades,
        first_ts = least(kept.first_ts, excluded.first_ts), last_ts = greatest(kept.last_ts, excluded.last_ts)
"""  # noqa: S608  # constants

_READ = """
    SELECT (extract(epoch FROM start) * 1000000)::bigint AS start, open, high, low, close, volume, trades
    FROM ({rows}) AS candles ORDER BY start
"""
# $1: the width as an interval, $2: the symbol, $3 to $4: the time.
_OF_TRADES = _READ.format(
    rows=f"""
        SELECT date_bin($1, ts, {_ORIGIN}) AS start, {_OPEN} AS open, max(price) AS high, min(price) AS low,
               {_CLOSE} AS close, sum(quantity)::bigint AS volume, count(*) AS trades
        FROM market_trades WHERE symbol_index = $2 AND ts >= $3 AND ts < $4 GROUP BY 1
    """  # noqa: S608  # constants
)
# $5: the width of the kept ones.
_OF_CANDLES = _READ.format(
    rows=f"""
        SELECT date_bin($1, start, {_ORIGIN}) AS start, (array_agg(open ORDER BY start))[1] AS open,
               max(high) AS high, min(low) AS low, (array_agg(close ORDER BY start DESC))[1] AS close,
               sum(volume)::bigint AS volume, sum(trades)::bigint AS trades
        FROM candles
        WHERE seconds = $5 AND symbol_index = $2 AND start >= $3 AND start < $4
        GROUP BY date_bin($1, start, {_ORIGIN})
    """  # noqa: S608  # constants
)


def roll_up(source: str) -> str:
    """SQL that adds the trades of table `source`, each of which must be added once, to the kept candles."""
    return _ROLL_UP.format(source=source)


def candles_query(width: int, symbol: int, start: int, end: int) -> tuple[str, list[Any]]:
    """SQL and its arguments: candles of `width` seconds, whole ones, that begin from `start` to before `end`.

    `start` and `end` in microseconds since the epoch.
    """
    width_us = width * 1_000_000
    first, last = start + -start % width_us, end + -end % width_us
    arguments = [
        timedelta(seconds=width),
        symbol,
        *(_EPOCH + timedelta(microseconds=ts) for ts in (first, last)),
    ]
    for kept in KEPT_SECONDS:
        if width % kept == 0:
            return _OF_CANDLES, [*arguments, kept]
    return _OF_TRADES, arguments
