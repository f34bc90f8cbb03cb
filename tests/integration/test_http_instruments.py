"""Instruments over HTTP: what can be held, what is in use, and the settlement of what does not trade."""

import time
from itertools import count
from typing import Any

import httpx
import numpy as np
import pytest

from app.engine.types import Side
from app.market.types import LEVEL_UPDATE, FeedState, LevelKind
from tests.support.api import ApiServer, limit_order, market_order

_NUMBERS = count(1)
_SECONDS_MAX = 30
REASON = "decided by the listing committee"


def terms(**changes: Any) -> dict[str, Any]:
    return {
        "symbol": f"I{next(_NUMBERS)}-USDT",
        "base": "I",
        "quote": "USDT",
        "price_tick": "0.01",
        "quantity_step": "0.001",
        "min_quantity": "0.001",
        "max_quantity": "1000",
        **changes,
    }


def created(client: httpx.Client, **changes: Any) -> dict[str, Any]:
    response = client.post("/v1/instruments", json=terms(**changes))
    assert response.status_code == 201, response.text
    shown: dict[str, Any] = response.json()
    return shown


def refused(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    problem: dict[str, Any] = response.json()
    assert (response.status_code, problem["code"]) == (status, code), response.text
    return problem


def show_market(api: ApiServer, symbol: str, mark: str) -> None:
    """Its mark, and a hundred whole units a tick away on either side."""

    def show() -> None:
        server = api.server
        instrument = server.reference.instruments[server.reference.symbols[symbol]]
        price, quantity = instrument.ticks(mark), instrument.steps("100")
        levels = [
            (price - 1, quantity, instrument.index, Side.BUY, LevelKind.SET),
            (price + 1, quantity, instrument.index, Side.SELL, LevelKind.SET),
        ]
        server.market.on_feed_state(instrument.index, FeedState.LIVE)
        server.market.on_mark(instrument.index, price)
        server.market.on_levels(np.array(levels, LEVEL_UPDATE))

    api.call(show)
    instruments = api.server.engine.state.instruments
    number = api.server.reference.symbols[symbol]
    wanted = api.server.reference.instruments[number].ticks(mark)
    deadline = time.monotonic() + _SECONDS_MAX
    while int(instruments[number]["mark"]) != wanted:
        assert time.monotonic() < deadline
        time.sleep(0.01)


# --- What can be held.


@pytest.mark.parametrize(
    ("tick", "step", "largest"),
    [("1", "1", "1000"), ("0.25", "1", "100000"), ("2.5", "1", "100"), ("10", "1000", "100000"),
     ("1000", "0.1", "1"), ("0.01", "1000000", "1000000")],
)  # fmt: skip
def test_ticks_and_steps_of_any_size(client: httpx.Client, tick: str, step: str, largest: str) -> None:
    shown = created(client, price_tick=tick, quantity_step=step, min_quantity=step, max_quantity=largest)
    assert (shown["price_tick"], shown["quantity_step"]) == (tick, step)
    assert float(shown["max_price"]) >= float(tick)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"price_tick": "0.000001"}, ["0.000000001", "whole multiple", "multiple of 0.01"]),
        ({"price_tick": "1000000", "quantity_step": "1000000", "min_quantity": "1000000",
          "max_quantity": "1000000"}, ["1000000000000,", "11529215046.06846976"]),
        ({"min_quantity": "0"}, ["min_quantity", "at least 0.001"]),
        ({"min_quantity": "2000"}, ["max_quantity 1000.000 is below min_quantity 2000.000"]),
        ({"max_quantity": "2000000000000"}, ["max_quantity may be at most 46116860184.273"]),
        ({"price_tick": "10000", "max_quantity": "2000000"},
         ["may be at most 1152921.504", "one tick, 10000", "20000000000"]),
    ],
)  # fmt: skip
def test_what_cannot_be_held_says_why(
    client: httpx.Client, changes: dict[str, Any], words: list[str]
) -> None:
    problem = refused(client.post("/v1/instruments", json=terms(**changes)), 422, "INVALID_VALUE")
    for word in words:
        assert word in problem["detail"], problem["detail"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"price_tick": "100000000"}, "price_tick: may be at most 1152921.504606846975"),
        ({"price_tick": "0.0000000000001"}, "at most 12 decimals"),
        ({"quantity_step": "0"}, "must be positive"),
        ({"min_notional": "11529215046.1"}, "min_notional: may be at most 11529215046.06846975"),
        ({"max_quantity": "0.0005"}, "must be a multiple of the quantity step, 0.001"),
    ],
)
def test_numbers_off_the_grid_say_so(client: httpx.Client, changes: dict[str, Any], words: str) -> None:
    assert (
        words
        in refused(client.post("/v1/instruments", json=terms(**changes)), 400, "INVALID_REQUEST")["detail"]
    )


@pytest.mark.parametrize("quote", ["BTC", "USD", "EUR"])
def test_quotes_that_accounts_are_not_kept_in(client: httpx.Client, quote: str) -> None:
    symbol = f"ETH{next(_NUMBERS)}-{quote}"
    problem = refused(
        client.post("/v1/instruments", json=terms(symbol=symbol, quote=quote)), 422, "QUOTE_NOT_SETTLED"
    )
    assert (problem["limit"], problem["observed"]) == ("USDT", quote)
    assert quote in problem["detail"] and "USDT" in problem["detail"]
    assert client.get(f"/v1/instruments/{symbol}").status_code == 404


def test_the_widest_book_that_makes_a_mark(client: httpx.Client) -> None:
    shown = created(client)
    assert shown["mark_spread_max_bps"] == 1_000
    assert created(client, mark_spread_max_bps=0)["mark_spread_max_bps"] == 0
    path = f"/v1/instruments/{shown['symbol']}"
    assert client.patch(path, json={"mark_spread_max_bps": 50}).json() == shown | {"mark_spread_max_bps": 50}
    refused(client.patch(path, json={"mark_spread_max_bps": 1_000_001}), 400, "INVALID_REQUEST")


# --- What is in use.


def test_a_change_that_an_order_stands_in_the_way_of(
    api: ApiServer, client: httpx.Client, account: str
) -> None:
    symbol = created(client)["symbol"]
    show_market(api, symbol, "150.00")
    path = f"/v1/instruments/{symbol}"
    body = limit_order(account, symbol=symbol, side="SELL", price="160.00", quantity="5")
    order = client.post("/v1/orders", json=body).json()
    assert order["status"] == "NEW", order
    problem = refused(client.patch(path, json={"max_quantity": "4"}), 409, "INSTRUMENT_IN_USE")
    assert (problem["order_id"], problem["limit"], problem["observed"]) == (
        order["order_id"],
        "4.000",
        "5.000",
    )
    assert order["order_id"] in problem["detail"] and "max_quantity" in problem["detail"]
    problem = refused(client.patch(path, json={"min_quantity": "6"}), 409, "INSTRUMENT_IN_USE")
    assert (problem["limit"], problem["observed"]) == ("6.000", "5.000") and "min_quantity" in problem[
        "detail"
    ]
    # With so large a quantity the highest price is below the mark, then between mark and order.
    problem = refused(client.patch(path, json={"max_quantity": "79000000"}), 409, "INSTRUMENT_IN_USE")
    assert problem["order_id"] is None and problem["observed"] == "150.00" and "mark" in problem["detail"]
    problem = refused(client.patch(path, json={"max_quantity": "74000000"}), 409, "INSTRUMENT_IN_USE")
    assert (problem["order_id"], problem["observed"]) == (order["order_id"], "160.00")
    assert problem["limit"] == "155.80"
    assert client.delete(f"/v1/orders/{order['order_id']}").status_code == 200
    assert client.patch(path, json={"max_quantity": "74000000"}).json()["max_price"] == "155.80"


# --- Settlement.


def test_a_settlement(api: ApiServer, client: httpx.Client) -> None:
    symbol = created(client, taker_fee_bps="0")["symbol"]
    show_market(api, symbol, "100.00")
    long, short, none = (api.open_account(f"{symbol}-{name}".lower()) for name in ("long", "short", "none"))
    for account, side in ((long, "BUY"), (short, "SELL")):
        placed = client.post(
            "/v1/orders", json=market_order(account, symbol=symbol, side=side, quantity="10")
        )
        assert placed.json()["status"] == "FILLED", placed.text
    path = f"/v1/instruments/{symbol}"
    body = {"price": "40.00", "reason": REASON}
    problem = refused(client.post(f"{path}/settle", json=body), 409, "SYMBOL_TRADING")
    assert (problem["limit"], problem["observed"]) == ("HALTED", "TRADING")
    resting = client.post(
        "/v1/orders", json=limit_order(none, symbol=symbol, price="90.00", quantity="1")
    ).json()
    client.patch(path, json={"status": "HALTED"})
    problem = refused(client.post(f"{path}/settle", json=body), 409, "INSTRUMENT_IN_USE")
    assert problem["observed"] == 1 and symbol in problem["detail"]
    client.delete(f"/v1/orders/{resting['order_id']}")

    settled = client.post(f"{path}/settle", json=body)
    assert settled.status_code == 200, settled.text
    assert settled.json() == {
        "symbol": symbol,
        "price": "40.00",
        "positions": [
            {"account": long, "quantity": "10.000", "realised_pnl": "-600.1"},
            {"account": short, "quantity": "-10.000", "realised_pnl": "599.9"},
        ],
    }
    for account, equity in ((long, "999399.9"), (short, "1000599.9"), (none, "1000000")):
        shown = client.get(f"/v1/accounts/{account}").json()
        assert (shown["equity"], shown["cash"], shown["exposure"]) == (equity, equity, "0")
    (position,) = client.get(f"/v1/accounts/{long}/positions").json()["items"]
    assert (position["quantity"], position["realised_pnl"]) == ("0.000", "-600.1")
    assert client.post(f"{path}/settle", json=body).json()["positions"] == []


def test_what_a_settlement_asks_for(api: ApiServer, client: httpx.Client, account: str) -> None:
    shown = created(client, status="HALTED")
    path = f"/v1/instruments/{shown['symbol']}/settle"
    for body in (
        {"price": "1"},
        {"price": "1", "reason": " "},
        {"reason": REASON},
        {"price": "-1", "reason": REASON},
    ):
        refused(client.post(path, json=body), 400, "INVALID_REQUEST")
    refused(client.post(path, json={"price": "1.001", "reason": REASON}), 400, "INVALID_REQUEST")
    for price in ("0", "115292150460.68"):
        problem = refused(client.post(path, json={"price": price, "reason": REASON}), 422, "INVALID_VALUE")
        assert problem["limit"] == shown["max_price"] and shown["max_price"] in problem["detail"]
    refused(
        client.post("/v1/instruments/NONE/settle", json={"price": "1", "reason": REASON}),
        404,
        "UNKNOWN_SYMBOL",
    )
    for role in ("viewer", "trader", "risk"):
        accounts = [account] if role == "trader" else []
        with api.client(api.make_key(role, *accounts)[1]) as other:
            refused(other.post(path, json={"price": "1", "reason": REASON}), 403, "FORBIDDEN")


# --- The limit that watches what is held.


def test_maintenance_leverage(client: httpx.Client, account: str) -> None:
    path = f"/v1/limits/accounts/{account}"
    changed = client.put(
        path, json={"limits": {"MAINTENANCE_LEVERAGE": 500, "MAX_LEVERAGE": 500}, "reason": REASON}
    )
    shown = changed.json()["limits"]["MAINTENANCE_LEVERAGE"]
    assert (shown["value"], shown["unit"], shown["used"]) == (500, "hundredths", 0)
    contradiction = {"limits": {"MAINTENANCE_LEVERAGE": 499}, "reason": REASON}
    assert (
        "MAINTENANCE_LEVERAGE"
        in refused(client.put(path, json=contradiction), 422, "LIMIT_CONTRADICTION")["detail"]
    )
    for scope in ("firm", "symbols/BTC-USDT"):
        wrong = {"limits": {"MAINTENANCE_LEVERAGE": 500}, "reason": REASON}
        refused(client.put(f"/v1/limits/{scope}", json=wrong), 422, "WRONG_SCOPE")
    refused(
        client.put(path, json={"limits": {"MAINTENANCE_LEVERAGE": 0}, "reason": REASON}),
        400,
        "INVALID_REQUEST",
    )
