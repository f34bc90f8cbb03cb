"""Content of every document is a JSON object: JSON gives back what was put in, with no number of NumPy's."""

import importlib
import inspect
import pkgutil
import typing
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from app import documents
from app.documents.accounts import account_content, position_content
from app.documents.content import Content
from app.documents.limit_requests import limit_request_content
from app.documents.limits import scope_content
from app.documents.order_reader import OrderReader
from app.documents.orders import order_content
from app.documents.overrides import override_content
from app.documents.risk import firm_risk_content
from app.documents.risk_parameters import parameters_content
from app.engine.types import Limit, Scope
from app.runtime.limit_scope import LimitScope
from app.runtime.reference import Reference
from tests.support.engine import FIRST_TS, Desk, bought, desk, override, proposal


def content_functions() -> dict[str, Callable[..., Any]]:
    found: dict[str, Callable[..., Any]] = {}
    for module in pkgutil.iter_modules(documents.__path__):
        members = vars(importlib.import_module(f"app.documents.{module.name}"))
        found |= {
            f"{module.name}.{name}": member
            for name, member in members.items()
            if name.endswith("_content") and inspect.isfunction(member)
        }
    return found


@pytest.mark.parametrize("name", content_functions())
def test_a_function_that_is_named_after_it_returns_it(name: str) -> None:
    returned = typing.get_type_hints(content_functions()[name])["return"]
    assert returned in (Content, Content | None)


@pytest.fixture(scope="module")
def traded() -> Desk:
    made = desk()
    bought(made, 3, 1_000)
    made.send(override(Limit.MAX_OPEN_ORDERS, 5, FIRST_TS + 10**9, Scope.ACCOUNT, 0))
    made.send(proposal(Limit.MAX_OPEN_ORDERS, 6, Scope.ACCOUNT, 1, actor=7))
    return made


SHOWN: dict[str, Callable[[Any, Reference], Content | None]] = {
    "account": lambda state, reference: account_content(state, reference, 0),
    "position": lambda state, reference: position_content(state, reference, 0, 0),
    "order": lambda state, reference: order_content(reference, OrderReader(state).view(0)),
    "limits": lambda state, reference: scope_content(state, reference, LimitScope(0), FIRST_TS),
    "override": lambda state, reference: override_content(reference, state.overrides[0]),
    "request": lambda state, reference: limit_request_content(
        state, reference, int(state.limit_changes[0]["request"]), FIRST_TS
    ),
    "risk": lambda state, _: firm_risk_content(state),
    "parameters": lambda state, _: parameters_content(state),
}


@pytest.mark.parametrize("name", SHOWN)
def test_json_gives_back_what_was_put_in(name: str, traded: Desk) -> None:
    state = traded.engine.state
    content = SHOWN[name](state, Reference.from_state(state))
    assert content
    assert orjson.loads(orjson.dumps(content)) == content
