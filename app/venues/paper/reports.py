"""Execution reports, as kernels write them, and the fee of a trade."""

from typing import Any

from app.engine.jit import force_inline
from app.engine.types import CommandKind, Liquidity, ReportKind
from app.venues.paper.mirror import add_trade
from app.venues.paper.state import WORDS_PER_REPORT, PaperState

_PPM = 1_000_000


@force_inline
def has_room(st: PaperState, reports: int) -> bool:
    return st.venue[0].reports + reports <= len(st.reports)


@force_inline
def write_report(st: PaperState, report: int, order_id: int, account: int, symbol: int) -> Any:
    """Append a report and return it, all other fields zero. There must be room."""
    index = st.venue[0].reports
    st.venue[0].reports = index + 1
    for word in range(WORDS_PER_REPORT * index, WORDS_PER_REPORT * (index + 1)):
        st.words[word] = 0
    record = st.reports[index]
    record.account = account
    record.symbol = symbol
    record.kind = CommandKind.EXECUTION_REPORT
    record.report = report
    record.order_id = order_id
    return record


@force_inline
def fee_of(notional: int, fee_ppm: int) -> int:
    """Money, rounded up: in favour of the venue, even for a rebate."""
    # The product would not fit in 64 bits, so whole millions and the rest are charged apart.
    whole = notional // _PPM
    rest = notional - whole * _PPM
    return whole * fee_ppm - (-rest * fee_ppm) // _PPM


@force_inline
def write_trade(
    st: PaperState,
    order_id: int,
    account: int,
    symbol: int,
    side: int,
    price: int,
    quantity: int,
    liquidity: int,
) -> Any:
    """Report one side of an execution under an execution id of its own."""
    add_trade(st, account, symbol, side, quantity)
    instrument = st.instruments[symbol]
    ppm = instrument.maker_fee_ppm if liquidity == Liquidity.MAKER else instrument.taker_fee_ppm
    record = write_report(st, ReportKind.TRADE, order_id, account, symbol)
    record.price = price
    record.quantity = quantity
    st.venue[0].last_execution_id += 1
    record.execution_id = st.venue[0].last_execution_id
    record.fee = fee_of(price * quantity * instrument.multiplier, ppm)
    record.liquidity = liquidity
    return record


@force_inline
def write_canceled(st: PaperState, order_id: int, account: int, symbol: int, code: int) -> None:
    record = write_report(st, ReportKind.CANCELED, order_id, account, symbol)
    record.code = code
