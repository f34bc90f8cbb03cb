"""The examples of OpenAPI: valid for the models of their routes, and true of a real server."""

from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest
from fastapi.routing import APIRoute
from pydantic import TypeAdapter

from app.api.routes.examples import EXAMPLES, Example
from app.main import ROUTERS
from tests.support.api import ApiServer, limit_order, market_order


@pytest.fixture
def client(api: ApiServer) -> Iterator[httpx.Client]:
    with api.client() as client:
        yield client


def _routes() -> Iterator[tuple[str, APIRoute]]:
    for module in ROUTERS:
        for route in module.router.routes:
            assert isinstance(route, APIRoute)
            yield from ((f"{method} {route.path}", route) for method in route.methods or ())


ROUTES = dict(_routes())


def _is_of_model(model: Any, content: Any) -> None:
    """It validates, and has nothing that the model does not know."""
    adapter: TypeAdapter[Any] = TypeAdapter(model)
    valid = adapter.validate_json(orjson.dumps(content))
    assert adapter.dump_python(valid, mode="json", exclude_unset=True) == content


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_are_of_the_routes_models(name: str) -> None:
    route, example = ROUTES[name], EXAMPLES[name]
    assert (route.status_code or 200) == example.status
    _is_of_model(route.response_model, example.response)
    assert (route.body_field is None) == (example.request is None)
    if route.body_field is not None:
        _is_of_model(route.body_field.field_info.annotation, example.request)


def test_the_document_shows_them_and_every_change_of_risk_has_one(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    for path, operations in paths.items():
        groups = ("/v1/limits", "/v1/kill-switch", "/v1/permissions", "/v1/risk", "/v1/accounts/")
        if not path.startswith(groups):
            continue
        for method, operation in operations.items():
            body = operation.get("requestBody", {}).get("content", {}).get("application/json")
            assert body is None or body.get("example"), (method, path)
    order = paths["/v1/risk/check"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert order == EXAMPLES["POST /v1/risk/check"].request


def _fits(shown: Any, example: Any) -> None:
    """The members of an example are those of an answer; of limits an example has some only."""
    if isinstance(example, dict):
        if example.keys() < shown.keys():
            assert all(name.isupper() for name in shown), shown.keys() ^ example.keys()
        else:
            assert shown.keys() == example.keys()
        for name, value in example.items():
            if shown[name] is not None and value is not None:
                _fits(shown[name], value)
    elif isinstance(example, list):
        for item in shown[:1]:
            _fits(item, example[0])
    else:
        assert type(shown) is type(example), (shown, example)


def _adapted(body: Any, account: str, now: int) -> Any:
    """An example's request, for an account of the test and with a time to come."""
    if isinstance(body, dict):
        return {name: _adapted(value, account, now) for name, value in body.items()}
    if body == "alpha" or body == "account:alpha":
        return body.replace("alpha", account)
    return now + 600_000_000 if isinstance(body, int) and body > 1_000_000_000 else body


def _send(client: httpx.Client, name: str, example: Example, account: str) -> Any:
    method, path = name.split()
    now = client.get("/v1/system").json()["now_ts"]
    where = path.format(account=account, symbol="BTC-USDT")
    response = client.request(method, where, json=_adapted(example.request, account, now))
    assert response.status_code == example.status, (name, response.text)
    return response.json()


# What comes last, and what needs a symbol that is halted: see test_http_instruments.
APART = ("POST /v1/kill-switch", "POST /v1/instruments/{symbol}/settle")
LIVE = [name for name in EXAMPLES if "{change_id}" not in name and name not in APART]


def test_a_real_server_answers_like_that(api: ApiServer, client: httpx.Client, account: str) -> None:
    client.post("/v1/orders", json=market_order(account, quantity="0.02")).raise_for_status()
    # First what opens and closes, then what restricts.
    last = [name for name in LIVE if "permissions" in name]
    for name in [name for name in LIVE if name not in last] + last:
        example = EXAMPLES[name]
        if "/close" in name:
            example = example._replace(request=example.request | {"client_order_id": f"close-{account}"})
        _fits(_send(client, name, example, account), example.response)
    unrestricted = {"permission": "DEFAULT", "symbols": {"BTC-USDT": "DEFAULT"}, "reason": "a test"}
    client.put(f"/v1/permissions/accounts/{account}", json=unrestricted).raise_for_status()
    client.post("/v1/orders", json=limit_order(account)).raise_for_status()
    halt = EXAMPLES["POST /v1/kill-switch"]
    _fits(_send(client, "POST /v1/kill-switch", halt, account), halt.response)
    for override in client.get("/v1/limits/overrides").json()["items"]:
        ended = client.delete(f"/v1/limits/overrides/{override['id']}", params={"reason": "a test"})
        assert ended.status_code == 200, ended.text
    for path, limit in (("firm", "MAX_GROSS_EXPOSURE"), ("symbols/BTC-USDT", "MAX_POSITION")):
        removed = client.put(f"/v1/limits/{path}", json={"limits": {limit: None}, "reason": "a test"})
        assert removed.status_code == 200, removed.text
    default = {"confidence": "0.99", "reason": "a test"}
    assert client.patch("/v1/risk/parameters", json=default).status_code == 200
