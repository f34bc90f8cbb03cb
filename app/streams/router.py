"""Event router: each event is encoded once and given to the logs that show it.

Risk items of one account are encoded apart: without the numbers of scopes that others share.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from app.codec.stream_json import BLOCK_EVENTS, FILLS, ORDERS
from app.documents.raw_events import ACCOUNT, EVERY_INDEX, KIND, ORDER_KINDS, SEQ
from app.documents.stream_items import StreamItems
from app.engine.types import EventKind
from app.runtime.views import EVENT_BYTES, EVENT_LAYOUT, RawEvent
from app.streams.states import States
from app.streams.stream import LogStream
from app.streams.topics import Channel

_NOTE = int(EventKind.NOTE_RECORDED)
_FILLED = int(EventKind.ORDER_FILLED)
_BLOCK_BYTES = BLOCK_EVENTS * EVENT_BYTES

_Logs = Mapping[int, LogStream]


class Router:
    """`logs`: the streams that are watched, by channel and by account."""

    def __init__(self, items: StreamItems, logs: Mapping[Channel, _Logs], states: States) -> None:
        self._items = items
        self._orders, self._fills, self._risk = (
            logs[channel] for channel in (Channel.ORDERS, Channel.FILLS, Channel.RISK)
        )
        self._states = states

    def route(self, events: bytes, touched: list[LogStream]) -> None:
        """Add EVENT records to the streams; streams that were empty become `touched`."""
        states = self._states if self._states.watched else None
        if self._orders or self._fills:
            wanted = self._wanted()
            for start in range(0, len(events), _BLOCK_BYTES):
                self._route_block(events[start : start + _BLOCK_BYTES], wanted, touched)
        if self._risk or states is not None:
            for event in EVENT_LAYOUT.iter_unpack(events):
                if self._risk:
                    self._route_risk(event, touched)
                if states is not None:
                    states.note(event)

    def _route_risk(self, event: RawEvent, touched: list[LogStream]) -> None:
        if event[KIND] == _NOTE:
            self._items.note(event)
            return
        for index in {event[ACCOUNT], EVERY_INDEX}:
            stream = self._risk.get(index)
            if stream is not None:
                item = self._items.risk(event, shows_shared=index == EVERY_INDEX)
                _add(stream, event, item, touched)

    def _wanted(self) -> NDArray[np.uint8]:
        wanted = np.zeros(self._items.accounts(), np.uint8)
        for logs, flag in ((self._orders, ORDERS), (self._fills, FILLS)):
            if EVERY_INDEX in logs:
                wanted |= flag
            else:
                wanted[list(logs)] |= flag
        return wanted

    def _route_block(self, events: bytes, wanted: NDArray[np.uint8], touched: list[LogStream]) -> None:
        items, orders, fills = self._items, self._orders, self._fills
        spans, out = items.write(events, wanted)
        for event, (order, order_end, fill, fill_end) in zip(
            EVENT_LAYOUT.iter_unpack(events), spans, strict=True
        ):
            if orders and event[KIND] in ORDER_KINDS:
                item = out[order:order_end] if order_end else None
                if item is None and _is_shown(event, orders):
                    item = items.order(event)
                _show(event, orders, item, touched)
            if fills and event[KIND] == _FILLED:
                item = out[fill:fill_end] if fill_end else None
                if item is None and _is_shown(event, fills):
                    item = items.fill(event)
                _show(event, fills, item, touched)


def _is_shown(event: RawEvent, streams: _Logs) -> bool:
    return event[ACCOUNT] in streams or EVERY_INDEX in streams


def _show(event: RawEvent, streams: _Logs, item: bytes | None, touched: list[LogStream]) -> None:
    if item is None:
        return
    account = event[ACCOUNT]
    _add(streams.get(account) if account >= 0 else None, event, item, touched)
    _add(streams.get(EVERY_INDEX), event, item, touched)


def _add(stream: LogStream | None, event: RawEvent, item: bytes | None, touched: list[LogStream]) -> None:
    if stream is not None and item is not None and stream.add(event[SEQ], item):
        touched.append(stream)
