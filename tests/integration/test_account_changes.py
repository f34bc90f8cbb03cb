"""Cash in and out of accounts, their leverage: who, why, and what refuses it."""

import asyncio
import concurrent.futures
from typing import Any

import httpx
import pytest

from bot4_client import Client, Refused
from tests.support.api import ADMIN_KEY, ApiServer, market_order
from tests.support.stream import Watcher

WHY = {"reason": "größere Einlage"}


def _transfer(client: httpx.Client, account: str, amount: Any, **more: Any) -> httpx.Response:
    body = {"amount": amount, **WHY, **more}
    return client.post(f"/v1/accounts/{account}/transfers", json=body)


def _refused(response: httpx.Response, status: int, code: str) -> str:
    assert (response.status_code, response.json()["code"]) == (status, code), response.text
    return str(response.json()["detail"])


@pytest.mark.parametrize("amount", ["250.5", 250, "250.50000000", 0.25])
def test_cash_comes_in_and_goes_out(client: httpx.Client, account: str, amount: Any) -> None:
    answer = _transfer(client, account, amount)
    assert answer.status_code == 201
    shown = answer.json()
    assert float(shown["amount"]) == float(amount) and shown["reason"] == WHY["reason"]
    assert float(shown["cash"]) == 1_000_000 + float(amount)
    assert (shown["account"], shown["client_transfer_id"]) == (account, None)
    out = _transfer(client, account, f"-{shown['amount']}").json()
    assert (out["amount"], out["cash"]) == (f"-{shown['amount']}", "1000000")
    assert int(out["transfer_id"]) > int(shown["transfer_id"])


def test_a_transfer_is_no_profit_and_no_loss(client: httpx.Client, account: str) -> None:
    client.post("/v1/orders", json=market_order(account)).raise_for_status()
    before = client.get(f"/v1/accounts/{account}").json()
    for amount in ("5000", "-2000", "-1000"):
        assert _transfer(client, account, amount).status_code == 201
    after = client.get(f"/v1/accounts/{account}").json()
    for name in ("cash", "equity", "free_margin", "peak_equity", "day_start_equity"):
        assert float(after[name]) - float(before[name]) == pytest.approx(2_000), name
    for name in ("realised_pnl", "unrealised_pnl", "fees", "initial_margin", "exposure"):
        assert after[name] == before[name]


@pytest.mark.parametrize(
    "amount",
    ["0", "-0", "1e3", "+1", "0.000000001", "9" * 31, "99999999999999", None, "", " 1", "--1", True],
)
def test_amounts_that_are_none(client: httpx.Client, account: str, amount: Any) -> None:
    assert "amount" in _refused(_transfer(client, account, amount), 400, "INVALID_REQUEST")
    assert client.get(f"/v1/accounts/{account}").json()["cash"] == "1000000"


def test_a_reason_is_needed(client: httpx.Client, account: str) -> None:
    for reason in ("", "   ", None, "x" * 501, "💥" * 500):
        _refused(_transfer(client, account, "1", reason=reason), 400, "INVALID_REQUEST")
        change = {"leverage": 3, "reason": reason}
        _refused(client.patch(f"/v1/accounts/{account}", json=change), 400, "INVALID_REQUEST")


def test_who_may_move_cash(api: ApiServer, account: str) -> None:
    for role, status in (("viewer", 403), ("trader", 403), ("risk", 201), ("admin", 201)):
        key = api.make_key(role, *([account] if role == "trader" else []))[1]
        with api.client(key) as client:
            assert _transfer(client, account, "1").status_code == status
            change = client.patch(f"/v1/accounts/{account}", json={"leverage": 9, **WHY})
            assert change.status_code == (status if status == 403 else 200)


def test_an_account_that_is_none(client: httpx.Client) -> None:
    _refused(_transfer(client, "nobody-at-all", "1"), 404, "UNKNOWN_ACCOUNT")
    change = client.patch("/v1/accounts/nobody-at-all", json={"leverage": 2, **WHY})
    _refused(change, 404, "UNKNOWN_ACCOUNT")


def test_what_the_engine_refuses_is_told(client: httpx.Client, account: str) -> None:
    most = 11_000_000_000
    answers = [_transfer(client, account, most) for _ in range(5)]
    taken = [answer for answer in answers if answer.status_code == 201]
    assert 0 < len(taken) < len(answers)
    _refused(answers[-1], 422, "VALUE_RANGE")
    for _ in taken:
        _transfer(client, account, -most).raise_for_status()


def test_a_repeat_moves_money_once(client: httpx.Client, account: str) -> None:
    first = _transfer(client, account, "10", client_transfer_id="march/1")
    again = _transfer(client, account, "10.00", client_transfer_id="march/1", reason="another")
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json()["transfer_id"] == first.json()["transfer_id"]
    assert again.json()["reason"] == first.json()["reason"] != "another"
    assert client.get(f"/v1/accounts/{account}").json()["cash"] == "1000010"
    other = _transfer(client, account, "11", client_transfer_id="march/1")
    _refused(other, 409, "DUPLICATE_CLIENT_TRANSFER_ID")
    assert _transfer(client, account, "10", client_transfer_id="march/2").status_code == 201


def test_a_reason_cannot_pass_for_a_transfer_with_an_id(client: httpx.Client, account: str) -> None:
    reason = "rent [client_transfer_id: april/1]"
    opening = {"account": f"{account}-forged", "deposit": "10", "reason": reason}
    for forged in (
        _transfer(client, account, "10", reason=reason),
        client.post("/v1/accounts", json=opening),
    ):
        assert "reason" in _refused(forged, 400, "INVALID_REQUEST")
    unlike = _transfer(client, account, "10", reason="see [client_transfer_id: april/1] of the bank")
    assert unlike.status_code == 201
    assert _transfer(client, account, "10", client_transfer_id="april/1").status_code == 201
    assert client.get(f"/v1/accounts/{account}").json()["cash"] == "1000020"


def test_ids_are_an_accounts_own(api: ApiServer, client: httpx.Client, account: str) -> None:
    other = api.open_account(f"{account}-b")
    for name in (account, other):
        assert _transfer(client, name, "10", client_transfer_id="same").status_code == 201


def test_the_same_transfer_many_times_at_once(client: httpx.Client, account: str) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        tries = [threads.submit(_transfer, client, account, "1", client_transfer_id="x") for _ in range(16)]
    assert sorted(each.result().status_code for each in tries) == [200] * 15 + [201]
    assert client.get(f"/v1/accounts/{account}").json()["cash"] == "1000001"


def test_leverage_changes_what_margin_is_needed(client: httpx.Client, account: str) -> None:
    client.post("/v1/orders", json=market_order(account)).raise_for_status()
    before = client.get(f"/v1/accounts/{account}").json()
    after = client.patch(f"/v1/accounts/{account}", json={"leverage": 2, **WHY})
    assert after.status_code == 200 and after.json()["leverage"] == 2
    assert float(after.json()["initial_margin"]) == pytest.approx(5 * float(before["initial_margin"]))
    assert client.get(f"/v1/accounts/{account}").json() == after.json()
    for leverage in (0, 1_001, "2", 1.5, None):
        change = {"leverage": leverage, **WHY}
        _refused(client.patch(f"/v1/accounts/{account}", json=change), 400, "INVALID_REQUEST")


def test_who_and_why_is_in_the_history_of_the_account(client: httpx.Client, account: str) -> None:
    _transfer(client, account, "-5", client_transfer_id="out").raise_for_status()
    client.patch(f"/v1/accounts/{account}", json={"leverage": 3, "reason": "less risk"}).raise_for_status()
    changes = client.get(f"/v1/limits/accounts/{account}/history").json()["items"]
    leverage, transfer = changes[:2]
    assert (leverage["kind"], leverage["limit"], leverage["old"], leverage["new"]) == (
        *("ACCOUNT_SET", "leverage"),
        *(10, 3),
    )
    assert (leverage["actor"], leverage["reason"]) == (1, "less risk")
    assert (transfer["kind"], transfer["limit"], transfer["new"]) == ("CASH_TRANSFERRED", "cash", "-5")
    assert transfer["actor"] == 1 and transfer["reason"].startswith(WHY["reason"])


def test_who_and_why_is_told_live(client: httpx.Client, watcher: Watcher, account: str) -> None:
    watcher.subscribe({"name": "risk", "account": account})
    _transfer(client, account, "7").raise_for_status()
    client.patch(f"/v1/accounts/{account}", json={"leverage": 3, "reason": "less risk"}).raise_for_status()
    transfer = watcher.update("risk", account, lambda item: item["event"] == "transfer")
    change = watcher.update("risk", account, lambda item: item["event"] == "account")
    assert (transfer["account"], transfer["amount"]) == (account, "7")
    assert (transfer["actor"], transfer["reason"]) == (1, WHY["reason"])
    assert (change["account"], change["leverage"], change["previous"]) == (account, 3, 10)
    assert (change["actor"], change["reason"]) == (1, "less risk")


async def _with_client(url: str, account: str) -> None:
    async with Client(url, ADMIN_KEY) as client:
        assert (await client.transfer(account, "12.5", "a test"))["cash"] == "1000012.5"
        once = await client.transfer(account, -1, "a test", "mine")
        assert await client.transfer(account, -1, "a test", "mine") == once
        assert (await client.set_leverage(account, 4, "a test"))["leverage"] == 4
        with pytest.raises(Refused, match="UNKNOWN_ACCOUNT"):
            await client.transfer("nobody-at-all", 1, "a test")


def test_the_client_knows_them(api: ApiServer, account: str) -> None:
    asyncio.run(_with_client(api.url, account))
