"""The documents say what the code says: diagram, codes, sizes, settings, operations, paths and links."""

import re
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from app.api.routes.limit_values import SCOPE_NAMES
from app.api.websocket import trade_messages
from app.documents.problems import status_of_code
from app.documents.refusals import UNITS, Unit
from app.engine.capacity import DEFAULT_CAPACITY
from app.engine.codes import Code
from app.engine.limit_rules import RULES
from app.engine.records import COMMAND, EVENT
from app.engine.state import DTYPES as STATE_DTYPES
from app.engine.state import allocate
from app.engine.types import Limit
from app.runtime.segments import FRAME_HEADER, SEGMENT_HEADER
from app.settings import unknown_variables
from app.streams.topics import Channel
from app.venues.paper.state import DTYPES as PAPER_DTYPES
from app.venues.paper.state import PaperLimits
from app.venues.paper.state import allocate as allocate_paper
from docs.order_states import diagram

ROOT = Path(__file__).resolve().parents[3]
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text()
API = (ROOT / "docs/api.md").read_text()
DOCUMENTS = sorted(
    [*ROOT.glob("docs/**/*.md"), ROOT / "CHANGELOG.md", *ROOT.glob("README.md")], key=lambda path: path.name
)
each_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)

_SIZES = {"KiB": 1 << 10, "MiB": 1 << 20}


def rows(text: str, columns: int) -> list[list[str]]:
    """Cells of all table rows with so many columns, heads and rules left out."""
    found = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == columns and not set(cells[0]) <= set("-"):
            found.append(cells)
    return found


def number(text: str) -> int:
    return int(text.replace(",", ""))


def test_the_diagram_is_that_of_the_table() -> None:
    shown = re.search(r"<!-- order states: begin -->\n```mermaid\n(.*?)\n```\n<!--", ARCHITECTURE, re.DOTALL)
    assert shown is not None
    assert shown[1] == diagram(), "put the output of `python -m docs.order_states` into docs/architecture.md"


@each_document
def test_settings_exist(path: Path) -> None:
    mentioned = set(re.findall(r"BOT4_[A-Z0-9_]*[A-Z0-9]", path.read_text()))
    of_compose = set(re.findall(r"\$\{(BOT4_[A-Z0-9_]+)", (ROOT / "compose.yaml").read_text()))
    assert unknown_variables(dict.fromkeys(mentioned - of_compose, "")) == []


@each_document
def test_paths_exist(path: Path) -> None:
    """Files of the repository, wherever they are named in code quotes, and links between documents."""
    text = path.read_text()
    named = re.findall(r"`((?:app|docs|loadtests|tests)/[\w./-]*)`", text)
    assert [name for name in named if not (ROOT / name).exists()] == []
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", text):
        linked = path.parent / target if target else path
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings]


def test_decision_records_are_numbered_without_a_gap() -> None:
    records = sorted((ROOT / "docs/adr").glob("*.md"))
    for count, path in enumerate(records, 1):
        assert path.name.startswith(f"{count:04d}-")
        lines = path.read_text().splitlines()
        assert lines[0].startswith(f"# {count}. ")
        assert [line for line in lines if line.startswith("## ")] == [
            "## Context",
            "## Decision",
            "## Consequences",
        ]


def test_capacities() -> None:
    sizes = {row[0].strip("`"): row[1] for row in rows(ARCHITECTURE, 3) if row[0].startswith("`")}
    assert {name: number(sizes[name]) for name in vars(DEFAULT_CAPACITY)} == vars(DEFAULT_CAPACITY)


def test_arrays() -> None:
    state = allocate(DEFAULT_CAPACITY)
    paper = allocate_paper(DEFAULT_CAPACITY, PaperLimits(), state.instruments)
    shown = [row for row in rows(ARCHITECTURE, 4) if row[0].startswith(("`state.", "`paper."))]
    assert len(shown) > 10
    for name, records, size, _ in shown:
        kind, _, field = name.strip("`").partition(".")
        holder, dtypes = (state, STATE_DTYPES) if kind == "state" else (paper, PAPER_DTYPES)
        assert (number(records), number(size)) == (len(getattr(holder, field)), dtypes[field].itemsize), name


def test_file_format() -> None:
    sizes = {row[0]: row[1] for row in rows(ARCHITECTURE, 3)}
    assert sizes["segment header"] == str(SEGMENT_HEADER.size)
    assert sizes["frame header"] == str(FRAME_HEADER.size)
    assert sizes["commands"] == f"{COMMAND.itemsize} each"
    assert sizes["events"] == f"{EVENT.itemsize} each"


def test_limits() -> None:
    shown = 0
    for where, value, _ in rows(ARCHITECTURE, 3):
        place = re.fullmatch(r"`([A-Z_]+_MAX)`, `(app/[\w/]+)\.py`", where)
        if place is None:
            continue
        shown += 1
        size, unit = re.match(r"([\d,]+) (\w+)", value).groups()  # type: ignore[union-attr]
        constant: Any = getattr(import_module(place[2].replace("/", ".")), place[1])
        assert constant == number(size) * _SIZES.get(unit, 1), where
    assert shown >= 10


_UNITS = {
    Unit.NONE: "none",
    Unit.PRICE: "price",
    Unit.STEPS: "quantity",
    Unit.QUANTITY: "quantity",
    Unit.MONEY: "money",
    Unit.NUMBER: "number",
    Unit.TRADING_STATE: "state",
    Unit.LIMIT: "limit",
    Unit.CURRENCY: "currency",
    Unit.INSTRUMENT_STATUS: "status",
}


def test_error_codes() -> None:
    table = [row for row in rows(API, 4) if row[0] in Code.__members__]
    codes = [Code[row[0]] for row in table]
    assert codes == sorted(codes), "in order of precedence"
    for code, row in zip(codes, table, strict=True):
        assert row[1] == str(status_of_code(code)), code
        assert row[2].split(",")[0] == _UNITS[UNITS.get(code, Unit.NONE)], code
    mentioned = set(re.findall(r"\b[A-Z_]{4,}\b", API))
    assert {code.name for code in Code if code} <= mentioned


def test_limits_of_the_api() -> None:
    table = [row[:4] for row in rows(API, 5) if row[0] in Limit.__members__]
    assert table == [
        [
            limit.name,
            RULES[limit].unit.value,
            ", ".join(name for scope, name in SCOPE_NAMES.items() if scope in RULES[limit].scopes),
            str(RULES[limit].value_min),
        ]
        for limit in Limit
    ]


def test_operations() -> None:
    requests = [trade_messages.PlaceRequest, *get_args(trade_messages.OtherRequest)]
    ops = [get_args(get_type_hints(request)["op"])[0] for request in requests]
    trade, stream = API.split("## `WS /v1/stream`")
    assert [row[0].strip("`") for row in rows(trade, 3) if row[0].strip("`") in ops] == ops
    shown = {row[0].strip("`") for row in rows(stream, 3)}
    assert {"subscribe", "unsubscribe", "ping"} <= shown
    assert [row[0].strip("`") for row in rows(stream, 4)][1:] == [channel.value for channel in Channel]
