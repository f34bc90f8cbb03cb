"""The engine's arrays against the twin's objects, field by field."""

from typing import Any

import numpy as np

from app.engine.engine import Engine
from app.engine.state import NO_SLOT, State
from tests.models.engine import SLOTS, EngineTwin
from tests.models.engine_limit_model import limit_key
from tests.models.engine_model import Account, Books, Bucket, Instrument, Order, Reserved
from tests.support.engine import words

_ORDER_FIELDS = (
    "order_id", "account", "symbol", "status", "side", "type", "time_in_force", "flags",
    "self_trade_prevention", "code", "scope", "seq", "priority", "price", "stop_price", "quantity",
    "filled_quantity", "filled_notional", "created_ts", "updated_ts", "expire_ts", "replace_price",
    "replace_quantity", "replace_priority", "reserved", "reserved_price", "reserved_cost", "limit",
    "observed", "waiting",
)  # fmt: skip


def check_same(engine: Engine, twin: EngineTwin) -> None:
    state, books = engine.state, twin.books
    firm = state.firm[0]
    open_count = sum(1 for _ in books.open_orders())
    exposure = sum(books.exposure(account) for account in range(len(books.accounts)))
    _same(
        firm,
        seq=books.seq,
        ts=books.ts,
        day_start_ts=books.day_start_ts,
        exposure=exposure,
        orders_used=len(books.slots),
        open_orders=open_count,
        fills=books.fills,
        accounts=len(books.accounts),
        symbols=len(books.instruments),
        trading_state=books.state,
        progress=0,
        alarm=0,
        group_open=twin.group_open,
        stops_due=any(instrument.stops_due for instrument in books.instruments),
        first_unsettled=_any_moved(state, twin),
        trim_account=NO_SLOT,
        trim_slot=NO_SLOT,
        equity=books.firm_equity(),
        peak_equity=books.peak_equity,
        day_start_equity=books.day_start_equity,
        **_flows(books, -1),
    )
    _same_bucket(firm, books.bucket)
    _same_bucket(firm, books.cancel_bucket, "cancel")
    _same_state(firm, books)
    for index in range(len(books.accounts)):
        _check_account(state, twin, index)
    for symbol in range(len(books.instruments)):
        _check_instrument(state, twin, symbol)
    for slot, order in enumerate(books.slots):
        _check_order(state, twin, slot, order)
    assert _closed(state) == list(books.closed)
    # The indexes hold what is remembered and nothing else: stale entries would fill them up.
    assert np.count_nonzero(state.client_ids) == len(books.named)
    assert np.count_nonzero(state.executions) == len(books.executions)
    _check_limits(state, twin)
    _check_repeats(state, books)


def _any_moved(state: State, twin: EngineTwin) -> int:
    """Where the list of accounts whose equity has moved may begin."""
    first = int(state.firm[0]["first_unsettled"])
    return first if first in (twin.books.moved or {NO_SLOT}) else -2


def _same(record: np.void, **expected: int) -> None:
    found = {name: int(record[name]) for name in expected}
    assert found == {name: int(value) for name, value in expected.items()}


def _same_bucket(record: np.void, bucket: Bucket, what: str = "order") -> None:
    _same(record, **{f"{what}_tokens": bucket.level, f"{what}_tokens_ts": bucket.ts or 0})


def _same_state(record: np.void, holder: Books | Account | Instrument) -> None:
    _same(record, state_cause=holder.state_cause, state_ts=holder.state_ts, state_actor=holder.state_actor)


def _flows(books: Books, account: int) -> dict[str, int]:
    upper, lower = books.net(account)
    return {
        "upper": upper,
        "lower": lower,
        "open_notional": books.open_notional(account),
        "day_traded": books.turnover(account),
    }


def _check_account(state: State, twin: EngineTwin, index: int) -> None:
    books, account = twin.books, twin.books.accounts[index]
    record = state.accounts[index]
    _same(
        record,
        leverage=account.leverage,
        cash=account.cash,
        transferred=account.transferred,
        position_value=books.position_value(index),
        gross_value=books.gross_value(index),
        open_cost=books.open_cost(index),
        unsettled=index in books.moved,
        exposure=books.exposure(index),
        realised=account.realised,
        fees=account.fees,
        peak_equity=account.peak_equity,
        day_start_equity=account.day_start_equity,
        open_orders=len(account.open),
        trading_state=account.state,
        exists=1,
        messages=account.messages,
        day_fills=account.day_fills,
        rejections=account.rejections,
        repeats_forgotten=account.repeats_forgotten,
        permission=books.permissions.get((index, -1), 0),
        **_flows(books, index),
    )
    _same_bucket(record, account.cancel_bucket, "cancel")
    _same_state(record, account)
    assert record["name"].tolist() == words(account.name, 40).tolist()
    _same_bucket(record, account.bucket)
    assert _open(state, index) == [order_id % SLOTS for order_id in account.open]
    reserved = books.reserved(index)
    for symbol in range(len(books.instruments)):
        position, there = books.position(index, symbol), reserved.get(symbol, Reserved())
        worst, unit = books.worst(index, symbol), books.unit(symbol)
        lowest, highest = books.span(index, symbol)
        _same(
            state.positions[symbol * len(state.accounts) + index],
            quantity=position.quantity,
            entry_cost=position.entry_cost,
            realised=position.realised,
            fees=position.fees,
            value=position.quantity * unit,
            worst=worst,
            exposure=worst * unit,
            upper=highest * unit,
            lower=lowest * unit,
            open_buy=there.buy,
            open_sell=there.sell,
            reduce_buy=there.reduce_buy,
            reduce_sell=there.reduce_sell,
            open_orders=there.orders,
            permission=books.permissions.get((index, symbol), 0),
        )


def numbers_in_buckets(state: State) -> list[int]:
    """Of the orders that the buckets of `app.engine.repeats` lead to, without those that are gone."""
    found = []
    size = len(state.repeats)
    gone = max(int(state.firm[0]["repeats"]) - size, 0)
    for bucket in np.flatnonzero(state.repeat_buckets):
        number = int(state.repeat_buckets[bucket])
        while number > gone:
            found.append(number)
            number = int(state.repeats[(number - 1) % size]["behind"])
    return found


def _check_repeats(state: State, books: Books) -> None:
    names = ("account", "symbol", "side", "price", "quantity")
    for counted in books.repeats:
        entry = state.repeats[(counted.number - 1) % len(state.repeats)]
        _same(entry, ts=counted.ts, **dict(zip(names, counted.what, strict=True)))
    newest = {counted.what: counted.number for counted in books.repeats}
    assert sorted(numbers_in_buckets(state)) == sorted(newest.values())


def _check_instrument(state: State, twin: EngineTwin, symbol: int) -> None:
    instrument = twin.books.instruments[symbol]
    _same(
        state.instruments[symbol],
        multiplier=instrument.multiplier,
        min_quantity=instrument.min_quantity,
        max_quantity=instrument.max_quantity,
        max_price=instrument.max_price,
        min_notional=instrument.min_notional,
        mark=instrument.mark,
        mark_ts=instrument.mark_ts,
        status=instrument.status,
        maker_fee_ppm=instrument.maker_fee_ppm,
        taker_fee_ppm=instrument.taker_fee_ppm,
        stops_due=instrument.stops_due,
        trading_state=instrument.state,
        mark_spread_max_bps=instrument.mark_spread_max_bps,
        rejections=instrument.rejections,
        worst=sum(twin.books.worst(account, symbol) for account in range(len(twin.books.accounts))),
    )

    _same_state(state.instruments[symbol], instrument)


def _check_order(state: State, twin: EngineTwin, slot: int, order: Order) -> None:
    record = state.orders[slot]
    _same(record, **{name: int(getattr(order, name)) for name in _ORDER_FIELDS})
    key = (order.account, order.client_order_id)
    _same(record, indexed=twin.books.named.get(key) is order)
    assert record["client_order_id"].tolist() == words(order.client_order_id, 40).tolist()
    if order.due is not None:
        _same(state.expiries[slot], key=order.due)
    assert (state.expiries[slot]["rank"] > 0) == (order.due is not None)


def _open(state: State, account: int) -> list[int]:
    """Slots of an account's open orders, oldest first; backwards they must be the same."""
    forwards: list[int] = []
    slot = int(state.accounts[account]["first_open"])
    while slot != NO_SLOT:
        forwards.append(slot)
        slot = int(state.orders[slot]["next"])
    backwards: list[int] = []
    slot = int(state.accounts[account]["last_open"])
    while slot != NO_SLOT:
        backwards.append(slot)
        slot = int(state.orders[slot]["previous"])
    assert forwards == backwards[::-1]
    return forwards


def _closed(state: State) -> list[int]:
    firm = state.firm[0]
    places = np.arange(int(firm["closed_begin"]), int(firm["closed_end"]))
    slots: list[int] = state.closed[places % len(state.closed)].tolist()
    return slots


def _limits_at(record: np.void) -> dict[int, int]:
    mask = int(record["set_mask"])
    return {which: int(value) for which, value in enumerate(record["value"]) if mask >> which & 1}


def _check_limits(state: State, twin: EngineTwin) -> None:
    books = twin.books
    found: dict[Any, dict[int, int]] = {limit_key(1, -1, -1): _limits_at(state.firm_limits[0])}
    for account in range(len(books.accounts)):
        found[limit_key(2, account, -1)] = _limits_at(state.account_limits[account])
        for symbol in range(len(books.instruments)):
            pair = symbol * len(state.accounts) + account
            found[limit_key(4, account, symbol)] = _limits_at(state.account_symbol_limits[pair])
    for symbol in range(len(books.instruments)):
        found[limit_key(3, -1, symbol)] = _limits_at(state.symbol_limits[symbol])
    keys = {*books.limits, *(override.key for override in books.overrides.values())}
    expected = {key: books.effective(key) for key in keys}
    assert {k: v for k, v in found.items() if v} == {k: v for k, v in expected.items() if v}
    _check_administration(state, twin)


def _check_administration(state: State, twin: EngineTwin) -> None:
    books = twin.books
    ends = [override.expires_ts for override in books.overrides.values()]
    _same(
        state.firm[0],
        last_override=books.last_override,
        next_override_ts=min(ends, default=0),
        last_change=books.last_change,
        staged=len(books.staged),
    )
    assert state.firm[0]["policy"].tolist() == books.policies
    overrides = {int(record["number"]): record for record in state.overrides if record["number"]}
    assert overrides.keys() == books.overrides.keys()
    for number, override in books.overrides.items():
        own = books.limits.get(override.key, {}).get(override.limit, -1)
        fields = {name: value for name, value in vars(override).items() if name != "key"}
        _same(overrides[number], own_value=own, **fields)
    changes = {int(record["number"]): record for record in state.limit_changes if record["number"]}
    assert changes.keys() == books.changes.keys()
    for number, change in books.changes.items():
        _same(changes[number], **vars(change))
