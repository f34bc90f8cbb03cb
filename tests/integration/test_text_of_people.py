"""What people type goes out neutral, in tables and in the log; what no database can hold does not come in."""

import csv
import io
import json
import logging
from typing import Any

import httpx
import pytest

from app.runtime.plain_text import cell, is_storable, log_text, storable_text
from tests.support.api import ApiServer

FORMULAS = ['=HYPERLINK("http://x")', "+1+1", "-1+cmd|' /C calc'!A0", "@SUM(1)", "\t=1", "\r=1", "\uff1d1"]


@pytest.mark.parametrize("reason", FORMULAS)
def test_reasons_and_names_are_no_formulas(api: ApiServer, account: str, reason: str) -> None:
    with api.client() as admin:
        made = admin.post("/v1/keys", json={"name": reason, "role": "risk"}).json()
    with api.client(made["key"]) as client:
        body = {"limits": {"MAX_OPEN_ORDERS": 9}, "reason": reason}
        assert client.put(f"/v1/limits/accounts/{account}", json=body).status_code == 200
        text = client.get("/v1/risk/breaches", params={"format": "csv"}).text
        table = list(csv.DictReader(io.StringIO(text, newline="")))
        (row,) = [
            row for row in table if row["scope"] == f"account:{account}" and row["actor_name"][:1] == "'"
        ]
        assert (row["record"], row["reason"], row["actor_name"]) == ("LIMIT_SET", f"'{reason}", f"'{reason}")
        shown = client.get(f"/v1/limits/accounts/{account}/history").json()["items"][0]
        assert (shown["reason"], shown["actor_name"]) == (reason, reason), "JSON has what was typed"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (-5, -5),
        ("-5", "-5"),
        ("-0.25", "-0.25"),
        ("-5+1", "'-5+1"),
        ("-a", "'-a"),
        ("plain", "plain"),
        ("a=1", "a=1"),
        ("=1", "'=1"),
        ("\n=1", "'\n=1"),
    ],
)
def test_cells(value: Any, shown: Any) -> None:
    assert cell(value) == shown


FORGED = "calm\n2026-01-01 00:00:00 CRITICAL app: engine halted\x1b[31m\u2028 \u202e \x85 \\n"


def test_a_reason_cannot_forge_a_line(api: ApiServer, account: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), api.client() as client:
        switch = {"scope": f"account:{account}", "action": "resume", "reason": FORGED}
        client.post("/v1/kill-switch", json=switch).raise_for_status()
        client.patch("/v1/risk/parameters", json={"half_life": 600, "reason": FORGED}).raise_for_status()
    lines = [record.getMessage() for record in caplog.records if "calm" in record.getMessage()]
    assert len(lines) == 2
    for line in lines:
        assert all(len(line.splitlines()) == 1 and character.isprintable() for character in line)
        assert r"\x0a2026" in line and r"\\n" in line, "nothing is lost"


def test_log_text_is_printable_whatever_comes() -> None:
    every = "".join(map(chr, (*range(0x300), *range(0x2000, 0x2070), 0xD800, 0xFEFF, 0xFFFF)))
    assert len(log_text(every).splitlines()) == 1
    assert not set(log_text(every)) & set(map(chr, (*range(32), *range(0x7F, 0xA0))))


@pytest.mark.parametrize("bad", ["a\0b", "\0", "half \ud800"])
def test_what_a_database_cannot_hold_is_refused(api: ApiServer, account: str, bad: str) -> None:
    assert not is_storable(bad) and is_storable(storable_text(bad))
    reason = {"reason": bad}
    asked: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "/v1/keys", {"name": bad, "role": "viewer"}),
        ("PUT", f"/v1/limits/accounts/{account}", {"limits": {"ORDER_RATE": 1}, **reason}),
        (
            "POST",
            f"/v1/limits/accounts/{account}/overrides",
            {"limit": "ORDER_RATE", "value": 1, "expires_at": 1, **reason},
        ),
        ("POST", "/v1/kill-switch", {"scope": "firm", "action": "resume", **reason}),
        ("PUT", f"/v1/permissions/accounts/{account}", {"permission": "ALLOWED", **reason}),
        ("PATCH", "/v1/risk/parameters", {"half_life": 600, **reason}),
        ("POST", "/v1/limit-changes/1/approve", reason),
        ("PUT", "/v1/limit-templates/t", {"limits": {"ORDER_RATE": 1}, **reason}),
        ("POST", "/v1/accounts", {"account": "x-bad", **reason}),
    ]
    with api.client() as client:
        for method, path, body in asked:
            response = _send(client, method, path, body)
            assert response.status_code == 400, (path, response.text)
            assert response.json()["code"] == "INVALID_REQUEST"
        if "\0" in bad:
            response = client.delete("/v1/limits/overrides/1", params={"reason": bad})
            assert response.status_code == 400
            assert "U+0000" in response.text
        assert "x-bad" not in client.get("/v1/accounts").text


def _send(client: httpx.Client, method: str, path: str, body: dict[str, Any]) -> httpx.Response:
    return client.request(method, path, content=json.dumps(body).encode())
