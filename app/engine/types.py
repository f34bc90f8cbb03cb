"""Vocabulary of the engine: FIX's and the exchanges' own terms as small integers.

The values are written to the journal: new members are added, none renumbered.
"""

from enum import IntEnum


class Side(IntEnum):
    BUY = 0
    SELL = 1


class OrderType(IntEnum):
    MARKET = 0
    LIMIT = 1
    STOP = 2
    STOP_LIMIT = 3
    TAKE_PROFIT = 4
    TAKE_PROFIT_LIMIT = 5


class TimeInForce(IntEnum):
    GTC = 0
    IOC = 1
    FOK = 2
    GTD = 3


class OrderFlag(IntEnum):
    """Bits; an IntEnum, because kernels do not know IntFlag."""

    POST_ONLY = 1
    REDUCE_ONLY = 2
    TRIGGERED = 4  # set by the engine alone: a stop that has fired


class SelfTradePrevention(IntEnum):
    """What happens when an order would trade against its own account."""

    CANCEL_NEWEST = 0
    CANCEL_OLDEST = 1
    CANCEL_BOTH = 2
    NONE = 3


class Fault(IntEnum):
    """A number in a request that has no integer form, and why.

    An edge that cannot express a decimal in ticks or steps sends the order on with a fault, so that the
    refusal is sequenced and journaled like any other.
    """

    PRICE_TICK = 1
    PRICE_RANGE = 2
    STOP_PRICE = 4
    QUANTITY_STEP = 8
    QUANTITY_RANGE = 16
    QUANTITY_ZERO = 32  # AMEND_ORDER: a quantity of 0 was requested; 0 alone leaves it as it is


class OrderStatus(IntEnum):
    """FIX OrdStatus, with TRIGGERED and UNKNOWN (see `app.engine.transitions`)."""

    NONE = 0
    PENDING_NEW = 1
    NEW = 2
    PARTIALLY_FILLED = 3
    PENDING_CANCEL = 4
    PENDING_REPLACE = 5
    TRIGGERED = 6
    UNKNOWN = 7
    FILLED = 8
    CANCELED = 9
    REJECTED = 10
    EXPIRED = 11


class InstrumentStatus(IntEnum):
    NONE = 0
    TRADING = 1
    CANCEL_ONLY = 2
    HALTED = 3


class TradingState(IntEnum):
    """State of the firm, an account or a symbol; the strictest of the three applies."""

    ACTIVE = 0
    REDUCING = 1
    HALTED = 2


class StateFlag(IntEnum):
    """Bits in `flags` of SET_TRADING_STATE."""

    CANCEL_OPEN = 1  # cancel all working orders of the scope


class Permission(IntEnum):
    """Whether an account may trade a symbol; DEFAULT refers to the account's own default."""

    DEFAULT = 0
    ALLOWED = 1
    DENIED = 2


class Policy(IntEnum):
    """Rules of the firm as a whole; the value is the index into `FIRM.policy`."""

    MAKER_CHECKER = 0  # 1: what loosens a limit needs a second person
    CHANGE_LIFETIME_US = 1  # how long a proposed change may wait for one
    COLLAR_WINDOW_US = 2  # PRICE_MOVE_BPS compares with the mark of this long ago
    REPEAT_WINDOW_US = 3  # the window of MAX_REPEATED_ORDERS
    ORDER_TO_TRADE_FLOOR = 4  # messages of a day from which MAX_ORDER_TO_TRADE_RATIO counts
    CANCEL_INCREASING = 5  # 1: where trading is restricted, open orders that could increase a position end


class RiskParameter(IntEnum):
    """Parameters of SET_RISK_MODEL, set all at once; units as in `RISK_MODEL`."""

    HALF_LIFE = 0
    INTERVAL_US = 1
    HORIZON_US = 2
    Z_E9 = 3
    CORRELATION_THRESHOLD_PPM = 4
    MARK_AGE_US_MAX = 5
    SAMPLES_MIN = 6


class ChangeStatus(IntEnum):
    """Status of a proposed change of limits."""

    NONE = 0
    PENDING = 1
    APPROVED = 2
    REJECTED = 3


class OverrideEnd(IntEnum):
    """Why an override has ended."""

    NONE = 0
    EXPIRED = 1
    REMOVED = 2


class Liquidity(IntEnum):
    NONE = 0
    MAKER = 1
    TAKER = 2


class Scope(IntEnum):
    """Where a limit or a trading state applies."""

    NONE = 0
    FIRM = 1
    ACCOUNT = 2
    SYMBOL = 3
    ACCOUNT_SYMBOL = 4


class CommandKind(IntEnum):
    NONE = 0
    PLACE_ORDER = 1
    CANCEL_ORDER = 2
    AMEND_ORDER = 3
    CANCEL_ALL = 4
    EXECUTION_REPORT = 5
    UPDATE_MARK = 6
    ADVANCE_TIME = 7
    SET_INSTRUMENT = 8
    SET_ACCOUNT = 9
    TRANSFER_CASH = 10
    SET_LIMIT = 11
    SET_TRADING_STATE = 12
    NOTE = 13  # text that explains the command behind it
    SET_PERMISSION = 14
    SET_POLICY = 15
    SET_OVERRIDE = 16
    END_OVERRIDE = 17
    PROPOSE_LIMIT = 18
    APPROVE_CHANGE = 19
    REJECT_CHANGE = 20
    CLOSE_POSITION = 22  # reduce-only market orders for all of a position
    SETTLE_SYMBOL = 23  # all positions of a symbol that does not trade end at a stated price
    SAMPLE_MARKS = 40
    SET_RISK_MODEL = 41


class ReportKind(IntEnum):
    """FIX ExecType of an execution report."""

    NONE = 0
    NEW = 1
    TRADE = 2
    CANCELED = 3
    EXPIRED = 4
    REJECTED = 5
    REPLACED = 6
    CANCEL_REJECTED = 7
    REPLACE_REJECTED = 8
    UNKNOWN = 9


class EventKind(IntEnum):
    """What happened. The kinds marked (route) are orders to the venue.

    What each kind says besides is in its view: see the records that end in `_EVENT` in `app.engine.records`.
    """

    NONE = 0
    ORDER_ACCEPTED = 1  # (route) approved, PENDING_NEW
    ORDER_REJECTED = 2
    ORDER_REPLAYED = 3  # same client order id, same content: nothing changed
    ORDER_OPENED = 4  # working: acknowledged by the venue, or a stop that waits here
    ORDER_FILLED = 5  # one execution
    ORDER_CANCELED = 6
    ORDER_EXPIRED = 7
    ORDER_TRIGGERED = 8  # (route) a stop has become a market or limit order
    CANCEL_REQUESTED = 9  # (route)
    CANCEL_REJECTED = 10
    REPLACE_REQUESTED = 11  # (route)
    ORDER_REPLACED = 12
    REPLACE_REJECTED = 13
    ORDER_UNKNOWN = 14
    EXECUTION_ANOMALY = 15
    CANCEL_ALL_DONE = 16
    MARK_UPDATED = 17
    DAY_STARTED = 18
    TIME_ADVANCED = 25  # nothing was due
    INSTRUMENT_SET = 19
    ACCOUNT_SET = 20
    CASH_TRANSFERRED = 21
    LIMIT_SET = 22
    TRADING_STATE_SET = 23
    COMMAND_REJECTED = 24  # an impossible command that is not an order's
    NOTE_RECORDED = 26
    PERMISSION_SET = 27
    POLICY_SET = 28
    BREAKER_TRIPPED = 29
    OVERRIDE_SET = 30
    OVERRIDE_ENDED = 31
    CHANGE_PROPOSED = 32  # one limit of a request
    CHANGE_APPROVED = 33  # the whole request; its limits have been set by the events before
    CHANGE_REJECTED = 34
    LIMIT_STAGED = 36  # a part of a request that is decided with its last
    POSITION_SETTLED = 38  # (route) of one account
    SYMBOL_SETTLED = 39  # all of them
    MARKS_SAMPLED = 60
    RISK_MODEL_SET = 61  # one for each parameter that has changed


class Limit(IntEnum):
    """The limits a scope may carry; the value is the index into `LIMITS.value`.

    Units: quantities in 1e-8 of the base currency, money in 1e-8 of the quote
    currency, rates per second, ages in microseconds, collars in basis points.
    """

    MAX_ORDER_QUANTITY = 0
    MAX_ORDER_NOTIONAL = 1
    MAX_OPEN_ORDERS = 2
    MAX_POSITION = 3
    MAX_GROSS_EXPOSURE = 4
    ORDER_RATE = 5
    PRICE_COLLAR_BPS = 6
    MAX_MARK_AGE = 7
    MAX_PORTFOLIO_VAR = 8
    MAX_CORRELATED_EXPOSURE = 9
    CANCEL_RATE = 10
    MAX_REPEATED_ORDERS = 11  # of one symbol, side, price and quantity within Policy.REPEAT_WINDOW_US
    PRICE_MOVE_BPS = 12  # from the mark as it was Policy.COLLAR_WINDOW_US before
    MAX_NET_EXPOSURE = 13
    MAX_LEVERAGE = 14  # exposure over equity in hundredths: 250 is 2.5 times
    MAX_DAILY_NOTIONAL = 15  # traded since UTC midnight and open
    DAILY_LOSS = 16  # since UTC midnight, realised and unrealised
    MAX_DRAWDOWN = 17  # below the highest equity that there was
    MAX_ORDER_TO_TRADE_RATIO = 18  # messages for each fill since UTC midnight
    VENUE_REJECTIONS = 19  # this many in a row halt
    MARK_HALT_AGE = 20  # a symbol halts when its mark is older, in microseconds
    MAINTENANCE_LEVERAGE = 21  # positions over equity in hundredths; beyond it an account may only reduce


class SeriesStatus(IntEnum):
    """What is known of a symbol's returns. Only OK and STALE are measured."""

    NO_MARK = 0
    TOO_FEW_SAMPLES = 1
    NO_VARIANCE = 2
    STALE = 3  # measured until now, but its mark is too old to be sampled
    OK = 4
