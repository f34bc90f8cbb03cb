"""Full server: as many accounts, symbols, orders, keys and changes as a busy firm has."""

import json
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from app.engine.codes import Code
from app.engine.records import EVENT
from app.engine.types import EventKind, Limit, Permission, Scope, Side, TradingState
from app.market.types import LEVEL_UPDATE, LevelKind
from app.runtime.risk_log import CHANGES_MAX, REFUSALS_MAX
from tests.support.api import ApiServer, limit_order

ACCOUNTS, SYMBOLS, KEYS, ORDERS, FILLS, LEVELS = 1_000, 250, 9_900, 3_000, 1_000, 1_000

REASON = {"reason": "r" * 500}

Body = dict[str, Any]


def write_keys(folder: Path) -> None:
    record = {"role": "trader", "accounts": ["alpha", "beta"], "created_ts": 1, "revoked_ts": 1}
    keys = [
        {"number": number, "name": "n" * 100, "sha256": f"{number:064x}", **record}
        for number in range(2, KEYS + 2)
    ]
    (folder / "keys.json").write_text(json.dumps({"version": 1, "keys": keys}))


def open_accounts_and_symbols(client: httpx.Client) -> None:
    limits = {"MAX_GROSS_EXPOSURE": "9000000", "MAX_OPEN_ORDERS": 1_000_000}
    opened = {"deposit": "1000000", "leverage": 10, "limits": limits}
    for name in ("big", *(f"account-{number}" for number in range(ACCOUNTS))):
        client.post("/v1/accounts", json={"account": name, **opened}).raise_for_status()
    symbol = {"base": "X", "quote": "USDT", "price_tick": "0.01", "quantity_step": "0.00001"}
    bounds = {"min_quantity": "0.00001", "max_quantity": "1000"}
    for number in range(SYMBOLS - 8):
        content = {"symbol": f"X{number}-USDT", **symbol, **bounds}
        client.post("/v1/instruments", json=content).raise_for_status()


def trade(server: ApiServer, client: httpx.Client) -> None:
    """Orders that rest; one with as many fills as are shown; books and trades of the market."""
    time.sleep(0.3)  # marks enter the engine five times a second
    makers = [limit_order("big", side="SELL", quantity="0.00100", price="50001.00")] * FILLS
    place(client, makers)
    taker = limit_order(
        "account-1", quantity="1", price="50001.00", client_order_id="taker", self_trade_prevention="NONE"
    )
    client.post("/v1/orders", json=taker).raise_for_status()
    rest = [limit_order("big", client_order_id=f"{number:036}") for number in range(ORDERS)]
    for start in range(0, ORDERS, 1_000):
        place(client, rest[start : start + 1_000])
    server.call(lambda: show_depth(server))


def place(client: httpx.Client, orders: list[Body]) -> None:
    results = client.post("/v1/orders/batch", json={"orders": orders}).json()["results"]
    assert {result["status"] for result in results} == {201}, results[0]


def show_depth(server: ApiServer) -> None:
    index = server.server.reference.symbols["ETH-USDT"]
    instrument = server.server.reference.instruments[index]
    mark, quantity = instrument.ticks("50000"), instrument.steps("1")
    levels = [
        (mark + sign * (20 + step), quantity, index, side, LevelKind.SET)
        for sign, side in ((-1, Side.BUY), (1, Side.SELL))
        for step in range(LEVELS)
    ]
    server.server.market.on_levels(np.array(levels, LEVEL_UPDATE))
    for step in range(1_000):
        server.server.market.on_trade(index, mark + step, quantity, server.server.clock.now())


def await_database(client: httpx.Client) -> None:
    deadline = time.monotonic() + 120
    while (now := client.get("/v1/system").json())["projections"]["database"]["seq"] < now["durable_seq"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def fill_state(server: ApiServer) -> None:
    """What is only read here is written straight into memory: to get there by requests would take hours."""
    state, clock = server.server.engine.state, server.server.clock
    accounts, width = int(state.firm[0]["accounts"]), len(state.accounts)
    state.positions["permission"][: width * SYMBOLS] = Permission.DENIED
    for holder in (state.accounts, state.instruments):
        holder["state_ts"][:] = 1
    state.accounts["trading_state"][100:accounts] = TradingState.REDUCING
    state.account_symbol_limits["set_mask"][: width * 10] = 1 << Limit.MAX_POSITION
    state.account_symbol_limits["value"][: width * 10] = 1
    for records, more in (
        (state.overrides, {}),
        (state.limit_changes, {"status": 1, "created_ts": clock.now()}),
    ):
        numbers = np.arange(1, len(records) + 1)
        records["number"], records["scope"] = numbers, Scope.ACCOUNT
        records["account"], records["symbol"] = numbers % accounts, -1
        records["limit"], records["expires_ts"] = Limit.MAX_OPEN_ORDERS, 1 << 52
        for name, value in more.items():
            records[name] = value
    state.limit_changes["request"] = np.arange(1, len(state.limit_changes) + 1)
    events = np.zeros(REFUSALS_MAX + CHANGES_MAX, EVENT)
    events["ts"], events["seq"] = clock.now(), np.arange(len(events)) + 10_000_000
    events["account"], events["symbol"], events["scope"] = 7, 0, Scope.ACCOUNT
    events["kind"], events["code"] = EventKind.ORDER_REJECTED, Code.MAX_GROSS_EXPOSURE
    events["order_id"], events["limit"], events["observed"] = 1 << 40, 10**15, 10**16
    changes = events[REFUSALS_MAX:]
    changes["kind"], changes["code"], changes["fee"] = EventKind.LIMIT_SET, Limit.MAX_OPEN_ORDERS, 1
    server.server.risk_log.observe(events.tobytes())
