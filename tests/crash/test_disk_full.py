"""A journal that cannot be written: the engine halts, nothing is acknowledged, a restart goes on."""

import resource
import time
from pathlib import Path

import httpx

from tests.support.process import AUTHORIZATION, ServerProcess

_SECONDS_MAX = 60

ORDER = {
    "account": "alpha",
    "symbol": "BTC-USDT",
    "side": "BUY",
    "type": "LIMIT",
    "price": "60000.00",
    "quantity": "0.001",
}


def _place(http: httpx.Client, client_order_id: str) -> httpx.Response:
    return http.post("/v1/orders", json=ORDER | {"client_order_id": client_order_id})


def _check_what_a_halted_server_shows(http: httpx.Client, refused: str) -> None:
    """Figures, history, keys and the market; nothing of the state, which is ahead of the disk."""
    system = http.get("/v1/system").json()
    assert system["halted"] and not system["ready"]
    assert "File too large" in system["halt_reason"]
    assert system["durable_seq"] < system["seq"]
    assert "\nbot4_halted 1\n" in http.get("/metrics").text
    for path in (
        "/openapi.json",
        "/v1/keys",
        "/v1/market",
        "/v1/market/BTC-USDT/trades",
        "/v1/risk/breaches",
    ):
        assert http.get(path).status_code == 200, path
    # There is no database here; where there is one it has what is durable alone.
    assert http.get("/v1/history/orders").json()["code"] == "DATABASE_UNAVAILABLE"
    for path in (
        f"/v1/orders/by-client-id/alpha/{refused}",
        "/v1/orders",
        "/v1/positions",
        "/v1/accounts/alpha",
        "/v1/market/BTC-USDT/book",
        "/v1/limits/firm",
        "/v1/permissions",
        "/v1/kill-switch",
        "/v1/risk",
    ):
        shown = http.get(path)
        assert (shown.status_code, shown.json()["code"]) == (503, "ENGINE_HALTED"), path
    body = {"limits": {"ORDER_RATE": 5}, "reason": "a test"}
    changed = http.put("/v1/limits/accounts/alpha", json=body)
    assert (changed.status_code, changed.json()["code"]) == (503, "ENGINE_HALTED")
    assert http.get("/v1/system", headers={"Authorization": "Bearer wrong"}).status_code == 401


def test_a_full_disk_halts_the_engine_and_loses_nothing(data_dir: Path) -> None:
    server = ServerProcess(data_dir)
    with server, httpx.Client(base_url=server.url, headers=AUTHORIZATION) as http:
        assert _place(http, "before").status_code == 201
        size = max(path.stat().st_size for path in server.journal.glob("*.b4j"))
        # No file of the process may grow beyond this: to the journal, a disk with 4 KiB left.
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size + 4096, size + 4096))
        acknowledged = ["before"]
        for number in range(200):
            response = _place(http, f"full-{number}")
            if response.status_code != 201:
                break
            acknowledged.append(f"full-{number}")
        assert response.status_code == 503
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["code"] == "ENGINE_HALTED"
        assert "retry-after" in response.headers
        refused = f"full-{number}"

        assert _place(http, "after").json()["code"] == "ENGINE_HALTED"
        assert http.get("/health/live").status_code == 200
        assert http.get("/health/ready").status_code == 503
        _check_what_a_halted_server_shows(http, refused)
        server.stop()

    with server, httpx.Client(base_url=server.url, headers=AUTHORIZATION) as http:
        for client_order_id in acknowledged:
            order = http.get(f"/v1/orders/by-client-id/alpha/{client_order_id}")
            assert order.status_code == 200, order.text
        assert http.get(f"/v1/orders/by-client-id/alpha/{refused}").status_code == 404
        assert _place(http, "again").status_code == 201


def test_a_halted_server_has_the_history_of_what_is_durable(data_dir: Path, database_url: str) -> None:
    server = ServerProcess(data_dir, BOT4_DATABASE_URL=database_url)
    with server, httpx.Client(base_url=server.url, headers=AUTHORIZATION) as http:
        size = max(path.stat().st_size for path in server.journal.glob("*.b4j"))
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size + 16_384, size + 16_384))
        acknowledged = set()
        for number in range(200):
            if _place(http, f"full-{number}").status_code != 201:
                break
            acknowledged.add(f"full-{number}")
        assert http.get("/health/ready").json()["code"] == "ENGINE_HALTED"
        deadline = time.monotonic() + _SECONDS_MAX
        while True:
            system = http.get("/v1/system").json()
            if system["projections"].get("database", {}).get("seq", 0) == system["durable_seq"]:
                break
            assert time.monotonic() < deadline, system
            time.sleep(0.1)
        orders = http.get("/v1/history/orders", params={"limit": 1000}).json()["items"]
        assert {order["client_order_id"] for order in orders} == acknowledged
        audit = http.get("/v1/history/audit", params={"account": "alpha"}).json()["items"]
        assert "ACCOUNT_SET" in {item["event"] for item in audit}
