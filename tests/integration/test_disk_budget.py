"""A journal that has used its disk budget: nothing that adds risk, cancels as ever."""

from pathlib import Path

import httpx

from tests.support.api import ApiServer, limit_order

_PADDING_BYTES = 1 << 20


def _place(http: httpx.Client, account: str) -> httpx.Response:
    return http.post("/v1/orders", json=limit_order(account))


def test_orders_stop_and_cancels_go_on_until_there_is_room(tmp_path: Path) -> None:
    with ApiServer(tmp_path, BOT4_JOURNAL_BYTES_MAX=str(_PADDING_BYTES)) as api, api.client() as http:
        api.show_market()
        account = api.open_account("budget")
        while (placed := _place(http, account)).status_code == 422:  # until the first marks are in
            assert placed.json()["code"] == "MARKET_DATA_STALE"
        assert placed.status_code == 201
        disk = api.server.disk
        padding = tmp_path / "journal" / "padding"
        padding.write_bytes(bytes(_PADDING_BYTES))
        api.call(disk.look)
        shown = http.get("/v1/system").json()["journal_disk"]
        assert shown["state"] == "reached"
        assert shown["used_bytes"] > shown["budget_bytes"] == _PADDING_BYTES

        order_id = placed.json()["order_id"]
        for refused in (
            _place(http, account),
            http.post("/v1/orders/batch", json={"orders": [limit_order(account)]}),
            http.patch(f"/v1/orders/{order_id}", json={"quantity": "0.02"}),
        ):
            assert (refused.status_code, refused.json()["code"]) == (503, "STORAGE_FULL")
            assert "retry-after" in refused.headers
        assert http.get(f"/v1/orders/{order_id}").json()["quantity"] == placed.json()["quantity"]
        assert http.delete(f"/v1/orders/{order_id}").json()["status"] == "CANCELED"

        padding.unlink()
        api.call(disk.look)
        assert http.get("/v1/system").json()["journal_disk"]["state"] == "ok"
        assert _place(http, account).status_code == 201
