"""Who is bound to accounts is told of no others, on any channel, live or resumed; keys are told to nobody."""

import contextlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from app.streams.history import RecentEvents
from tests.support.api import ApiServer, limit_order, market_order
from tests.support.process import ADMIN_KEY as PROCESS_KEY
from tests.support.process import ServerProcess
from tests.support.stream import Message, Watcher, check_chain, stream_url, watch

LOGS = ("orders", "fills", "risk")
CHANNELS = (*LOGS, "positions", "accounts")


def trade(client: httpx.Client, *accounts: str) -> None:
    """Orders that rest, that are filled, refused and canceled, and changes by risk managers."""
    for account in accounts:
        resting = client.post("/v1/orders", json=limit_order(account)).json()
        assert client.post("/v1/orders", json=market_order(account)).status_code == 201
        assert client.post("/v1/orders", json=limit_order(account, quantity="100")).status_code in (201, 422)
        assert client.delete(f"/v1/orders/{resting['order_id']}").status_code == 200
        for action in ("halt", "resume"):
            scope = {"scope": f"account:{account}", "action": action, "reason": f"of {account}"}
            assert client.post("/v1/kill-switch", json=scope).status_code == 200
        limits = {"limits": {"MAX_OPEN_ORDERS": 77}, "reason": f"of {account}"}
        assert client.put(f"/v1/limits/accounts/{account}", json=limits).status_code == 200


def told(watcher: Watcher) -> list[Message]:
    return [message for message in watcher.seen if "channel" in message]


def items(watcher: Watcher, channel: str, key: str) -> list[Any]:
    """Of updates that events have led to."""
    return [
        item
        for message in watcher.of(channel, key)
        if message["type"] == "update" and message["seq"] != message["prev_seq"]
        for item in message["data"]
    ]


def forget(api: ApiServer) -> None:
    """What memory does not have is read from the journal."""
    hub = api.server.hub
    api.call(lambda: setattr(hub, "recent", RecentEvents(hub.seq)))


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("from_journal", [False, True])
def test_a_trader_is_told_of_its_own_accounts_live_and_resumed(
    api: ApiServer, account: str, batch: bool, from_journal: bool
) -> None:
    others = [api.open_account(f"{account}-x{number}-{batch}") for number in range(2)]
    own = [account, api.open_account(f"{account}-y-{batch}")]
    _, key = api.make_key("trader", *own)
    all_ = [{"name": name} for name in CHANNELS]
    with api.client() as client, watch(api) as witness, watch(api, key) as trader:
        witness.subscribe(*({"name": name} for name in LOGS))
        for name in LOGS:
            witness.snapshot(name, "*")
        trader.subscribe(*all_, batch=batch)
        trader.wait_until_quiet()
        since = min(message["seq"] for message in told(trader) if message["channel"] in LOGS)
        trade(client, *own, *others)
        trader.wait_until_quiet()
        witness.wait_until_quiet()
        if from_journal:
            forget(api)
        with watch(api, key) as again:
            again.subscribe(*all_, from_seq=since, batch=batch)
            trade(client, *others, *own)
            for found in (trader, again, witness):
                found.wait_until_quiet()
        for watcher in (trader, again):
            assert {message["key"] for message in told(watcher)} == set(own)
            text = json.dumps(told(watcher))
            assert not [name for name in others if name in text]
            assert "policy" not in text and "correlation" not in text
        for name in LOGS:
            every = items(witness, name, "*")
            for each in own:
                wanted = [item for item in every if f'"{each}"' in json.dumps(item) or of(item, each)]
                assert items(trader, name, each) == wanted
                assert items(again, name, each) == wanted
                check_chain([{"type": "resumed", "seq": since}, *again.of(name, each)])


def of(item: Any, account: str) -> bool:
    return str(item.get("scope")).partition("/")[0] == f"account:{account}"


def test_others_are_refused_on_every_channel_however_it_is_asked(api: ApiServer, account: str) -> None:
    other = api.open_account(f"{account}-other")
    _, key = api.make_key("trader", account)
    for name in CHANNELS:
        with watch(api, key) as watcher:
            for members in ({}, {"from_seq": 1}, {"batch": True}):
                mixed = [{"name": name, "account": account}, {"name": name, "account": other}]
                refused = watcher.subscribe(*mixed, **members)
                assert (refused["status"], refused["error"]["code"]) == (403, "FORBIDDEN")
            ended = watcher.ask("unsubscribe", channels=[{"name": name, "account": other}])
            assert ended["status"] == 403
            for key_text in ("*", ""):
                assert watcher.subscribe({"name": name, "account": key_text})["status"] in (400, 403)
            watcher.wait_until_quiet(0.1)
            assert not told(watcher), "where one is refused, none is subscribed"


def test_keys_are_in_no_log_and_in_no_answer(tmp_path: Path) -> None:
    """Not even where a client puts one into the address, or into a message that is none."""
    wrong = "b4_a-key-that-nobody-has-0123456789"
    answers: list[str] = []
    with ServerProcess(tmp_path / "data", BOT4_LOG_LEVEL="DEBUG") as process:
        with httpx.Client(base_url=process.url, trust_env=False) as client:
            for key in (PROCESS_KEY, wrong):
                authorization = {"authorization": f"Bearer {key}"}
                paths = ("/v1/system", f"/v1/system?key={key}", f"/{key}")
                answers += [client.get(path, headers=authorization).text for path in paths]
                broken = client.post("/v1/orders", content=f'{{"{key}":', headers={"x-api-key": key})
                answers.append(broken.text)
        for key in (PROCESS_KEY, wrong):
            for url in (stream_url(process.url), stream_url(process.url).replace("stream", "trade")):
                address = f"{url}?token={quote(key)}"
                for headers in ({}, {"Authorization": f"Bearer {key}"}):
                    with (
                        contextlib.suppress(InvalidStatus, ConnectionClosed),
                        connect(address, additional_headers=headers, proxy=None) as socket,
                    ):
                        if not headers:
                            socket.send(json.dumps({"op": "auth", "key": key, "id": 1}))
                            answers.append(str(socket.recv(5)))
                        for text in ("{", f'{{"op":"{key}"}}', json.dumps({"op": "auth", "key": key})):
                            socket.send(text)
                            answers.append(str(socket.recv(5)))
                        socket.send(key.encode())
                        answers.append(str(socket.recv(5)))
        assert process.stop() == 0
        said = process.output()
    assert "ready" in said
    for key in (PROCESS_KEY, wrong):
        assert key not in said
        # An `op` that is none is quoted to whoever has sent it, and to nobody else.
        answers = [answer for answer in answers if f"'{key}'" not in answer]
        assert not [answer for answer in answers if key in answer]
