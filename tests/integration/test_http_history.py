"""History over HTTP, with a real database behind a real server."""

import asyncio
import csv
import io
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from app.store.database import connect
from app.store.history import moment
from tests.support.api import ApiServer, limit_order, market_order

FILLS = 25


@pytest.fixture(scope="session")  # not module: a worker may leave a file and come back to it
def server(tmp_path_factory: pytest.TempPathFactory, history_database_url: str) -> Iterator[ApiServer]:
    with ApiServer(tmp_path_factory.mktemp("history"), BOT4_DATABASE_URL=history_database_url) as api:
        api.show_market()
        for account in ("mine", "other"):
            api.open_account(account)
        time.sleep(0.3)  # marks enter the engine five times a second
        with api.client() as client:
            for number in range(FILLS):
                api.show_market()
                order = market_order("mine" if number % 5 else "other", side="BUY" if number % 2 else "SELL")
                placed = client.post("/v1/orders", json=order)
                assert placed.status_code == 201, placed.text
            refused = client.post("/v1/orders", json=market_order("mine", quantity="200"))
            assert refused.status_code == 422
            _catch_up(client)
        yield api


def _catch_up(client: httpx.Client) -> None:
    """Wait until the database has all that is durable now."""
    seq = client.get("/v1/system").json()["durable_seq"]
    deadline = time.monotonic() + 60
    while client.get("/v1/system").json()["projections"]["database"]["seq"] < seq:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def pages(client: httpx.Client, path: str, **parameters: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    cursor = None
    while True:
        asked = parameters | ({"cursor": cursor} if cursor else {})
        answer = client.get(path, params=asked)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page["items"]) <= parameters.get("limit", 100)
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return items


def test_all_pages_are_all_rows_once(server: ApiServer) -> None:
    with server.client() as client:
        whole = pages(client, "/v1/history/fills")
        assert sum(float(fill["quantity"]) for fill in whole) == pytest.approx(FILLS * 0.01)
        assert pages(client, "/v1/history/fills", limit=3) == whole
        assert [fill["ts"] for fill in whole] == sorted((fill["ts"] for fill in whole), reverse=True)
        middle = whole[len(whole) // 2]["ts"]
        later = pages(client, "/v1/history/fills", start=middle)
        earlier = pages(client, "/v1/history/fills", end=middle)
        assert later + earlier == whole
        mine = pages(client, "/v1/history/fills", account="mine", symbol="BTC-USDT")
        assert mine == [fill for fill in whole if fill["account"] == "mine"]
        assert not pages(client, "/v1/history/fills", symbol="ETH-USDT")


def test_csv_has_the_same_rows(server: ApiServer) -> None:
    with server.client() as client:
        for name in ("orders", "fills", "risk-events", "limit-changes", "audit", "equity", "transfers"):
            items = pages(client, f"/v1/history/{name}")
            answer = client.get(f"/v1/history/{name}", headers={"accept": "text/csv"})
            assert answer.headers["content-type"].startswith("text/csv")
            rows = list(csv.DictReader(io.StringIO(answer.text)))
            shown = [
                {key: "" if value is None else str(value) for key, value in item.items()} for item in items
            ]
            assert rows == shown, name


def test_csv_has_no_pages(server: ApiServer) -> None:
    with server.client() as client:
        for parameter in ({"limit": 3}, {"cursor": "AAAA"}):
            answer = client.get("/v1/history/fills", params=parameter, headers={"accept": "text/csv"})
            assert answer.status_code == 400
            assert [error["path"] for error in answer.json()["errors"]] == list(parameter)


def test_a_trader_is_not_shown_the_numbers_of_the_firm(server: ApiServer) -> None:
    """Rows of its own orders that a limit of all has refused: the limit is others' too."""
    _, key = server.make_key("trader", "other")
    reason = "a test"
    with server.client() as client, server.client(key) as trader:
        firm = {"limits": {"MAX_GROSS_EXPOSURE": "54321"}, "reason": reason}
        client.put("/v1/limits/firm", json=firm).raise_for_status()
        try:
            refused = trader.post("/v1/orders", json=limit_order("other", quantity="5")).json()
        finally:
            firm = {"limits": {"MAX_GROSS_EXPOSURE": None}, "reason": reason}
            client.put("/v1/limits/firm", json=firm).raise_for_status()
        assert refused["code"] == "MAX_GROSS_EXPOSURE"
        _catch_up(client)
        order_id = refused["order_id"]
        for path in ("orders", f"orders/{order_id}/events", "risk-events"):
            for reader, limit in ((client, "54321"), (trader, None)):
                rows = pages(reader, f"/v1/history/{path}", account="other")
                row = next(row for row in rows if row["order_id"] == order_id)
                assert row["code"] == "MAX_GROSS_EXPOSURE" and row["limit"] == limit
                assert (row["observed"] is None) == (limit is None)
                text = reader.get(f"/v1/history/{path}", headers={"accept": "text/csv"}).text
                assert ("54321" in text) == (limit is not None)


def test_orders_and_what_happened_to_them(server: ApiServer) -> None:
    with server.client() as client:
        orders = pages(client, "/v1/history/orders", account="mine")
        assert orders[0]["status"] == "REJECTED"
        closed = pages(client, "/v1/history/closed-orders", account="mine")
        assert closed == [order for order in orders if order["status"] in ("FILLED", "CANCELED", "REJECTED")]
        order_id = orders[-1]["order_id"]
        now = client.get(f"/v1/orders/{order_id}").json()
        assert {name: orders[-1][name] for name in ("status", "filled_quantity", "average_price")} == {
            name: now[name] for name in ("status", "filled_quantity", "average_price")
        }
        events = pages(client, f"/v1/history/orders/{order_id}/events")
        assert [event["event"] for event in events][-1] == "ORDER_ACCEPTED"
        refusal = pages(client, "/v1/history/risk-events", account="mine")[0]
        assert refusal["order_id"] == orders[0]["order_id"]
        candles = client.get("/v1/market/BTC-USDT/candles", params={"interval": "1h"}).json()["items"]
        assert sum(candle["trades"] for candle in candles) > 0


def test_refused_amends_and_cancels_are_risk_events(server: ApiServer) -> None:
    """As in the report of breaches: whoever asks afterwards sees the same, wherever it is asked."""
    _, key = server.make_key("trader", "other")
    limits = "/v1/limits/accounts/other"
    with server.client() as client, server.client(key) as trader:
        placed = client.post("/v1/orders", json=limit_order("other", post_only=True)).json()
        path = f"/v1/orders/{placed['order_id']}"

        def limited(name: str, value: object) -> None:
            body = {"limits": {name: value}, "reason": "a test"}
            client.put(limits, json=body).raise_for_status()

        limited("MAX_ORDER_QUANTITY", "0.01")
        assert client.patch(path, json={"quantity": "5"}).json()["code"] == "MAX_ORDER_QUANTITY"
        limited("MAX_ORDER_QUANTITY", None)
        limited("CANCEL_RATE", 0)
        assert client.delete(path).json()["code"] == "CANCEL_RATE"
        limited("CANCEL_RATE", None)
        assert client.delete(path).json()["status"] == "CANCELED"
        _catch_up(client)
        for reader in (client, trader):
            rows = pages(reader, "/v1/history/risk-events", account="other")
            own = {(row["event"], row["code"]) for row in rows if row["order_id"] == placed["order_id"]}
            assert own == {("REPLACE_REJECTED", "MAX_ORDER_QUANTITY"), ("CANCEL_REJECTED", "CANCEL_RATE")}
        breaches = client.get("/v1/risk/breaches").json()["refusals"]
        codes = {row["code"] for row in breaches if row["order_id"] == placed["order_id"]}
        assert codes == {"MAX_ORDER_QUANTITY", "CANCEL_RATE"}


def test_what_was_refused_of_an_order_is_not_shown_as_the_order_s(server: ApiServer) -> None:
    """T10: a refused amend or cancel is among the order's events; the order is as it was."""
    with server.client() as client:

        def shown() -> tuple[str, str | None]:
            _catch_up(client)
            orders = pages(client, "/v1/history/orders", account="other")
            order = next(each for each in orders if each["order_id"] == placed["order_id"])
            return order["status"], order["code"]

        placed = client.post("/v1/orders", json=limit_order("other", post_only=True)).json()
        path = f"/v1/orders/{placed['order_id']}"
        assert client.patch(path, json={"price": "50001.00"}).json()["code"] == "POST_ONLY_WOULD_TAKE"
        assert shown() == ("NEW", None)
        assert client.patch(path, json={"price": "0"}).json()["code"] == "PRICE_INVALID"
        assert shown() == ("NEW", None)
        assert client.delete(path).json()["status"] == "CANCELED"
        assert client.delete(path).json()["code"] == "ORDER_CLOSED"
        assert shown() == ("CANCELED", None)
        events = pages(client, f"/v1/history{path[3:]}/events")
        assert [(each["event"], each["code"]) for each in events if each["code"]][-2:] == [
            ("REPLACE_REJECTED", "PRICE_INVALID"),
            ("REPLACE_REJECTED", "POST_ONLY_WOULD_TAKE"),
        ]


def test_transfers_are_shown_and_are_no_profit(server: ApiServer) -> None:
    amounts = ("-7.25", "20")
    with server.client() as client:
        for amount in amounts:
            body = {"amount": amount, "reason": "a test; [of it]", "client_transfer_id": f"t{amount}"}
            answer = client.post("/v1/accounts/other/transfers", json=body)
            assert answer.status_code == 201, answer.text
        _catch_up(client)
        rows = pages(client, "/v1/history/transfers", account="other")
        assert pages(client, "/v1/history/transfers", account="other", limit=1) == rows
        assert [(row["amount"], row["client_transfer_id"], row["key"], row["reason"]) for row in rows] == [
            *((amount, f"t{amount}", 1, "a test; [of it]") for amount in reversed(amounts)),
            ("1000000", None, 1, "account opened"),
        ]
        assert answer.json()["transfer_id"] == rows[0]["transfer_id"]
        everyone = pages(client, "/v1/history/transfers")
        assert {row["account"] for row in everyone} >= {"mine", "other"}
        assert client.get("/v1/history/transfers?symbol=BTC-USDT").status_code == 400
        audit = pages(client, "/v1/history/audit", account="other")
        shown = next(item for item in audit if item["event"] == "CASH_TRANSFERRED")
        assert (shown["scope"], shown["name"], shown["old"], shown["new"]) == (
            *("account:other", "cash"),
            *(None, "20"),
        )
    _, key = server.make_key("trader", "mine")
    with server.client(key) as trader:
        assert {row["account"] for row in pages(trader, "/v1/history/transfers")} == {"mine"}
        assert trader.get("/v1/history/transfers?account=other").status_code == 404


def test_who_changed_what_and_why(server: ApiServer) -> None:
    why = {"reason": "größer, weil \n 💥 " + "x" * 100}
    kept = why["reason"]
    pair = "/v1/permissions/accounts/other/symbols/SOL-USDT"
    with server.client() as client:
        now = client.get("/v1/system").json()["now_ts"]
        limits = {"MAX_OPEN_ORDERS": 7, "ORDER_RATE": 70, "MAX_REPEATED_ORDERS": 1}
        client.put("/v1/limits/accounts/other", json=why | {"limits": limits}).raise_for_status()
        client.put(pair, json=why | {"permission": "DENIED"}).raise_for_status()
        client.patch("/v1/risk/parameters", json=why | {"confidence": "0.98"}).raise_for_status()
        orders = {"orders": [market_order("other", quantity="0.002")] * 2}
        assert client.post("/v1/orders/batch", json=orders).json()["results"][1]["status"] == 422
        resume = {"scope": "account:other", "action": "resume"}
        client.post("/v1/kill-switch", json=why | resume).raise_for_status()
        _catch_up(client)
        changes = pages(client, "/v1/history/limit-changes", account="other", start=now)
        audit = pages(client, "/v1/history/audit", start=now)
        states = pages(client, "/v1/history/risk-events", account="other", start=now)
    assert {item["limit"]: (item["old"], item["new"], item["key"], item["reason"]) for item in changes} == {
        limit: (None, value, 1, kept) for limit, value in limits.items()
    }
    assert len(changes) == len(limits), "parts of a request that are only staged change nothing"
    shown = {(item["event"], item["name"]): item for item in audit}
    permission = shown["PERMISSION_SET", None]
    assert (permission["scope"], permission["old"], permission["new"]) == (
        "account:other/symbol:SOL-USDT",
        "DEFAULT",
        "DENIED",
    )
    parameter = shown["RISK_MODEL_SET", "confidence"]
    assert (parameter["scope"], parameter["old"], parameter["new"]) == ("firm", "0.99", "0.98")
    for item in (permission, parameter, shown["LIMIT_SET", "ORDER_RATE"]):
        assert (item["key"], item["reason"]) == (1, kept)
    assert [
        (item["event"], item["code"], item["key"], item["reason"])
        for item in states
        if item["event"] != "ORDER_REJECTED"
    ] == [
        ("TRADING_STATE_SET", None, 1, kept),
        ("TRADING_STATE_SET", "REPEATED_ORDER", 0, None),
        ("BREAKER_TRIPPED", "REPEATED_ORDER", 0, None),
    ]


def test_a_trader_sees_its_accounts_only(server: ApiServer) -> None:
    _, key = server.make_key("trader", "other")
    with server.client() as all_of_them, server.client(key) as trader:
        for name in ("orders", "fills", "limit-changes", "audit"):
            items = pages(all_of_them, f"/v1/history/{name}")
            theirs = pages(trader, f"/v1/history/{name}")
            if name != "limit-changes":
                assert [item["seq"] for item in theirs] == [
                    item["seq"] for item in items if item["account"] == "other"
                ]
            assert 0 < len(theirs) < len(items)
            assert trader.get(f"/v1/history/{name}", params={"account": "mine"}).status_code == 404
        assert trader.get("/v1/history/daily-pnl", params={"account": "mine"}).status_code == 404
        assert trader.get("/v1/history/daily-pnl", params={"account": "other"}).status_code == 200
    with server.client(None) as nobody:
        assert nobody.get("/v1/history/fills").status_code == 401


@pytest.mark.parametrize(
    "query",
    [
        "fills?cursor=no",
        "fills?limit=0",
        "fills?limit=1001",
        "fills?start=-1",
        "orders?start=x",
        "fills?end=1e9",
    ],
)
def test_what_makes_no_sense_is_refused(server: ApiServer, query: str) -> None:
    with server.client() as client:
        answer = client.get(f"/v1/history/{query}")
        assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST")


def test_a_database_that_is_down(api: ApiServer) -> None:
    """The shared server has none."""
    with api.client() as client:
        for path in ("fills", "daily-pnl?account=alpha"):
            answer = client.get(f"/v1/history/{path}")
            assert (answer.status_code, answer.json()["code"]) == (503, "DATABASE_UNAVAILABLE")
            assert "retry-after" in answer.headers
        assert "database" in client.get("/health/ready").json()["degraded"]


def test_a_database_that_takes_too_long(
    server: ApiServer, history_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.store.history.PAGE_SECONDS_MAX", 0.3)

    async def hold() -> httpx.Response:
        connection = await connect(history_database_url)
        async with connection.transaction():
            await connection.execute("LOCK TABLE fills IN ACCESS EXCLUSIVE MODE")
            with server.client() as client:
                answer = await asyncio.to_thread(client.get, "/v1/history/fills")
        await connection.close()
        return answer

    answer = asyncio.run(hold())
    assert (answer.status_code, answer.json()["code"]) == (504, "HISTORY_TIMEOUT")
    with server.client() as client:
        assert client.get("/v1/history/fills").status_code == 200


def test_the_first_day_of_an_account(server: ApiServer, history_database_url: str) -> None:
    """Its profit is counted from the opening; where history begins later, nobody knows it."""
    day_us = 86_400_000_000
    with server.client() as client:
        now = client.get("/v1/system").json()["now_ts"]
    midnight = now - now % day_us
    index = server.server.reference.accounts["other"]

    async def samples(statement: str, *rows: tuple[int, int, int]) -> None:
        connection = await connect(history_database_url)
        await connection.execute(statement)
        for ts, equity, transferred in rows:
            await connection.execute(
                "INSERT INTO account_snapshots (ts, seq, account_index, cash, position_value, exposure, "
                "realised, fees, transferred, open_orders, equity) "
                "VALUES ($1, 1, $2, 0, 0, 0, 5, 2, $3, 0, $4)",
                *(moment(ts), index, transferred, equity),
            )
        await connection.close()

    def days() -> list[tuple[str | None, str]]:
        with server.client() as client:
            start = midnight - 10 * day_us
            answer = client.get("/v1/history/daily-pnl", params={"account": "other", "start": start})
        return [(day["pnl"], day["equity"]) for day in answer.json()["items"]]

    unit = 10**8
    asyncio.run(
        samples(
            f"DELETE FROM account_snapshots WHERE account_index = {index}",
            (midnight - 4 * day_us + 1_000, 990 * unit, 1_000 * unit),  # the day of its opening
            (midnight - 2 * day_us, 1_500 * unit, 1_400 * unit),  # closes the day after; one without samples
            (midnight - day_us + 5, 1_450 * unit, 1_400 * unit),
        )
    )
    assert days() == [("-10", "990"), ("110", "1500"), ("-50", "1450")]
    asyncio.run(samples("INSERT INTO history_gaps VALUES (1, 1, now(), 'a test')"))
    assert days()[0] == (None, "990")
    asyncio.run(samples("DELETE FROM history_gaps WHERE reason = 'a test'"))
