"""The packer: what is packed is read back by NumPy, and what the record cannot hold is refused."""

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.commands.records import command, dtype_of, packer
from app.engine.records import COMMAND
from app.engine.types import CommandKind
from app.runtime.views import field_names, is_text

Fields = dict[str, int | bytes]

KINDS = st.sampled_from(CommandKind)
DEFAULTS = {"account": -1, "symbol": -1}


def settable(kind: int) -> tuple[str, ...]:
    return tuple(name for name in field_names(dtype_of(kind)) if name != "kind")


def values(field: np.dtype[Any]) -> st.SearchStrategy[int | bytes]:
    if is_text(field):
        return st.binary(max_size=field.itemsize)
    bounds = np.iinfo(field)
    return st.integers(bounds.min, bounds.max)


def unfit(field: np.dtype[Any]) -> st.SearchStrategy[Any]:
    others: st.SearchStrategy[Any] = st.sampled_from([None, 1.5, "text"])
    if is_text(field):
        too_long = st.binary(min_size=field.itemsize + 1, max_size=field.itemsize + 9)
        return others | st.integers(0, 9) | too_long
    bounds = np.iinfo(field)
    return others | st.binary() | st.integers(max_value=bounds.min - 1) | st.integers(bounds.max + 1)


@st.composite
def packed(draw: st.DrawFn) -> tuple[CommandKind, Fields]:
    """A kind, and values of some of its fields in any order."""
    kind = draw(KINDS)
    dtype = dtype_of(kind)
    names = draw(st.lists(st.sampled_from(settable(kind)), unique=True))
    return kind, {name: draw(values(dtype[name])) for name in names}


def check_reads_back(record: bytes, kind: int, fields: Fields) -> None:
    dtype = dtype_of(kind)
    assert len(record) == dtype.itemsize == COMMAND.itemsize
    read = np.frombuffer(record, dtype)[0]
    for name in dtype.names or ():
        if name == "kind":
            assert read[name] == kind
        elif name.startswith("_"):
            assert not read[name].any(), name
        elif is_text(dtype[name]):
            assert read[name].tobytes() == bytes(fields.get(name, b"")).ljust(dtype[name].itemsize, b"\0")
        else:
            assert read[name] == fields.get(name, DEFAULTS.get(name, 0)), name


@given(packed())
@settings(max_examples=500, deadline=None)
def test_what_is_packed_is_read_back_field_by_field(made: tuple[CommandKind, Fields]) -> None:
    kind, fields = made
    check_reads_back(command(kind, **fields), kind, fields)


@given(packed(), st.data())
@settings(max_examples=200, deadline=None)
def test_a_value_that_does_not_fit_is_refused_by_name(
    made: tuple[CommandKind, Fields], data: st.DataObject
) -> None:
    kind, fields = made
    name = data.draw(st.sampled_from(settable(kind)))
    wrong = data.draw(unfit(dtype_of(kind)[name]))
    with pytest.raises(ValueError, match=rf"^{name} of a {kind.name} command must be a ") as refused:
        command(kind, **(fields | {name: wrong}))
    assert repr(wrong) in str(refused.value)


@given(packed(), st.text("abcdefgh_", min_size=1))
@settings(max_examples=200, deadline=None)
def test_a_field_that_the_kind_does_not_have_is_refused(made: tuple[CommandKind, Fields], name: str) -> None:
    kind, fields = made
    with pytest.raises(TypeError, match=rf"^a {kind.name} command has no {name}$"):
        command(kind, **(fields | {name: 0}))
    with pytest.raises(TypeError, match=rf"^a {kind.name} command has no {name}$"):
        packer(kind, name)


def test_fields_of_another_kind_are_refused() -> None:
    with pytest.raises(TypeError, match="a SET_LIMIT command has no leverage, price"):
        command(CommandKind.SET_LIMIT, value=1, price=2, leverage=3)


def test_padding_has_no_name() -> None:
    for kind in CommandKind:
        for name in dtype_of(kind).names or ():
            if name.startswith("_"):
                with pytest.raises(TypeError, match=name):
                    command(kind, **{name: 0})


def test_a_kind_that_does_not_exist_is_packed_as_a_plain_command() -> None:
    check_reads_back(command(99, price=7), 99, {"price": 7})
    with pytest.raises(ValueError, match="kind of a 256 command must be a whole number from 0 to 255: 256"):
        command(256)


@given(packed())
@settings(max_examples=300, deadline=None)
def test_the_faster_way_packs_the_same_bytes(made: tuple[CommandKind, Fields]) -> None:
    kind, fields = made
    header = DEFAULTS | fields
    names = [name for name in settable(kind) if name in fields.keys() - {"seq", "ts", *DEFAULTS}]
    record = packer(kind, *names)(header["account"], header["symbol"], kind, *map(fields.get, names))
    assert record == command(kind, **(fields | {"seq": 0, "ts": 0}))


def test_the_faster_way_wants_the_order_of_the_record_and_refuses_large_numbers() -> None:
    with pytest.raises(AssertionError, match="price is not in the record's order"):
        packer(CommandKind.PLACE_ORDER, "quantity", "price")
    with pytest.raises(struct.error):
        packer(CommandKind.PLACE_ORDER, "price")(0, 0, CommandKind.PLACE_ORDER, 1 << 63)
