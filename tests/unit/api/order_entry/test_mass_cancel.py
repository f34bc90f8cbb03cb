"""The answer to a mass cancel: one item for each order that was open, and how often it ended each way."""

from typing import Any

import httpx
import orjson

from app.api.order_entry.desk import OrderDesk
from app.api.order_entry.mass_cancel import canceled_members
from tests.support.api import ADMIN_KEY, ApiServer, limit_order


def canceled(api: ApiServer, account: str) -> dict[str, Any]:
    """Cancel all of an account's orders; the members, with the list under `mine`."""
    services = api.server.services
    desk = OrderDesk(services)
    principal = services.keys.of_header(f"Bearer {ADMIN_KEY}".encode())
    assert principal is not None

    async def run() -> dict[str, Any]:
        outcomes = await desk.cancel_all(principal, account, None)
        return await canceled_members(services, desk, principal, outcomes, "mine")

    members = api.run(run())
    return members | {"mine": orjson.loads(b"".join(members["mine"]))}


def test_where_nothing_is_open_there_is_nothing_to_tell(api: ApiServer, account: str) -> None:
    assert canceled(api, account) == {"mine": [], "canceled": 0, "pending": 0, "failed": 0}


def test_each_order_is_told_once(api: ApiServer, client: httpx.Client, account: str) -> None:
    orders = [limit_order(account, price=f"{48_000 + number}.00") for number in range(150)]
    placed = client.post("/v1/orders/batch", json={"orders": orders}).json()["results"]
    ids = [each["order"]["order_id"] for each in placed]
    members = canceled(api, account)
    assert {name: count for name, count in members.items() if name != "mine"} == {
        "canceled": len(ids),
        "pending": 0,
        "failed": 0,
    }
    assert sorted(item["order"]["order_id"] for item in members["mine"]) == sorted(ids)
    assert {(item["status"], item["order"]["status"]) for item in members["mine"]} == {(200, "CANCELED")}
    assert canceled(api, account)["mine"] == [], "they have ended"
