"""A journal that cannot be written: the engine halts, nothing is acknowledged, a restart goes on."""

import resource
from pathlib import Path

import httpx

from tests.server_process import AUTHORIZATION, ServerProcess

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
        # What the state shows is ahead of the disk: it is not shown any more.
        shown = http.get(f"/v1/orders/by-client-id/alpha/{refused}")
        assert shown.status_code == 503
        server.stop()

    with server, httpx.Client(base_url=server.url, headers=AUTHORIZATION) as http:
        for client_order_id in acknowledged:
            order = http.get(f"/v1/orders/by-client-id/alpha/{client_order_id}")
            assert order.status_code == 200, order.text
        assert http.get(f"/v1/orders/by-client-id/alpha/{refused}").status_code == 404
        assert _place(http, "again").status_code == 201
