"""History rows as the API shows them: names and decimals in place of indexes and integers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

import asyncpg

from app.api.routes.account_changes import split_reason
from app.documents.changes import Changed, changed_values
from app.documents.content import Content
from app.documents.orders import average_price
from app.documents.problems import code_name
from app.documents.refusals import is_shared, measure, scope_text
from app.engine.types import (
    EventKind,
    Liquidity,
    OrderFlag,
    OrderStatus,
    OrderType,
    OverrideEnd,
    Side,
    TimeInForce,
    TradingState,
)
from app.runtime.reference import Reference, money_text
from app.store.history import (
    AUDIT,
    EQUITY,
    FILLS,
    LIMIT_CHANGES,
    ORDER_EVENTS,
    ORDERS,
    RISK_EVENTS,
    TRANSFERS,
    Table,
)

Record = asyncpg.Record


@dataclass(frozen=True)
class Row:
    """`content` always has the keys `names`, in their order: the columns of CSV."""

    table: Table
    meaning: str
    names: tuple[str, ...]
    content: Callable[[Reference, Record], Content] = field(repr=False)


def shown_row(kind: Row, reference: Reference, row: Record, shows_shared: bool) -> Content:
    """A row as a document; `shows_shared`: with the numbers of scopes that other accounts are in."""
    content = kind.content(reference, row)
    if not shows_shared and "observed" in content and is_shared(row["code"], row["scope"]):
        content |= {"limit": None, "observed": None}
    return content


def _name(kind: type[IntEnum], value: int) -> str | int:
    """The member's name, or the number if this version does not know it."""
    try:
        return str(kind(value).name)
    except ValueError:
        return value


def _where(reference: Reference, row: Record) -> Content:
    account, symbol = row["account_index"], row["symbol_index"]
    return {
        "account": reference.account_names[account] if 0 <= account < len(reference.account_names) else None,
        "symbol": reference.instruments[symbol].symbol if 0 <= symbol < len(reference.instruments) else None,
    }


def _order(reference: Reference, row: Record) -> Content:
    symbol = row["symbol_index"]
    instrument = reference.instruments[symbol] if 0 <= symbol < len(reference.instruments) else None
    filled = row["filled_quantity"]
    found = measure(
        reference, row["code"], row["account_index"], symbol, row["scope"], row["limit_value"],
        row["observed_value"],
    )  # fmt: skip
    return {
        "order_id": str(row["order_id"]),
        "client_order_id": row["client_order_id"],
        **_where(reference, row),
        "side": _name(Side, row["side"]),
        "type": _name(OrderType, row["order_type"]),
        "time_in_force": _name(TimeInForce, row["time_in_force"]),
        "post_only": bool(row["flags"] & OrderFlag.POST_ONLY),
        "reduce_only": bool(row["flags"] & OrderFlag.REDUCE_ONLY),
        "triggered": bool(row["flags"] & OrderFlag.TRIGGERED),
        "status": _name(OrderStatus, row["status"]),
        "code": code_name(row["code"]),
        "price": instrument.price_text(row["price"]) if instrument and row["price"] else None,
        "stop_price": instrument.price_text(row["stop_price"]) if instrument and row["stop_price"] else None,
        "quantity": instrument.quantity_text(row["quantity"]) if instrument else None,
        "filled_quantity": instrument.quantity_text(filled) if instrument else "0",
        "average_price": average_price(instrument, row["filled_notional"], filled)
        if instrument and filled
        else None,
        "limit": found.limit if row["code"] else None,
        "observed": found.observed if row["code"] else None,
        "seq": row["seq"],
    }


def _latest_order(reference: Reference, row: Record) -> Content:
    times = {"created_ts": row["created_ts"], "updated_ts": row["updated_ts"], "expire_at": row["expire_ts"]}
    return _order(reference, row) | times


def _order_event(reference: Reference, row: Record) -> Content:
    return {"ts": row["ts"], "event": _name(EventKind, row["kind"])} | _order(reference, row)


def _fill(reference: Reference, row: Record) -> Content:
    instrument = reference.instruments[row["symbol_index"]]
    return {
        "ts": row["ts"],
        "fill_id": str(row["execution_id"]) if row["order_id"] else None,
        "order_id": str(row["order_id"]) if row["order_id"] else None,
        **_where(reference, row),
        "side": _name(Side, row["side"]),
        "price": instrument.price_text(row["price"]),
        "quantity": instrument.quantity_text(row["quantity"]),
        "fee": money_text(row["fee"]),
        "liquidity": _name(Liquidity, row["liquidity"]) if row["liquidity"] else None,
        "position": instrument.quantity_text(row["position_quantity"]),
        "seq": row["seq"],
    }


def _risk_event(reference: Reference, row: Record) -> Content:
    account, symbol, scope = row["account_index"], row["symbol_index"], row["scope"]
    if row["kind"] == EventKind.TRADING_STATE_SET:
        limit: str | int | None = _name(TradingState, row["limit_value"])
        observed: str | int | None = _name(TradingState, row["observed_value"])
        where = scope_text(reference, scope, account, symbol)
    else:
        limit, observed, where = measure(
            reference, row["code"], account, symbol, scope, row["limit_value"], row["observed_value"]
        )
    return {
        "ts": row["ts"],
        "event": _name(EventKind, row["kind"]),
        "code": code_name(row["code"]),
        "scope": where,
        **_where(reference, row),
        "order_id": str(row["order_id"]) if row["order_id"] else None,
        "limit": limit,
        "observed": observed,
        "key": row["actor"],
        "reason": row["reason"],
        "seq": row["seq"],
    }


def _limit_change(reference: Reference, row: Record) -> Content:
    """Decisions concern a whole request and name no limit: the changed limits have rows of their own."""
    what = changed_values(row["kind"], row["limit_number"], row["old_value"], row["new_value"]) or _NOTHING
    return {
        "ts": row["ts"],
        "event": _name(EventKind, row["kind"]),
        "scope": scope_text(reference, row["scope"], row["account_index"], row["symbol_index"]),
        "limit": what.name,
        "old": what.old,
        "new": what.new,
        "version": row["version"] or None,
        "number": row["number"] or None,
        "expires_ts": row["expires_ts"],
        "ended": _name(OverrideEnd, row["ended"]) if row["ended"] else None,
        "key": row["actor"],
        "reason": row["reason"],
        "seq": row["seq"],
    }


def _audited(reference: Reference, row: Record) -> Content:
    """Changes other than of a limit, rule, parameter, permission or state show the engine's numbers."""
    numbers = row["old_value"], row["new_value"]
    what = changed_values(row["kind"], row["code"], *numbers) or Changed(None, *numbers)
    if row["kind"] == EventKind.SYMBOL_SETTLED:
        price = reference.instruments[row["symbol_index"]].price_text(row["new_value"])
        what = Changed("price", None, price)
    return {
        "ts": row["ts"],
        "event": _name(EventKind, row["kind"]),
        **_where(reference, row),
        "scope": scope_text(reference, row["scope"], row["account_index"], row["symbol_index"]),
        "code": row["code"],
        "name": what.name,
        "old": what.old,
        "new": what.new,
        "key": row["actor"],
        "reason": row["reason"],
        "seq": row["seq"],
    }


def _transfer(reference: Reference, row: Record) -> Content:
    given = split_reason(row["reason"] or "")
    return {
        "ts": row["ts"],
        "transfer_id": str(row["seq"]),
        "client_transfer_id": given.client_transfer_id,
        "account": reference.account_names[row["account_index"]],
        "amount": money_text(row["new_value"]),
        "key": row["actor"],
        "reason": given.reason or None,
        "seq": row["seq"],
    }


def _equity(reference: Reference, row: Record) -> Content:
    money = ("equity", "cash", "position_value", "exposure", "realised", "fees", "transferred")
    return {
        "ts": row["ts"],
        "account": reference.account_names[row["account_index"]],
        **{name: money_text(row[name]) for name in money},
        "open_orders": row["open_orders"],
        "seq": row["seq"],
    }


_NOTHING = Changed(None, None, None)
_WHERE = ("account", "symbol")
_WHY = ("key", "reason", "seq")
_ORDER_NAMES = (
    *(
        "order_id",
        "client_order_id",
        *_WHERE,
        "side",
        "type",
        "time_in_force",
        "post_only",
        "reduce_only",
        "triggered",
    ),
    *("status", "code", "price", "stop_price", "quantity", "filled_quantity", "average_price", "limit"),
    *("observed", "seq"),
)

ROWS = {
    "orders": Row(
        ORDERS,
        "Orders as they are now, by the time they were placed.",
        (*_ORDER_NAMES, "created_ts", "updated_ts", "expire_at"),
        _latest_order,
    ),
    "order-events": Row(
        ORDER_EVENTS, "What happened to an order.", ("ts", "event", *_ORDER_NAMES), _order_event
    ),
    "fills": Row(
        FILLS,
        "Executions, with the position that each led to; settlements too, which are of no order.",
        (
            *("ts", "fill_id", "order_id", *_WHERE, "side", "price", "quantity", "fee", "liquidity"),
            *("position", "seq"),
        ),
        _fill,
    ),
    "risk-events": Row(
        RISK_EVENTS,
        "Refusals by limits and trading states, and changes of trading states.",
        ("ts", "event", "code", "scope", *_WHERE, "order_id", "limit", "observed", *_WHY),
        _risk_event,
    ),
    "limit-changes": Row(
        LIMIT_CHANGES,
        "Every change of a limit: the old value and the new one, by which key and why.",
        (
            *("ts", "event", "scope", "limit", "old", "new", "version", "number", "expires_ts", "ended"),
            *_WHY,
        ),
        _limit_change,
    ),
    "audit": Row(
        AUDIT,
        "Everything that an administrator's command has changed, or was refused.",
        ("ts", "event", *_WHERE, "scope", "code", "name", "old", "new", *_WHY),
        _audited,
    ),
    "transfers": Row(
        TRANSFERS,
        "Cash that was paid into accounts, or out of them: by which key and why.",
        ("ts", "transfer_id", "client_transfer_id", "account", "amount", *_WHY),
        _transfer,
    ),
    "equity": Row(
        EQUITY,
        "Accounts at each full minute.",
        (
            *("ts", "account", "equity", "cash", "position_value", "exposure", "realised", "fees"),
            *("transferred", "open_orders", "seq"),
        ),
        _equity,
    ),
}
