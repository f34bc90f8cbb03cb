"""Codes: every reason for which the engine refuses or ends an order, in order of precedence.

A smaller number wins: of all the checks that an order fails, the refusal names the first. The
values are written to the journal, so they are never renumbered: gaps are left for future checks.
"""

from enum import IntEnum


class Code(IntEnum):
    """Why an order was refused or ended; `NONE` if nothing is wrong."""

    NONE = 0

    # Trading state and reference data.
    TRADING_HALTED = 10
    REDUCING_ONLY = 11
    LIMITS_NOT_SET = 12
    UNKNOWN_ACCOUNT = 13
    UNKNOWN_SYMBOL = 14
    SYMBOL_NOT_TRADING = 15
    SYMBOL_RESTRICTED = 16

    # The order itself.
    PRICE_REQUIRED = 20
    PRICE_INVALID = 21
    PRICE_TICK = 22
    STOP_PRICE_INVALID = 23
    QUANTITY_STEP = 24
    QUANTITY_MIN = 25
    QUANTITY_MAX = 26
    NOTIONAL_MIN = 27
    EXPIRE_TIME_INVALID = 28
    REDUCE_ONLY = 29
    POST_ONLY_WOULD_TAKE = 30
    DUPLICATE_CLIENT_ORDER_ID = 31

    # Limits.
    ORDER_RATE = 40
    CANCEL_RATE = 41
    REPEATED_ORDER = 42
    MARKET_DATA_STALE = 43
    PRICE_COLLAR = 44
    MAX_ORDER_QUANTITY = 45
    MAX_ORDER_NOTIONAL = 46
    MAX_OPEN_ORDERS = 47
    MAX_POSITION = 48
    MAX_GROSS_EXPOSURE = 49
    MAX_NET_EXPOSURE = 50
    MAX_LEVERAGE = 51
    INSUFFICIENT_MARGIN = 52
    MAX_DAILY_NOTIONAL = 53
    DAILY_LOSS = 54
    MAX_DRAWDOWN = 55
    MAX_ORDER_TO_TRADE_RATIO = 56
    MAX_PORTFOLIO_VAR = 57
    MAX_CORRELATED_EXPOSURE = 58
    VENUE_REJECTIONS = 59  # why trading was stopped; no order is refused with it
    MAINTENANCE_LEVERAGE = 60  # and this
    NEGATIVE_EQUITY = 61  # and this

    # The engine's own capacity.
    ORDER_CAPACITY = 70
    POSITION_CAPACITY = 71  # a position, or what is traded, beyond the range of the engine's numbers

    # Cancel and amend requests.
    UNKNOWN_ORDER = 80
    ORDER_CLOSED = 81
    ORDER_PENDING = 82
    NOTHING_TO_AMEND = 83
    QUANTITY_BELOW_FILLED = 84

    # What the venue says.
    VENUE_REJECTED = 90
    SELF_TRADE = 91
    INSUFFICIENT_LIQUIDITY = 92
    VENUE_CAPACITY = 93

    # Anomalies in execution reports: recorded, never applied.
    UNKNOWN_EXECUTION = 100
    DUPLICATE_EXECUTION = 101
    OVERFILL = 102
    ILLEGAL_TRANSITION = 103

    # Reference data and limits refused.
    ACCOUNT_CAPACITY = 110
    SYMBOL_CAPACITY = 111
    INVALID_VALUE = 112
    STALE_VERSION = 113
    WRONG_SCOPE = 114
    LIMIT_CONTRADICTION = 115
    OVERRIDE_EXISTS = 116
    OVERRIDE_CAPACITY = 117
    UNKNOWN_OVERRIDE = 118
    SECOND_PERSON_REQUIRED = 119
    CHANGE_CAPACITY = 120
    UNKNOWN_CHANGE = 121
    CHANGE_CLOSED = 122
    CHANGE_STALE = 123
    MAKER_CANNOT_APPROVE = 124
    QUOTE_NOT_SETTLED = 125  # an instrument whose quote currency is not the one that accounts are kept in
    INSTRUMENT_IN_USE = 126  # a change that an open order, a position or the mark would not fit into
    SYMBOL_TRADING = 127  # a settlement of what still trades
    VALUE_RANGE = 128  # a sum would leave the range of the engine's numbers
