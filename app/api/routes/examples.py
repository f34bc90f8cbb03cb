"""Examples for OpenAPI: requests that manage risk, and their responses.

Tests hold them against the models of their routes, and send the requests to a real server.
"""

from typing import Any, NamedTuple

from app.documents.content import Content

Json = Any

_TS = 1_790_000_000_000_000


class Example(NamedTuple):
    """Example of one operation; `request` is None if it has no body."""

    status: int
    response: Json
    request: Json = None


_WHY = {"reason": "quiet day, smaller orders"}

# Scopes as named by paths and by responses; a limit that each may carry, with a value.
_SCOPES = {
    "/firm": ("firm", "MAX_GROSS_EXPOSURE", "50000000", "quote currency"),
    "/accounts/{account}": ("account:alpha", "MAX_ORDER_NOTIONAL", "100000", "quote currency"),
    "/symbols/{symbol}": ("symbol:BTC-USDT", "MAX_POSITION", "500", "base currency"),
    "/accounts/{account}/symbols/{symbol}": (
        "account:alpha/symbol:BTC-USDT",
        "MAX_POSITION",
        "20",
        "base currency",
    ),
}


def _limit_examples() -> dict[str, Example]:
    found: dict[str, Example] = {}
    for path, (scope, limit, value, unit) in _SCOPES.items():
        measures_orders = limit == "MAX_ORDER_NOTIONAL"
        state = {
            "value": value,
            "effective": value,
            "source": scope,
            "override_id": None,
            "used": None if measures_orders else "1.5",
            "used_percent": None if measures_orders else 7.5,
            "unit": unit,
        }
        shown = {"scope": scope, "version": 4, "limits": {limit: state}}
        override = {
            "id": "7",
            "scope": scope,
            "limit": limit,
            "value": value,
            "own_value": "5",
            "expires_at": _TS + 600_000_000,
            "created_ts": _TS,
            "actor": 3,
        }
        asked = {"limit": limit, "value": value, "expires_at": _TS + 600_000_000, "reason": "one rebalancing"}
        found |= {
            f"GET /v1/limits{path}": Example(200, shown),
            f"PUT /v1/limits{path}": Example(200, shown, {"limits": {limit: value}, **_WHY}),
            f"POST /v1/limits{path}/overrides": Example(201, override, asked),
            f"GET /v1/limits{path}/overrides": Example(200, {"items": [override], "next_cursor": None}),
        }
    return found


_PROPOSAL = {
    "id": "12",
    "scope": "account:alpha",
    "status": "APPROVED",
    "changes": [{"limit": "MAX_ORDER_NOTIONAL", "old": "100000", "new": "250000"}],
    "expires_at": None,
    "maker": 3,
    "created_ts": _TS,
    "valid_until_ts": _TS + 86_400_000_000,
    "checker": 4,
    "decided_ts": _TS + 60_000_000,
}

_ORDER = {
    "order_id": "2451833856",
    "client_order_id": "close-1",
    "account": "alpha",
    "symbol": "BTC-USDT",
    "side": "SELL",
    "type": "MARKET",
    "time_in_force": "GTC",
    "price": None,
    "stop_price": None,
    "quantity": "0.50000",
    "filled_quantity": "0.50000",
    "average_price": "50000.10",
    "status": "FILLED",
    "code": None,
    "post_only": False,
    "reduce_only": True,
    "triggered": False,
    "expire_at": None,
    "created_ts": _TS,
    "updated_ts": _TS,
    "seq": 1169,
    "fills": [
        {
            "fill_id": "311",
            "price": "50000.10",
            "quantity": "0.50000",
            "fee": "12.500025",
            "liquidity": "TAKER",
            "ts": _TS,
        }
    ],
}

_CANCELED = _ORDER | {
    "client_order_id": None,
    "side": "BUY",
    "type": "LIMIT",
    "price": "49000.00",
    "filled_quantity": "0.00000",
    "average_price": None,
    "status": "CANCELED",
    "reduce_only": False,
}
del _CANCELED["fills"]

_HALTED = {
    "scope": "account:alpha",
    "state": "HALTED",
    "since_ts": _TS,
    "actor": 3,
    "actor_name": "risk desk",
    "cause": None,
    "reason": "strategy misbehaves",
}

_CHECK = {
    "code": "MAX_ORDER_NOTIONAL",
    "passed": False,
    "limit": "100000",
    "observed": "150000.3",
    "headroom": "-50000.3",
    "scope": "account:alpha",
}

_PERMISSIONS = {
    "account": "alpha",
    "permission": "DENIED",
    "symbols": [
        {"symbol": "BTC-USDT", "permission": "ALLOWED", "effective": "ALLOWED"},
        {"symbol": "ETH-USDT", "permission": "DEFAULT", "effective": "DENIED"},
    ],
}
_PERMISSION = {"symbol": "BTC-USDT", "permission": "DENIED", "effective": "DENIED"}

_PARAMETERS = {
    "version": 2,
    "half_life": 600,
    "interval_us": 1_000_000,
    "horizon_us": 86_400_000_000,
    "confidence": "0.975",
    "z": "1.959963985",
    "correlation_threshold": "0.7",
    "mark_age_us_max": 10_000_000,
    "samples_min": 30,
}

_ACCOUNT = {
    "account": "alpha",
    "leverage": 5,
    "trading_state": "ACTIVE",
    **dict.fromkeys(("cash", "equity", "free_margin", "peak_equity", "day_start_equity"), "1000000"),
    **dict.fromkeys(("initial_margin", "reserved_margin", "exposure", "net_exposure"), "0"),
    **dict.fromkeys(("unmeasured_exposure", "sigma", "value_at_risk", "position_value_at_risk"), "0"),
    **dict.fromkeys(("realised_pnl", "unrealised_pnl", "fees"), "0"),
    "open_orders": 0,
}

_DECISION = {"reason": "agreed with the desk"}

# By method and path, as OpenAPI has them.
EXAMPLES: dict[str, Example] = {
    **_limit_examples(),
    "POST /v1/limit-changes/{change_id}/approve": Example(200, _PROPOSAL, _DECISION),
    "POST /v1/limit-changes/{change_id}/reject": Example(
        200, _PROPOSAL | {"status": "REJECTED"}, {"reason": "too much for one account"}
    ),
    "GET /v1/kill-switch": Example(
        200,
        {
            "items": [
                dict.fromkeys(_HALTED) | {"scope": "firm", "state": "ACTIVE", "actor": 0},
                _HALTED,
                _HALTED
                | {"scope": "account:beta", "state": "REDUCING", "actor": 0, "actor_name": "breaker"}
                | {"cause": "DAILY_LOSS", "reason": None},
            ],
            "next_cursor": None,
        },
    ),
    "POST /v1/kill-switch": Example(
        200,
        {
            "scope": "account:alpha",
            "state": "HALTED",
            "previous": "ACTIVE",
            "canceled": 1,
            "pending": 0,
            "failed": 0,
            "resting": 2,
            "orders": [{"status": 200, "order": _CANCELED}],
        },
        {
            "scope": "account:alpha",
            "action": "halt",
            "cancel_open_orders": True,
            "reason": "strategy misbehaves",
        },
    ),
    "POST /v1/risk/check": Example(
        200,
        {"passed": False, "code": "MAX_ORDER_NOTIONAL", "checks": [_CHECK], "max_quantity": "1.99999"},
        {"account": "alpha", "symbol": "BTC-USDT", "side": "BUY", "type": "MARKET", "quantity": "3"},
    ),
    "PATCH /v1/risk/parameters": Example(
        200, _PARAMETERS, {"confidence": "0.975", "reason": "as the board has decided"}
    ),
    "GET /v1/risk/parameters": Example(200, _PARAMETERS),
    "POST /v1/accounts/{account}/positions/{symbol}/close": Example(
        201,
        _ORDER | {"further_orders": [], "canceled_orders": []},
        {"client_order_id": "close-1", "cancel_open_orders": True},
    ),
    "POST /v1/accounts/{account}/transfers": Example(
        201,
        {
            "transfer_id": "1170",
            "client_transfer_id": None,
            "account": "alpha",
            "amount": "-250.5",
            "reason": "profits paid out",
            "cash": "999749.5",
            "equity": "999760.12",
            "ts": _TS,
        },
        {"amount": "-250.50", "reason": "profits paid out"},
    ),
    "PATCH /v1/accounts/{account}": Example(
        200, _ACCOUNT, {"leverage": 5, "reason": "asked for by the client"}
    ),
    "POST /v1/instruments/{symbol}/settle": Example(
        200,
        {
            "symbol": "OLD-USDT",
            "price": "0.0125",
            "positions": [{"account": "alpha", "quantity": "400.000", "realised_pnl": "-15"}],
        },
        {"price": "0.0125", "reason": "delisted; last price of the closing auction"},
    ),
    "GET /v1/permissions/accounts/{account}": Example(200, _PERMISSIONS),
    "PUT /v1/permissions/accounts/{account}": Example(
        200,
        _PERMISSIONS,
        {"permission": "DENIED", "symbols": {"BTC-USDT": "ALLOWED"}, "reason": "trades one symbol alone"},
    ),
    "PUT /v1/permissions/accounts/{account}/symbols/{symbol}": Example(
        200, _PERMISSION, {"permission": "DENIED", "reason": "no longer traded here"}
    ),
}


def add_examples(document: Content) -> None:
    """Put them into an OpenAPI document."""
    for name, example in EXAMPLES.items():
        method, path = name.split()
        operation = document["paths"][path][method.lower()]
        if example.request is not None:
            operation["requestBody"]["content"]["application/json"]["example"] = example.request
        answers = operation["responses"][str(example.status)]["content"]["application/json"]
        answers["example"] = example.response
