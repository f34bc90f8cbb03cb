"""kill -9 while accounts are opened: each of them is there with its deposit and its limits, or not at all."""

import contextlib
import threading
import time
from pathlib import Path

import httpx

from tests.support.process import AUTHORIZATION, ServerProcess

LIMITS = {"MAX_ORDER_NOTIONAL": "5000", "MAX_OPEN_ORDERS": 20, "ORDER_RATE": 10, "MAX_PORTFOLIO_VAR": "900"}
KILLS = 3
THREADS = 4
_OPENED_MIN = 20
_SECONDS_MAX = 60


def _open_accounts(url: str, prefix: str, acknowledged: list[str]) -> None:
    """One after the other, until the server is gone."""
    with (
        contextlib.suppress(httpx.TransportError),
        httpx.Client(base_url=url, headers=AUTHORIZATION, trust_env=False) as http,
    ):
        for number in range(1_000):
            name = f"{prefix}-{number}"
            body = {"account": name, "deposit": "100", "limits": LIMITS, "reason": "a test"}
            if http.post("/v1/accounts", json=body).status_code != 201:
                return
            acknowledged.append(name)


def test_no_account_is_half_opened(data_dir: Path) -> None:
    server = ServerProcess(data_dir, BOT4_FEED="none")
    acknowledged: list[str] = []
    for kill in range(KILLS):
        with server:
            before = len(acknowledged)
            threads = [
                threading.Thread(target=_open_accounts, args=(server.url, f"k{kill}t{each}", acknowledged))
                for each in range(THREADS)
            ]
            for thread in threads:
                thread.start()
            deadline = time.monotonic() + _SECONDS_MAX
            while len(acknowledged) < before + _OPENED_MIN:
                assert time.monotonic() < deadline
                time.sleep(0.001)
            server.kill()
            for thread in threads:
                thread.join()
    with server, httpx.Client(base_url=server.url, headers=AUTHORIZATION, trust_env=False) as http:
        accounts = {item["account"]: item for item in http.get("/v1/accounts").json()["items"]}
        assert set(acknowledged) <= set(accounts)
        opened = {name: item for name, item in accounts.items() if name.startswith("k")}
        assert len(opened) >= KILLS * _OPENED_MIN
        for name, item in opened.items():
            limits = http.get(f"/v1/limits/accounts/{name}").json()["limits"]
            shown = {limit: value["value"] for limit, value in limits.items() if value["value"] is not None}
            assert (item["cash"], shown) == ("100", LIMITS), name
