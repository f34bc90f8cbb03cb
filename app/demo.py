"""Demonstration data of a first start: instruments, two everyday accounts and one for load tests."""

from typing import NamedTuple

from app.commands.administration import set_account, set_instrument, transfer_cash
from app.commands.limits import change_limits
from app.engine.capacity import MONEY_MAX
from app.engine.types import CommandKind, EventKind, InstrumentStatus, Limit
from app.market.demo_instruments import DEMO_INSTRUMENTS, DemoInstrument
from app.runtime.loop import EngineLoop
from app.runtime.reference import (
    MONEY_DIGITS,
    PRICE_DIGITS,
    QUANTITY_DIGITS,
    Grid,
    InstrumentView,
)

_MONEY = 10**MONEY_DIGITS
_BY_SYSTEM = 0
_PPM_PER_BASIS_POINT = 100


class DemoAccount(NamedTuple):
    """`deposit` in whole units of the quote currency."""

    name: str
    deposit: int
    leverage: int
    limits: dict[Limit, int]


_EVERYDAY_LIMITS = {
    Limit.MAX_ORDER_NOTIONAL: 250_000 * _MONEY,
    Limit.MAX_OPEN_ORDERS: 200,
    Limit.MAX_GROSS_EXPOSURE: 2_000_000 * _MONEY,
    Limit.ORDER_RATE: 100,
    Limit.PRICE_COLLAR_BPS: 1_000,
    Limit.MAX_MARK_AGE: 10_000_000,
    Limit.CANCEL_RATE: 200,
    Limit.MAX_REPEATED_ORDERS: 1_000,
    Limit.PRICE_MOVE_BPS: 1_000,
    Limit.MAX_NET_EXPOSURE: 1_500_000 * _MONEY,
    Limit.MAX_LEVERAGE: 300,
    Limit.MAX_DAILY_NOTIONAL: 100_000_000 * _MONEY,
    Limit.DAILY_LOSS: 100_000 * _MONEY,
    Limit.MAX_DRAWDOWN: 200_000 * _MONEY,
    Limit.MAX_ORDER_TO_TRADE_RATIO: 1_000,
    # Until a symbol has been sampled for half a minute, all that is held in it counts in both.
    Limit.MAX_PORTFOLIO_VAR: 750_000 * _MONEY,
    Limit.MAX_CORRELATED_EXPOSURE: 1_500_000 * _MONEY,
    Limit.VENUE_REJECTIONS: 100,
}

DEMO_ACCOUNTS = (
    DemoAccount("alpha", 1_000_000, 5, _EVERYDAY_LIMITS),
    DemoAccount("beta", 1_000_000, 5, _EVERYDAY_LIMITS),
    DemoAccount("load", 5_000_000_000, 100, {Limit.MAX_GROSS_EXPOSURE: MONEY_MAX}),
)


def _instrument_view(index: int, demo: DemoInstrument) -> InstrumentView:
    ticks = Grid(1, PRICE_DIGITS).parse(demo.price_tick)
    step = Grid(1, QUANTITY_DIGITS).parse(demo.quantity_step)
    quantities = Grid(step, QUANTITY_DIGITS)
    return InstrumentView(
        index=index,
        symbol=demo.symbol,
        base=demo.base,
        quote=demo.quote,
        price_tick_e12=ticks,
        quantity_step_e8=step,
        multiplier=0,
        min_quantity=quantities.parse(demo.min_quantity),
        max_quantity=quantities.parse(demo.max_quantity),
        max_price=0,
        min_notional=Grid(1, MONEY_DIGITS).parse(demo.min_notional),
        maker_fee_ppm=int(float(demo.maker_fee_bps) * _PPM_PER_BASIS_POINT),
        taker_fee_ppm=int(float(demo.taker_fee_bps) * _PPM_PER_BASIS_POINT),
        status=InstrumentStatus.TRADING,
        version=0,
        prices=Grid(ticks, PRICE_DIGITS),
        quantities=quantities,
    )


async def set_up(loop: EngineLoop) -> None:
    """Enter the demonstration's reference data; the engine must be empty."""
    records = [
        set_instrument(_instrument_view(index, demo), _BY_SYSTEM)
        for index, demo in enumerate(DEMO_INSTRUMENTS)
    ]
    for index, account in enumerate(DEMO_ACCOUNTS):
        records += set_account(index, account.name, account.leverage, _BY_SYSTEM)
        records += transfer_cash(index, account.deposit * _MONEY, _BY_SYSTEM)
        records += change_limits(
            CommandKind.SET_LIMIT, index, None, account.limits, _BY_SYSTEM, "demonstration account"
        )
    for outcome in await loop.submit_batch(b"".join(records)):
        if outcome.event.kind == EventKind.COMMAND_REJECTED:
            raise RuntimeError(f"the demonstration's reference data are refused: {outcome.event}")
