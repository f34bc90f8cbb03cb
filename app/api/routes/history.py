"""History routes, from the database: it may be a moment behind the engine, and it may be down.

Newest first, in pages; with `Accept: text/csv` all rows of the range at once, as a stream.
"""

import base64
import struct
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Depends, Header, Query, Response
from pydantic import BaseModel

from app.api.auth import Principal
from app.api.http.csv_lines import csv_line
from app.api.http.large_response import CSV_TYPE, PiecewiseResponse, document, json_list
from app.api.routes.access import (
    ExactRoute,
    Observer,
    Provided,
    Responses,
    account_index,
    json_response,
    problems,
    symbol_index,
)
from app.api.routes.history_rows import ROWS, Row, shown_row
from app.api.services import Services
from app.documents.content import Content
from app.documents.problems import invalid_field, unknown_order
from app.documents.schemas import TS_MAX
from app.runtime.reference import money_text
from app.store.candles import candles_query
from app.store.history import DAILY, ORDER_EVENTS, Selection, Table, moment

PAGE, PAGE_MAX = 100, 1_000
CSV = "text/csv"
CANDLES_MAX = 1_000
DAYS_MAX = 366
DAY_US = 86_400_000_000
CANDLE_SECONDS = {"1s": 1, "1m": 60, "5m": 300, "15m": 900, "1h": 3_600, "4h": 14_400, "1d": 86_400}

router = APIRouter(prefix="/v1", tags=["history"], route_class=ExactRoute)

Start = Annotated[int | None, Query(ge=0, le=TS_MAX, description="microseconds, in the range")]
End = Annotated[int | None, Query(ge=0, le=TS_MAX, description="microseconds, not in the range")]


class HistoryPage(BaseModel):
    """Newest first; `next_cursor` gives the page after this one, null if there is none."""

    items: list[Content]
    next_cursor: str | None


class _Range(NamedTuple):
    account: str | None
    symbol: str | None
    start: int | None
    end: int | None
    cursor: str | None
    limit: int | None
    accept: str


def _range(
    account: Annotated[str | None, Query(max_length=36)] = None,
    symbol: Annotated[str | None, Query(max_length=24)] = None,
    start: Start = None,
    end: End = None,
    cursor: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int | None, Query(ge=1, le=PAGE_MAX, description="100 if left out")] = None,
    accept: Annotated[str, Header()] = "application/json",
) -> _Range:
    """Raises Problem: CSV has no pages."""
    if CSV in accept:
        for name, value in (("limit", limit), ("cursor", cursor)):
            if value is not None:
                raise invalid_field(name, "CSV has no pages: bound it by start and end")
    return _Range(account, symbol, start, end, cursor, limit, accept)


Asked = Annotated[_Range, Depends(_range)]
_RESPONSES: Responses = {
    **problems(404, 503, 504),
    200: {"model": HistoryPage, "content": {"text/csv": {}}, "description": "a page, or all rows as CSV"},
}


def encode_cursor(key: tuple[int, ...]) -> str:
    """The start of the next page, opaque to clients."""
    return base64.urlsafe_b64encode(struct.pack(f">{len(key)}q", *key)).rstrip(b"=").decode()


def decode_cursor(text: str, fields: int) -> tuple[int, ...]:
    """Raises Problem."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        key: tuple[int, ...] = struct.unpack(f">{fields}q", raw)
    except (ValueError, struct.error):
        raise invalid_field("cursor", "must be the next_cursor of a page before") from None
    if not 0 <= key[0] <= TS_MAX:
        raise invalid_field("cursor", "must be the next_cursor of a page before")
    return key


def _accounts(services: Services, principal: Principal, account: str | None) -> list[int] | None:
    """Indexes of the requested accounts that the key may read; None for all."""
    if account is not None:
        return [account_index(services, principal, account)]
    if principal.accounts is None:
        return None
    known = services.reference.accounts
    return [known[name] for name in sorted(principal.accounts) if name in known]


def _selection(services: Services, principal: Principal, asked: _Range, table: Table) -> Selection:
    if asked.symbol is not None and not table.by_symbol:
        raise invalid_field("symbol", "rows of this kind have no symbol")
    return Selection(
        accounts=_accounts(services, principal, asked.account),
        symbol=None if asked.symbol is None else symbol_index(services, asked.symbol),
        start=asked.start,
        end=asked.end,
        after=None if asked.cursor is None else decode_cursor(asked.cursor, len(table.key)),
        limit=(asked.limit or PAGE) + 1,
    )


async def _answer(
    services: Services, principal: Principal, kind: Row, selection: Selection, accept: str
) -> Response:
    if CSV in accept:
        return await _csv(services, principal, kind, selection)
    rows = await services.history.page(kind.table, selection)
    limit = (selection.limit or 1) - 1
    contents = (shown_row(kind, services.reference, row, principal.sees_all) for row in rows[:limit])
    items = await json_list(services, principal, contents)
    cursor = None
    if len(rows) > limit:
        cursor = encode_cursor(tuple(int(rows[limit - 1][name]) for name in kind.table.key))
    return document(services, principal, items=items, next_cursor=cursor)


async def _csv(services: Services, principal: Principal, kind: Row, selection: Selection) -> Response:
    batches = services.history.export(kind.table, selection)
    # The first rows are read before the response begins: until then an error can still be sent.
    first: list[Any] = await anext(batches, [])

    async def pieces() -> AsyncIterator[bytes]:
        yield csv_line(kind.names).encode()
        rows = first
        while rows:
            contents = (shown_row(kind, services.reference, row, principal.sees_all) for row in rows)
            lines = (csv_line(content.values()) for content in contents)
            async for part in services.turns.spread(principal.number, lines):
                yield "".join(part).encode()
            rows = await anext(batches, [])

    return PiecewiseResponse(pieces(), media_type=CSV_TYPE)


def _add_route(path: str, name: str, closed: bool = False) -> None:
    kind = ROWS[name]

    async def read(services: Provided, principal: Observer, asked: Asked) -> Response:
        selection = _selection(services, principal, asked, kind.table)
        if closed:
            selection = replace(selection, closed=True)
        return await _answer(services, principal, kind, selection, asked.accept)

    read.__doc__ = kind.meaning
    router.add_api_route(path, read, response_model=HistoryPage, responses=_RESPONSES, name=f"history {path}")


for _name in ROWS:
    if ROWS[_name].table is not ORDER_EVENTS:
        _add_route(f"/history/{_name}", _name)
_add_route("/history/closed-orders", "orders", closed=True)


@router.get("/history/orders/{order_id}/events", response_model=HistoryPage, responses=_RESPONSES)
async def order_events(order_id: str, services: Provided, principal: Observer, asked: Asked) -> Response:
    """All events of an order, the last first."""
    if not order_id.isascii() or not order_id.isdigit() or len(order_id) > 18:
        raise unknown_order(order_id)
    selection = replace(_selection(services, principal, asked, ORDER_EVENTS), order_id=int(order_id))
    return await _answer(services, principal, ROWS["order-events"], selection, asked.accept)


class HistoryCandle(BaseModel):
    start: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    trades: int


class HistoryCandles(BaseModel):
    """Trades of the outside market in intervals, oldest first; intervals without a trade are left out."""

    symbol: str
    interval: str
    items: list[HistoryCandle]


@router.get("/market/{symbol}/candles", response_model=HistoryCandles, responses=problems(404, 503, 504))
async def get_candles(
    symbol: str,
    services: Provided,
    principal: Observer,
    interval: Annotated[str, Query(description=", ".join(CANDLE_SECONDS))] = "1m",
    start: Start = None,
    end: End = None,
) -> Response:
    """At most 1,000 intervals; without `start` the last ones before `end`, without `end` up to now."""
    if interval not in CANDLE_SECONDS:
        raise invalid_field("interval", "must be one of " + ", ".join(CANDLE_SECONDS))
    instrument = services.reference.instruments[symbol_index(services, symbol)]
    width = CANDLE_SECONDS[interval] * 1_000_000
    end = services.clock.now() if end is None else end
    if start is not None and end - start > CANDLES_MAX * width:
        raise invalid_field("start", f"the range may have at most {CANDLES_MAX} intervals")
    end += -end % width  # an interval belongs to the range as a whole if its beginning does
    first = end - CANDLES_MAX * width if start is None else start - start % width
    text, arguments = candles_query(width // 1_000_000, instrument.index, max(first, 0), end)
    rows = await services.history.fetch(text, *arguments)
    items = (
        {
            "start": row["start"],
            **{name: instrument.price_text(row[name]) for name in ("open", "high", "low", "close")},
            "volume": instrument.quantity_text(row["volume"]),
            "trades": row["trades"],
        }
        for row in rows
    )
    return document(
        services,
        principal,
        symbol=symbol,
        interval=interval,
        items=await json_list(services, principal, items),
    )


class DailyPnl(BaseModel):
    """`pnl`: the change of equity without transfers; on an account's first day since its opening.

    Null only if history begins after the opening, on its first day.
    """

    day: str
    equity: str
    pnl: str | None
    transferred: str
    realised_pnl: str
    fees: str


class DailyPnls(BaseModel):
    account: str
    items: list[DailyPnl]


@router.get("/history/daily-pnl", response_model=DailyPnls, responses=problems(404, 503, 504))
async def daily_pnl(
    account: Annotated[str, Query(max_length=36)],
    services: Provided,
    principal: Observer,
    start: Start = None,
    end: End = None,
) -> Response:
    """Profit and loss of each UTC day, oldest first; of today so far."""
    index = account_index(services, principal, account)
    end = services.clock.now() + DAY_US if end is None else end
    start = end - DAYS_MAX * DAY_US if start is None else start
    if end - start > DAYS_MAX * DAY_US:
        raise invalid_field("start", f"the range may have at most {DAYS_MAX} days")
    first = max(start - start % DAY_US, 0)
    rows = await services.history.fetch(DAILY, index, moment(first), moment(end))
    items = [
        {
            "day": moment(row["day"]).date().isoformat(),
            "equity": money_text(row["equity"]),
            "pnl": None if row["pnl"] is None else money_text(row["pnl"]),
            "transferred": money_text(row["transferred"]),
            "realised_pnl": money_text(row["realised"]),
            "fees": money_text(row["fees"]),
        }
        for row in rows
    ]
    return json_response({"account": account, "items": items})
