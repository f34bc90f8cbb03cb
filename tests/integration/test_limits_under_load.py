"""No gap between a check and what it allows: races over sockets, changes and stops under load."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from app.api import commands
from app.api.schemas import PlaceOrder
from app.engine.capacity import SLOT_BITS
from app.engine.codes import Code
from app.engine.types import EventKind, OrderStatus, TradingState
from app.runtime.journal_reader import JournalReader
from app.runtime.replay import replay
from tests.api_support import ADMIN_KEY, ApiServer, limit_order, market_order
from tests.server_process import AUTHORIZATION, ServerProcess

CONNECTIONS = 64


async def _at_once(url: str, key: str, bodies: list[dict[str, Any]]) -> list[httpx.Response]:
    """Each body over a connection of its own, all at the same time."""
    headers = {"authorization": f"Bearer {key}"}
    limits = httpx.Limits(max_connections=len(bodies))
    async with httpx.AsyncClient(
        base_url=url, headers=headers, limits=limits, timeout=60, trust_env=False
    ) as client:
        return list(await asyncio.gather(*(client.post("/v1/orders", json=body) for body in bodies)))


@pytest.mark.parametrize(
    ("limits", "changes", "code", "passing"),
    [
        ({"MAX_OPEN_ORDERS": 1}, {}, "MAX_OPEN_ORDERS", 1),
        ({"MAX_OPEN_ORDERS": 7}, {}, "MAX_OPEN_ORDERS", 7),
        ({"MAX_GROSS_EXPOSURE": "2500"}, {}, "MAX_GROSS_EXPOSURE", 5),
        ({"MAX_GROSS_EXPOSURE": "2499.99"}, {"type": "MARKET"}, "MAX_GROSS_EXPOSURE", 4),
    ],
)
def test_the_last_unit_of_a_limit_goes_to_one(
    api: ApiServer, account: str, limits: dict[str, Any], changes: dict[str, Any], code: str, passing: int
) -> None:
    with api.client() as client:
        body = {"limits": limits, "reason": "a race"}
        client.put(f"/v1/limits/accounts/{account}", json=body).raise_for_status()
    make = market_order if changes else limit_order
    bodies = [make(account, client_order_id=f"race-{number}") for number in range(CONNECTIONS)]
    responses = asyncio.run(_at_once(api.url, ADMIN_KEY, bodies))
    assert Counter(response.status_code for response in responses) == {
        201: passing,
        422: CONNECTIONS - passing,
    }
    assert {r.json()["code"] for r in responses if r.status_code == 422} == {code}
    with api.client() as client:
        shown = client.get(f"/v1/limits/accounts/{account}").json()["limits"][code]
    assert float(shown["used"]) <= float(shown["value"])


def test_the_kill_switch_stops_what_is_behind_it_in_the_same_tick(api: ApiServer, account: str) -> None:
    loop, reference = api.server.loop, api.server.reference
    index = reference.accounts[account]

    async def tick() -> list[Any]:
        def order(name: str) -> bytes:
            order = cast(PlaceOrder, limit_order(account, client_order_id=name))
            return commands.place_order(reference, order, 0)

        waiting = [
            loop.submit(order("before")),
            loop.submit(commands.set_trading_state(index, None, TradingState.HALTED, 0)),
            loop.submit(commands.cancel_all(index, None, 0)),
            loop.submit(order("behind")),
        ]
        return list(await asyncio.gather(*waiting))

    before, halted, canceled, behind = asyncio.run_coroutine_threadsafe(tick(), api._loop).result(60)
    assert halted.event.kind == EventKind.TRADING_STATE_SET
    assert before.event.order_id >> SLOT_BITS < halted.event.seq < behind.event.seq
    assert before.event.ts == behind.event.ts, "one tick"
    assert behind.event.status == OrderStatus.REJECTED and behind.event.code == Code.TRADING_HALTED
    (gone,) = canceled.orders
    assert gone.order_id == before.event.order_id and gone.status == OrderStatus.CANCELED


async def _load(url: str, orders: int, lane: int, answers: dict[str, str]) -> None:
    """Orders that rest, one after the other; what became of each, by its client order id."""
    async with httpx.AsyncClient(base_url=url, headers=AUTHORIZATION, timeout=60, trust_env=False) as client:
        for number in range(orders):
            name = f"load-{lane}-{number}"
            body = limit_order("beta", client_order_id=name, price="59000.00", quantity="0.001")
            response = (await client.post("/v1/orders", json=body)).json()
            answers[name] = response.get("code") or response["status"]


async def _change_limits(url: str, answers: dict[str, str], total: int) -> None:
    """Between a wide and a narrow limit, until the load is over."""
    path = "/v1/limits/accounts/beta"
    async with httpx.AsyncClient(base_url=url, headers=AUTHORIZATION, timeout=60, trust_env=False) as client:
        change = 0
        while len(answers) < total:
            narrow = change % 2 == 0
            limits: dict[str, Any] = {
                "MAX_ORDER_NOTIONAL": "10" if narrow else "250000",
                "MAX_OPEN_ORDERS": 100_000,
                "ORDER_RATE": 1_000_000,
                "PRICE_COLLAR_BPS": 9_000,
            }
            body = {"limits": limits, "reason": f"change {change}"}
            (await client.put(path, json=body)).raise_for_status()
            change += 1
            await asyncio.sleep(0.02)


def _refused_in(journal: Path) -> dict[str, str]:
    """By client order id, what the journal says of each refused order."""
    found = {}
    for _, events in JournalReader(journal).batches():
        rejected = events[events["kind"] == EventKind.ORDER_REJECTED]
        for event in rejected:
            found[event["client_order_id"].tobytes().rstrip(b"\0").decode()] = Code(int(event["code"])).name
    return found


def test_a_change_in_the_middle_of_a_load_and_a_replay_of_it(tmp_path: Path) -> None:
    lanes, orders = 16, 40
    answers: dict[str, str] = {}
    with ServerProcess(tmp_path / "data") as server:

        async def run() -> None:
            loads = (_load(server.url, orders, lane, answers) for lane in range(lanes))
            await asyncio.gather(*loads, _change_limits(server.url, answers, lanes * orders))

        asyncio.run(run())
        halt = {"scope": "account:beta", "action": "halt", "cancel_open_orders": True, "reason": "enough"}
        now = 1 << 50
        later = {"limit": "ORDER_RATE", "value": 9, "reason": "soon", "expires_at": now}
        with httpx.Client(base_url=server.url, headers=AUTHORIZATION, timeout=60, trust_env=False) as client:
            now = client.get("/v1/system").json()["now_ts"]
            later["expires_at"] = now + 10**9
            override = client.post("/v1/limits/accounts/alpha/overrides", json=later)
            assert override.status_code == 201, override.text
            stopped = client.post("/v1/kill-switch", json=halt).json()
            before = client.get("/v1/limits").json()
        server.kill()  # -9
        outcome = Counter(answers.values())
        assert outcome.keys() == {"NEW", "MAX_ORDER_NOTIONAL"}, outcome
        assert stopped["canceled"] == outcome["NEW"] and stopped["failed"] == 0
        server.start()
        with httpx.Client(base_url=server.url, headers=AUTHORIZATION, timeout=60, trust_env=False) as client:
            refused = client.post("/v1/orders", json=limit_order("beta")).json()
            assert refused["code"] == "TRADING_HALTED"
            after = client.get("/v1/limits").json()
            assert [(i["scope"], i["version"]) for i in after["items"]] == [
                (i["scope"], i["version"]) for i in before["items"]
            ]
            shown = client.get("/v1/limits/accounts/alpha/overrides").json()["items"]
            assert shown == [override.json()]
            reasons = [c["reason"] for c in client.get("/v1/limits/accounts/beta/history").json()["items"]]
            assert "change 0" in reasons
            counts = client.get("/v1/risk/breaches").json()["counts"]
        of_beta = {row["code"]: row["count"] for row in counts if row["account"] == "beta"}
        assert of_beta["MAX_ORDER_NOTIONAL"] == outcome["MAX_ORDER_NOTIONAL"]
        assert server.stop() == 0
    refused_orders = {name: code for name, code in answers.items() if code != "NEW"}
    journaled = _refused_in(server.journal)
    assert {name: journaled[name] for name in journaled if name.startswith("load-")} == refused_orders
    # It refuses the same orders again, or says where it does not: every event is compared.
    assert replay(server.journal).events > len(answers)
