"""Commands of administrators: accounts, cash, instruments, trading states, permissions, policies, risk model.

A command with a reason is a list of records: the reason's first, the command last. The last one has
the outcome.
"""

from collections.abc import Mapping

from app.commands.notes import explained
from app.commands.records import command
from app.commands.scopes import scope_fields
from app.engine.types import CommandKind, Permission, Policy, RiskParameter, TradingState
from app.runtime.reference import InstrumentView

RISK_MODEL_FIELDS = tuple(parameter.name.lower() for parameter in RiskParameter)


def set_instrument(view: InstrumentView, actor: int) -> bytes:
    """SET_INSTRUMENT with all fields of the view but multiplier, max_price and version."""
    return command(
        CommandKind.SET_INSTRUMENT,
        symbol=view.index,
        status=view.status,
        mark_spread_max_bps=view.mark_spread_max_bps,
        name=view.symbol.encode(),
        base=view.base.encode(),
        quote=view.quote.encode(),
        price_tick_e12=view.price_tick_e12,
        quantity_step_e8=view.quantity_step_e8,
        min_quantity=view.min_quantity,
        max_quantity=view.max_quantity,
        maker_fee_ppm=view.maker_fee_ppm,
        taker_fee_ppm=view.taker_fee_ppm,
        min_notional=view.min_notional,
        actor=actor,
    )


def set_account(account: int, name: str, leverage: int, actor: int, reason: str = "") -> list[bytes]:
    """SET_ACCOUNT: open the account with this index, or change its leverage."""
    return explained(
        CommandKind.SET_ACCOUNT, actor, reason, account=account, name=name.encode(), leverage=leverage
    )


def transfer_cash(account: int, value: int, actor: int, reason: str = "") -> list[bytes]:
    """TRANSFER_CASH; positive is a deposit."""
    return explained(CommandKind.TRANSFER_CASH, actor, reason, account=account, value=value)


def set_trading_state(
    account: int | None, symbol: int | None, state: TradingState, actor: int, reason: str = ""
) -> list[bytes]:
    """SET_TRADING_STATE; None stands for all accounts or symbols."""
    scope = scope_fields(account, symbol)
    return explained(CommandKind.SET_TRADING_STATE, actor, reason, **scope, state=state)


def set_permission(
    account: int, symbol: int | None, permission: Permission, actor: int, reason: str
) -> list[bytes]:
    """SET_PERMISSION of an account's symbol, or (None) of those that have none."""
    scope = scope_fields(account, symbol)
    return explained(CommandKind.SET_PERMISSION, actor, reason, **scope, state=permission)


def set_risk_model(values: Mapping[str, int], actor: int, reason: str) -> list[bytes]:
    """SET_RISK_MODEL; `values` has all of `RISK_MODEL_FIELDS`."""
    fields = {name: values[name] for name in RISK_MODEL_FIELDS}
    return explained(CommandKind.SET_RISK_MODEL, actor, reason, **fields)


def settle_symbol(symbol: int, price: int, actor: int, reason: str) -> list[bytes]:
    """SETTLE_SYMBOL at a price in ticks."""
    return explained(CommandKind.SETTLE_SYMBOL, actor, reason, symbol=symbol, value=price)


def set_policy(policy: Policy, value: int, actor: int) -> bytes:
    """SET_POLICY: a rule of the firm as a whole."""
    return command(CommandKind.SET_POLICY, code=policy, value=value, actor=actor)
