"""Health and figures: alive without a key, figures with one, and the same for people and Prometheus."""

import re

import httpx
import pytest

from app.api.routes.system import System, system_content
from tests.support.api import ApiServer

LINE = re.compile(r'[a-z0-9_]+(\{[a-z_]+="[^"{}]*"(,[a-z_]+="[^"{}]*")*\})? -?[0-9.e+-]+')


def test_health_needs_no_key(api: ApiServer) -> None:
    with api.client(None) as client:
        assert client.get("/health/live").json() == {"status": "live"}
        ready = client.get("/health/ready")
        assert ready.status_code == 200
        assert ready.json()["status"] == "ready"


def test_what_orders_are_taken_without_is_named(api: ApiServer, client: httpx.Client) -> None:
    """Database and cache of these tests are nowhere."""
    degraded = client.get("/health/ready").json()["degraded"].split("; ")
    assert {"database is not up", "redis is not up"} <= set(degraded)


@pytest.mark.parametrize("path", ["/v1/system", "/metrics"])
def test_figures_need_a_key(api: ApiServer, trader: httpx.Client, path: str) -> None:
    with api.client(None) as nobody:
        assert nobody.get(path).status_code == 401
    assert trader.get(path).status_code == 200


def test_the_figures_are_as_described(api: ApiServer, client: httpx.Client) -> None:
    content = client.get("/v1/system").json()
    System.model_validate(content, strict=True)
    assert content.keys() == System.model_fields.keys()
    assert content["ready"] and not content["halted"]
    assert content["started_ts"] < content["now_ts"]
    assert content["durable_seq"] <= content["seq"]
    assert content["counts"]["accounts"] == len(api.server.reference.account_names)
    assert content["feed"]["name"] == "none"
    assert content["dependencies"].keys() == {"database", "redis"}
    assert api.call(lambda: system_content(api.server.services)).keys() == content.keys()


def test_prometheus_reads_the_same(client: httpx.Client) -> None:
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = response.text.splitlines()
    samples = [line for line in lines if not line.startswith("#")]
    assert all(LINE.fullmatch(line) for line in samples)
    types = [line for line in lines if line.startswith("#")]
    assert all(re.fullmatch(r"# TYPE [a-z0-9_]+ (gauge|summary)", line) for line in types)
    names = [line.split(" ")[0] for line in samples]
    assert len(names) == len(set(names)), "each once"
    figures = dict(line.split(" ") for line in samples if "{" not in line)
    content = client.get("/v1/system").json()
    assert int(figures["bot4_ready"]) == 1
    assert int(figures["bot4_accounts"]) == content["counts"]["accounts"]
    assert int(figures["bot4_symbols"]) == content["counts"]["symbols"]
    assert int(figures["bot4_alarms"]) <= len(content["alarms"])
