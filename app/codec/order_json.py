"""Order JSON: an order, or an execution, byte for byte as `app.documents.orders` renders it.

Names of accounts, symbols and client orders are restricted to characters that JSON does not escape,
so they are copied as they are.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.codec import names
from app.codec.writing import Bytes, put_bytes, put_decimal, put_number, put_short_decimal
from app.engine.arithmetic import multiply_divide
from app.engine.jit import inline
from app.engine.types import OrderFlag

ORDER_BYTES_MAX = 1_024
FILL_BYTES_MAX = 256

# Decimals of an average price beyond the tick's; it is rounded half to even.
AVERAGE_PRICE_EXTRA_DECIMALS = 4
_EXTRA = 10**AVERAGE_PRICE_EXTRA_DECIMALS
_MONEY_DECIMALS = 8
_CLIENT_WORDS = 5
_INT64_MAX = (1 << 63) - 1
_DECIMALS_MAX = 18

_PARTS = (
    b'{"order_id":"',
    b'","client_order_id":',
    b',"account":',
    b',"symbol":',
    b',"side":',
    b',"type":',
    b',"time_in_force":',
    b',"price":',
    b',"stop_price":',
    b',"quantity":',
    b',"filled_quantity":',
    b',"average_price":',
    b',"status":',
    b',"code":',
    b',"post_only":',
    b',"reduce_only":',
    b',"triggered":',
    b',"expire_at":',
    b',"created_ts":',
    b',"updated_ts":',
    b',"seq":',
    b',"fills":[',
    b"]",
    b"}",
    b",",
    b'"',
    b"null",
    b"true",
    b"false",
    b'{"fill_id":"',
    b'","price":"',
    b'","quantity":"',
    b'","fee":"',
    b'","liquidity":',
    b',"ts":',
    b',"order_id":"',
)
(
    _ORDER_ID, _CLIENT_ORDER_ID, _ACCOUNT, _SYMBOL, _SIDE, _TYPE, _TIME_IN_FORCE, _PRICE, _STOP_PRICE,
    _QUANTITY, _FILLED_QUANTITY, _AVERAGE_PRICE, _STATUS, _CODE, _POST_ONLY, _REDUCE_ONLY, _TRIGGERED,
    _EXPIRE_AT, _CREATED_TS, _UPDATED_TS, _SEQ, _FILLS, _END_LIST, _END, _COMMA, _QUOTE, _NULL, _TRUE, _FALSE,
    _FILL_ID, _FILL_PRICE, _FILL_QUANTITY, _FILL_FEE, _FILL_LIQUIDITY, _FILL_TS, _FILL_ORDER_ID,
) = range(len(_PARTS))  # fmt: skip
_TEXT = np.frombuffer(b"".join(_PARTS), np.uint8)
_OFFSETS = np.cumsum([0, *map(len, _PARTS)])


@inline
def _part(out: Bytes, at: int, index: int) -> int:
    return put_bytes(out, at, _TEXT, _OFFSETS[index], _OFFSETS[index + 1])


@inline
def _name(out: Bytes, at: int, table: NDArray[np.void], index: int) -> int:
    record = table[index]
    for i in range(record.size):
        out[at + i] = record.text[i]
    return at + record.size


@inline
def _flag(out: Bytes, at: int, value: bool) -> int:
    return _part(out, at, _TRUE if value else _FALSE)


@inline
def _client_order_id(out: Bytes, at: int, event: Any) -> int:
    if event.client_order_id[0] == 0:
        return _part(out, at, _NULL)
    at = _part(out, at, _QUOTE)
    for i in range(_CLIENT_WORDS):
        word = event.client_order_id[i]
        while word != 0:
            out[at] = np.uint8(word & np.uint64(255))
            word >>= np.uint64(8)
            at += 1
    return _part(out, at, _QUOTE)


@inline
def _optional_price(out: Bytes, at: int, ticks: int, instrument: Any) -> int:
    if ticks == 0:
        return _part(out, at, _NULL)
    at = _part(out, at, _QUOTE)
    at = put_decimal(out, at, ticks * instrument.price_unit, instrument.price_decimals)
    return _part(out, at, _QUOTE)


@inline
def _average_price(out: Bytes, at: int, notional: int, filled: int, instrument: Any) -> int:
    """Ticks x steps over steps, rounded half to even; exact where it is a whole number of ticks."""
    unit = instrument.price_unit
    decimals = instrument.price_decimals
    ticks = notional // filled
    rest = notional % filled
    at = _part(out, at, _QUOTE)
    if rest == 0:
        at = put_decimal(out, at, ticks * unit, decimals)
    else:
        scale = unit * _EXTRA
        part = multiply_divide(scale, rest, filled)
        value = ticks * scale + part
        left = scale * rest - part * filled  # below `filled`, whatever has wrapped around
        if 2 * left > filled or (2 * left == filled and value % 2 == 1):
            value += 1
        at = put_short_decimal(out, at, value, decimals + AVERAGE_PRICE_EXTRA_DECIMALS)
    return _part(out, at, _QUOTE)


@inline
def can_be_written(event: Any, tables: names.NameTables) -> bool:
    """Whether all numbers of an order fit here; others are left to the exact, slower path."""
    account = np.int64(event.account)
    symbol = np.int64(event.symbol)
    if account < 0 or account >= len(tables.accounts) or symbol < 0 or symbol >= len(tables.instruments):
        return False
    instrument = tables.instruments[symbol]
    if max(instrument.price_decimals, instrument.quantity_decimals) > (
        _DECIMALS_MAX - AVERAGE_PRICE_EXTRA_DECIMALS
    ):
        return False
    highest = max(event.price, event.stop_price)
    if event.filled_quantity != 0:
        highest = max(highest, event.filled_notional // event.filled_quantity + 1)
    return bool(
        highest < _INT64_MAX // (instrument.price_unit * _EXTRA)
        and event.quantity < _INT64_MAX // instrument.quantity_unit
    )


@inline
def put_order(out: Bytes, at: int, event: Any, tables: names.NameTables) -> int:
    """The order as `event` shows it, without its fills and without the closing brace."""
    instrument = tables.instruments[event.symbol]
    kinds = tables.enumerations
    at = put_number(out, _part(out, at, _ORDER_ID), event.order_id)
    at = _client_order_id(out, _part(out, at, _CLIENT_ORDER_ID), event)
    at = _name(out, _part(out, at, _ACCOUNT), tables.accounts, event.account)
    at = _name(out, _part(out, at, _SYMBOL), tables.instruments, event.symbol)
    at = _name(out, _part(out, at, _SIDE), kinds, names.SIDES + event.side)
    at = _name(out, _part(out, at, _TYPE), kinds, names.TYPES + event.type)
    at = _name(out, _part(out, at, _TIME_IN_FORCE), kinds, names.TIMES_IN_FORCE + event.time_in_force)
    at = _optional_price(out, _part(out, at, _PRICE), event.price, instrument)
    at = _optional_price(out, _part(out, at, _STOP_PRICE), event.stop_price, instrument)
    unit = instrument.quantity_unit
    decimals = instrument.quantity_decimals
    at = _part(out, _part(out, at, _QUANTITY), _QUOTE)
    at = _part(out, put_decimal(out, at, event.quantity * unit, decimals), _QUOTE)
    at = _part(out, _part(out, at, _FILLED_QUANTITY), _QUOTE)
    at = _part(out, put_decimal(out, at, event.filled_quantity * unit, decimals), _QUOTE)
    at = _part(out, at, _AVERAGE_PRICE)
    if event.filled_quantity == 0:
        at = _part(out, at, _NULL)
    else:
        at = _average_price(out, at, event.filled_notional, event.filled_quantity, instrument)
    at = _name(out, _part(out, at, _STATUS), kinds, names.STATUSES + event.status)
    at = _name(out, _part(out, at, _CODE), kinds, names.CODES + event.code)
    at = _flag(out, _part(out, at, _POST_ONLY), (event.flags & OrderFlag.POST_ONLY) != 0)
    at = _flag(out, _part(out, at, _REDUCE_ONLY), (event.flags & OrderFlag.REDUCE_ONLY) != 0)
    at = _flag(out, _part(out, at, _TRIGGERED), (event.flags & OrderFlag.TRIGGERED) != 0)
    at = _part(out, at, _EXPIRE_AT)
    at = put_number(out, at, event.expire_ts) if event.expire_ts != 0 else _part(out, at, _NULL)
    at = put_number(out, _part(out, at, _CREATED_TS), event.created_ts)
    at = put_number(out, _part(out, at, _UPDATED_TS), event.ts)
    return put_number(out, _part(out, at, _SEQ), event.seq)


@inline
def put_fill(out: Bytes, at: int, event: Any, tables: names.NameTables) -> int:
    """The execution of an ORDER_FILLED event."""
    instrument = tables.instruments[event.symbol]
    at = put_number(out, _part(out, at, _FILL_ID), event.execution_id)
    at = _part(out, at, _FILL_PRICE)
    at = put_decimal(out, at, event.last_price * instrument.price_unit, instrument.price_decimals)
    at = _part(out, at, _FILL_QUANTITY)
    at = put_decimal(out, at, event.last_quantity * instrument.quantity_unit, instrument.quantity_decimals)
    at = put_short_decimal(out, _part(out, at, _FILL_FEE), event.fee, _MONEY_DECIMALS)
    at = _name(out, _part(out, at, _FILL_LIQUIDITY), tables.enumerations, names.LIQUIDITIES + event.liquidity)
    at = put_number(out, _part(out, at, _FILL_TS), event.ts)
    return _part(out, at, _END)


@inline
def can_fill_be_written(event: Any, tables: names.NameTables) -> bool:
    """As `can_be_written`, for the numbers of its execution."""
    instrument = tables.instruments[event.symbol]
    return bool(
        event.last_price < _INT64_MAX // instrument.price_unit
        and event.last_quantity < _INT64_MAX // instrument.quantity_unit
    )


@inline
def put_fill_of_order(out: Bytes, at: int, event: Any, tables: names.NameTables) -> int:
    """The same with the fields of its order, for readers that see it alone."""
    at = put_fill(out, at, event, tables) - 1  # its last byte is the closing brace
    at = put_number(out, _part(out, at, _FILL_ORDER_ID), event.order_id)
    at = _client_order_id(out, _part(out, at, _CLIENT_ORDER_ID), event)
    at = _name(out, _part(out, at, _ACCOUNT), tables.accounts, event.account)
    at = _name(out, _part(out, at, _SYMBOL), tables.instruments, event.symbol)
    at = _name(out, _part(out, at, _SIDE), tables.enumerations, names.SIDES + event.side)
    return _part(out, at, _END)


@inline
def begin_fills(out: Bytes, at: int) -> int:
    return _part(out, at, _FILLS)


@inline
def next_fill(out: Bytes, at: int) -> int:
    return _part(out, at, _COMMA)


@inline
def end_fills(out: Bytes, at: int) -> int:
    return _part(out, at, _END_LIST)


@inline
def end_order(out: Bytes, at: int) -> int:
    return _part(out, at, _END)
