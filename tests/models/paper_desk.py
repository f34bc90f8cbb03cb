"""A paper venue with an easy way in: events and level updates by keyword, reports as tuples."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.engine.capacity import SLOT_BITS, Capacity
from app.engine.records import EVENT, REPORT_COMMAND
from app.engine.state import allocate
from app.engine.types import EventKind, OrderType, ReportKind, Side
from app.market.types import LEVEL_UPDATE, LevelKind
from app.runtime.event_views import VIEWS
from app.runtime.views import field_names
from app.venues.paper import PaperVenue
from app.venues.paper.state import PaperLimits
from tests.models.paper_checks import check_book
from tests.models.paper_records import Event, Report

Records = NDArray[np.void]

MULTIPLIER, MAKER_PPM, TAKER_PPM = 1_234_567, -150, 750

BUY, SELL = Side.BUY, Side.SELL

_DTYPES = {kind: dtype for _, dtype, kinds in VIEWS for kind in kinds}


def small_capacity(commands: int = 64, orders: int = 64) -> Capacity:
    return Capacity(
        accounts=16, symbols=2, orders=orders, open_orders=orders - 1, fills=64, commands=commands
    )


def make_venue(
    capacity: Capacity, limits: PaperLimits | None = None, last_execution_id: int = 0
) -> PaperVenue:
    engine_state = allocate(capacity)
    engine_state.firm[0]["last_execution_id"] = last_execution_id
    engine_state.instruments["multiplier"] = MULTIPLIER
    engine_state.instruments["maker_fee_ppm"] = MAKER_PPM
    engine_state.instruments["taker_fee_ppm"] = TAKER_PPM
    return PaperVenue(engine_state, capacity, limits)


def event_records(events: Iterable[Event]) -> Records:
    """EVENT records, each with what its kind says by the names of its view."""
    rows = [asdict(event) for event in events]
    array = np.zeros(len(rows), EVENT)
    for at, row in enumerate(rows):
        record = array[at : at + 1].view(_DTYPES.get(EventKind(row["kind"]), EVENT))
        for name in row.keys() & set(field_names(record.dtype)):
            record[name] = row[name]
    return array


def collect(batches: Iterator[Records]) -> bytes:
    return b"".join(batch.tobytes() for batch in batches)


def order_id(number: int) -> int:
    """The id of the order in slot `number`."""
    return (number + 1) << SLOT_BITS | number


def reports_of(data: bytes) -> list[Report]:
    fields = Report._fields
    records = np.frombuffer(data, REPORT_COMMAND)
    return [Report(*(int(record[name]) for name in fields)) for record in records]


class Desk:
    """Orders are named by their slot; every action returns its reports and checks the book."""

    def __init__(
        self,
        capacity: Capacity | None = None,
        limits: PaperLimits | None = None,
        last_execution_id: int = 0,
    ) -> None:
        self.venue = make_venue(capacity or small_capacity(), limits, last_execution_id)

    def send(self, *events: Event) -> list[Report]:
        return self._done(self.venue.execute(event_records(events)))

    def place(self, number: int, side: int, price: int, quantity: int, **fields: Any) -> list[Report]:
        return self.send(new_order(number, side, price, quantity, **fields))

    def market(self, number: int, side: int, quantity: int, worst: int = 0, **fields: Any) -> list[Report]:
        fields = {"type": OrderType.MARKET, "protection_price": worst, **fields}
        return self.send(new_order(number, side, 0, quantity, **fields))

    def cancel(self, number: int) -> list[Report]:
        return self.send(Event(EventKind.CANCEL_REQUESTED, order_id(number)))

    def replace(self, number: int, side: int, price: int, quantity: int, **fields: Any) -> list[Report]:
        return self.send(
            Event(
                EventKind.REPLACE_REQUESTED,
                order_id(number),
                side=side,
                replace_price=price,
                replace_quantity=quantity,
                **fields,
            )
        )

    def show(self, side: int, *levels: tuple[int, int], symbol: int = 0) -> list[Report]:
        """Displayed (price, quantity) pairs of one side."""
        return self.update(*((price, quantity, symbol, side, LevelKind.SET) for price, quantity in levels))

    def update(self, *updates: tuple[int, int, int, int, int]) -> list[Report]:
        return self._done(self.venue.apply_levels(np.array(list(updates), LEVEL_UPDATE)))

    def resume(self, orders: Records) -> list[Report]:
        return self._done(self.venue.resume(orders))

    def depth(self, symbol: int = 0) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        bids, asks = self.venue.depth(symbol, 10)
        return [tuple(row) for row in bids.tolist()], [tuple(row) for row in asks.tolist()]

    def _done(self, batches: Iterator[Records]) -> list[Report]:
        reports = reports_of(collect(batches))
        check_book(self.venue)
        return reports


def new_order(number: int, side: int, price: int, quantity: int, **fields: Any) -> Event:
    fields = {"kind": EventKind.ORDER_ACCEPTED, **fields}
    return Event(order_id=order_id(number), side=side, price=price, quantity=quantity, **fields)


def brief(reports: list[Report]) -> list[tuple[Any, ...]]:
    """(kind, slot) and for trades (kind, slot, price, quantity), for others the code if there is one."""
    rows: list[tuple[Any, ...]] = []
    for report in reports:
        row: tuple[Any, ...] = (ReportKind(report.report).name, report.order_id & (1 << SLOT_BITS) - 1)
        if report.report in (ReportKind.TRADE, ReportKind.REPLACED):
            row += (report.price, report.quantity)
        rows.append(row + ((report.code,) if report.code else ()))
    return rows
