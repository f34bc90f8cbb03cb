"""What an account or the firm could come to hold, be worth, trade and lose: verdicts of the twin."""

from collections.abc import Iterator

from app.engine.capacity import SUM_MAX
from app.engine.codes import Code
from app.engine.types import Limit, Scope, Side
from tests.models.engine_effect import Effect
from tests.models.engine_flow import Verdict
from tests.models.engine_model import MONEY_MAX, UNLIMITED, Books, Order


def unless_reducing(
    effect: Effect, code: int, within: bool, allowed: int, observed: int, scope: int
) -> Verdict:
    """What an order passes too that only reduces."""
    passed = within or effect.reducing
    return Verdict(code, passed, allowed, observed, scope, exempt=passed and not within)


def leverage_of(exposure: int, equity: int) -> int:
    """In hundredths, rounded up; UNLIMITED where there is no equity for it."""
    if exposure <= 0:
        return 0
    if equity <= 0 or exposure // equity >= UNLIMITED // 100:
        return UNLIMITED
    return -(-exposure * 100 // equity)


def exposure_verdicts(books: Books, order: Order, effect: Effect) -> Iterator[Verdict]:
    account, symbol = order.account, order.symbol
    unit = max(books.unit(symbol), 1)
    mine = books.exposure(account)
    everyone = sum(books.exposure(other) for other in range(len(books.accounts)))
    beyond = effect.worst > MONEY_MAX // unit
    largest = max(
        MONEY_MAX + 1 if beyond else everyone + effect.growth * unit,
        books.open_notional(-1) + effect.added,
        abs(books.accounts[account].cash) + books.open_notional(account) + effect.added,
        MONEY_MAX + 1 if abs(books.firm_equity()) > SUM_MAX else 0,
    )
    facts = (MONEY_MAX, largest, Scope.FIRM)
    if beyond:
        yield Verdict(Code.POSITION_CAPACITY, False, *facts)
        return
    yield unless_reducing(effect, Code.POSITION_CAPACITY, largest <= MONEY_MAX, *facts)
    yield from _position(books, order, effect)
    for scope, value in ((Scope.FIRM, everyone), (Scope.ACCOUNT, mine)):
        allowed = books.limit_at(Limit.MAX_GROSS_EXPOSURE, scope, account)
        value += effect.growth * unit
        yield unless_reducing(effect, Code.MAX_GROSS_EXPOSURE, value <= allowed, allowed, value, scope)
    for scope, holder in ((Scope.FIRM, -1), (Scope.ACCOUNT, account)):
        upper, lower = books.net(holder)
        buys = order.side == Side.BUY
        before = upper if buys else -lower
        after = max(before + (effect.up if buys else -effect.down) * unit, 0)
        allowed = books.limit_at(Limit.MAX_NET_EXPOSURE, scope, account)
        within = after <= allowed
        yield unless_reducing(effect, Code.MAX_NET_EXPOSURE, within, allowed, after, scope)
    yield from _margin(books, account, mine + effect.growth * unit, effect)


def _position(books: Books, order: Order, effect: Effect) -> Iterator[Verdict]:
    step = books.instruments[order.symbol].quantity_step_e8
    everywhere = sum(books.worst(other, order.symbol) for other in range(len(books.accounts)))
    for scope, steps in ((Scope.ACCOUNT_SYMBOL, effect.opens), (Scope.SYMBOL, everywhere + effect.growth)):
        allowed = books.limit_at(Limit.MAX_POSITION, scope, order.account, order.symbol)
        within = allowed == UNLIMITED or steps * step <= allowed
        observed = min(steps * step, 2**63 - 1)
        yield unless_reducing(effect, Code.MAX_POSITION, within, allowed, observed, scope)


def _margin(books: Books, account: int, exposed: int, effect: Effect) -> Iterator[Verdict]:
    equity = books.equity(account)
    costs = books.open_cost(account) + effect.cost
    leverage = leverage_of(exposed, equity - costs)
    allowed = books.limit_at(Limit.MAX_LEVERAGE, Scope.ACCOUNT, account)
    within = leverage <= allowed
    yield unless_reducing(effect, Code.MAX_LEVERAGE, within, allowed, leverage, Scope.ACCOUNT)
    margin = costs - -exposed // books.accounts[account].leverage
    within = margin <= equity
    yield unless_reducing(effect, Code.INSUFFICIENT_MARGIN, within, equity, margin, Scope.ACCOUNT)


def turnover_verdicts(books: Books, order: Order, effect: Effect) -> Iterator[Verdict]:
    for scope, holder in ((Scope.FIRM, -1), (Scope.ACCOUNT, order.account)):
        allowed = books.limit_at(Limit.MAX_DAILY_NOTIONAL, scope, order.account)
        used = books.turnover(holder) + books.open_notional(holder) + effect.added
        within = used <= allowed
        yield unless_reducing(effect, Code.MAX_DAILY_NOTIONAL, within, allowed, used, scope)


def loss_verdicts(books: Books, order: Order, effect: Effect) -> Iterator[Verdict]:
    account = order.account
    for code, which, measure in (
        (Code.DAILY_LOSS, Limit.DAILY_LOSS, books.day_loss),
        (Code.MAX_DRAWDOWN, Limit.MAX_DRAWDOWN, books.drawdown),
    ):
        for scope, holder in ((Scope.FIRM, -1), (Scope.ACCOUNT, account)):
            allowed, lost = books.limit_at(which, scope, account), measure(holder)
            yield unless_reducing(effect, code, lost <= allowed, allowed, lost, scope)
