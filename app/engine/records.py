"""Records: the fixed-size commands and events of the engine, as dtypes.

Units, everywhere in the engine: prices are integer ticks, quantities integer steps of their
instrument, money is 1e-8 of the quote currency, times are microseconds since the epoch. A price or
a time of 0 means none; an account or a symbol of -1 means that it does not apply or is not known.

A command is 128 bytes whatever its kind, so that a batch is one array and its bytes are the
journal; kinds that carry reference data view the same bytes through their own dtype. So it is with
events and their 192 bytes: EVENT shows an order, and all others are written and read by the names
of their own kind.

Text is stored as NUL-padded UTF-8 in 64-bit words, which kernels compare and hash a word at a time.
"""

import numpy as np

CLIENT_ORDER_ID_BYTES = 40
CLIENT_ORDER_ID_WORDS = CLIENT_ORDER_ID_BYTES // 8
SYMBOL_BYTES = 24
SYMBOL_WORDS = SYMBOL_BYTES // 8
CURRENCY_BYTES = 8
ACCOUNT_NAME_BYTES = 40
ACCOUNT_NAME_WORDS = ACCOUNT_NAME_BYTES // 8
NOTE_BYTES = 88
NOTE_WORDS = NOTE_BYTES // 8

Field = tuple[str, str] | tuple[str, str, tuple[int, ...]]


def record(*fields: Field, multiple_of: int = 1) -> np.dtype[np.void]:
    """An aligned dtype whose holes are fields too, its size a multiple of this many bytes.

    NumPy leaves holes unset when it copies, but records are compared, hashed and journaled as bytes.
    """
    aligned = np.dtype(list(fields), align=True)
    assert aligned.fields is not None
    filled: list[Field] = []
    end = 0
    for field in fields:
        kind, offset = aligned.fields[field[0]][:2]
        if offset > end:
            filled.append((f"_hole{end}", "u1", (offset - end,)))
        filled.append(field)
        end = offset + kind.itemsize
    size = -(-aligned.itemsize // multiple_of) * multiple_of
    if size > end:
        filled.append((f"_hole{end}", "u1", (size - end,)))
    return np.dtype(filled, align=True)


def field_offset(record_type: np.dtype[np.void], name: str) -> int:
    """The byte offset of a field within its record."""
    assert record_type.fields is not None
    return int(record_type.fields[name][1])


_HEADER = (("seq", "i8"), ("ts", "i8"), ("account", "i4"), ("symbol", "i4"), ("kind", "u1"))

COMMAND = record(
    *_HEADER,
    ("side", "u1"),
    ("type", "u1"),
    ("time_in_force", "u1"),
    ("flags", "u1"),
    ("self_trade_prevention", "u1"),
    ("fault", "u1"),  # PLACE_ORDER, AMEND_ORDER: a `Fault` that decoding found
    ("report", "u1"),  # EXECUTION_REPORT: a `ReportKind`
    ("order_id", "i8"),  # cancel, amend, report
    ("price", "i8"),  # report TRADE: of this execution; UPDATE_MARK: the mark
    ("stop_price", "i8"),
    ("quantity", "i8"),  # report TRADE: of this execution
    ("expire_ts", "i8"),
    ("client_order_id", "u8", (CLIENT_ORDER_ID_WORDS,)),
    ("code", "u2"),  # report: why; SET_LIMIT: the `Limit`
    ("liquidity", "u1"),  # report TRADE
    ("scope", "u1"),  # SET_LIMIT, SET_TRADING_STATE
    ("state", "u1"),  # SET_TRADING_STATE: a `TradingState`; SET_LIMIT: 1 sets, 0 removes
    ("notes", "u1"),  # number of NOTE commands directly before this one that explain it
    ("more", "u1"),  # UPDATE_MARK: 1: the next mark is of the same moment
    ("actor", "i8"),  # number of the API key that asked, 0 for the system itself
)

REPORT_COMMAND = record(
    *_HEADER,
    ("_order", "u1", (6,)),
    ("report", "u1"),
    ("order_id", "i8"),
    ("price", "i8"),
    ("_stop_price", "i8"),
    ("quantity", "i8"),
    ("_expire_ts", "i8"),
    ("execution_id", "i8"),  # the venue's, unique per symbol
    ("fee", "i8"),  # money, positive is paid
    ("_unused", "u8", (3,)),
    ("code", "u2"),
    ("liquidity", "u1"),
    ("_scope", "u1", (3,)),
    ("more", "u1"),  # TRADE: 1: the next report is the other side of the same trade
    ("actor", "i8"),
)

VALUE_COMMAND = record(  # TRANSFER_CASH; limits, overrides, permissions, policies
    *_HEADER,
    ("_order", "u1", (7,)),
    ("value", "i8"),
    ("expires_ts", "i8"),  # SET_OVERRIDE; PROPOSE_LIMIT of an override
    ("expected_version", "i8"),  # one more than the version that a change is based on; 0: any
    ("number", "i8"),  # END_OVERRIDE: of the override; APPROVE_CHANGE, REJECT_CHANGE: of the request
    ("remaining", "i8"),  # SET_LIMIT, PROPOSE_LIMIT: how many more of the same request follow
    ("_unused", "i8", (5,)),
    ("code", "u2"),
    ("_liquidity", "u1"),
    ("scope", "u1"),
    ("state", "u1"),
    ("notes", "u1"),
    ("actor", "i8"),
)

NOTE_COMMAND = record(
    *_HEADER,
    ("length", "u1"),  # bytes of text, at most NOTE_BYTES; longer texts are several notes
    ("text", "u8", (NOTE_WORDS,)),
    ("actor", "i8"),
)

INSTRUMENT_COMMAND = record(
    *_HEADER,
    ("status", "u1"),
    ("mark_spread_max_bps", "u4"),  # no mark is made of a wider book; 0: of any
    ("name", "u8", (SYMBOL_WORDS,)),
    ("base", "u8"),
    ("quote", "u8"),
    ("price_tick_e12", "i8"),  # the tick in 1e-12 of the quote currency
    ("quantity_step_e8", "i8"),  # the step in 1e-8 of the base currency
    ("min_quantity", "i8"),
    ("max_quantity", "i8"),
    ("maker_fee_ppm", "i4"),  # parts per million: 1 bps is 100; negative is a rebate
    ("taker_fee_ppm", "i4"),
    ("min_notional", "i8"),
    ("actor", "i8"),
)

ACCOUNT_COMMAND = record(
    *_HEADER,
    ("name", "u8", (ACCOUNT_NAME_WORDS,)),
    ("leverage", "i8"),  # whole times, at least 1
    ("_unused", "i8", (4,)),
    ("_scope", "u1", (5,)),
    ("notes", "u1"),
    ("actor", "i8"),
)

RISK_MODEL_COMMAND = record(  # all parameters at once; meaning as in RISK_MODEL
    *_HEADER,
    ("_order", "u1", (7,)),
    ("half_life", "i8"),
    ("interval_us", "i8"),
    ("horizon_us", "i8"),
    ("z_e9", "i8"),
    ("correlation_threshold_ppm", "i8"),
    ("mark_age_us_max", "i8"),
    ("samples_min", "i8"),
    ("_unused", "i8", (3,)),
    ("_scope", "u1", (5,)),
    ("notes", "u1"),
    ("actor", "i8"),
)

EVENT = record(  # of an order; other kinds have names of their own for these bytes, below
    ("seq", "i8"),  # of the command that caused it
    ("ts", "i8"),
    ("account", "i4"),
    ("symbol", "i4"),
    ("kind", "u1"),
    ("status", "u1"),
    ("side", "u1"),
    ("type", "u1"),
    ("time_in_force", "u1"),
    ("flags", "u1"),
    ("self_trade_prevention", "u1"),
    ("liquidity", "u1"),
    ("code", "u2"),
    ("scope", "u1"),
    ("notes", "u1"),  # number of NOTE_RECORDED events directly before that explain it
    ("index", "i4"),  # 0, 1, ... among the events of one command
    ("order_id", "i8"),
    ("price", "i8"),
    ("stop_price", "i8"),
    ("quantity", "i8"),
    ("filled_quantity", "i8"),
    ("filled_notional", "i8"),  # ticks x steps, summed over the fills
    ("created_ts", "i8"),
    ("expire_ts", "i8"),
    ("last_price", "i8"),  # ORDER_FILLED, EXECUTION_ANOMALY: of this execution
    ("last_quantity", "i8"),  # ORDER_FILLED, EXECUTION_ANOMALY
    ("fee", "i8"),  # ORDER_FILLED
    ("execution_id", "i8"),  # ORDER_FILLED, EXECUTION_ANOMALY
    ("limit", "i8"),  # refusals: what was allowed, in the unit of the code
    ("observed", "i8"),  # refusals: what would have been
    ("client_order_id", "u8", (CLIENT_ORDER_ID_WORDS,)),
)

_EVENT_HEAD = ("seq", "ts", "account", "symbol", "kind", "scope", "notes", "index")


def _event_view(*same: str, **renamed: str) -> np.dtype[np.void]:
    """EVENT's bytes by the names of one kind, `name="field of EVENT"`; all have the head in common.

    Bytes that a kind has no name for keep theirs behind an underscore. A name of EVENT always means the same
    bytes, so reading an event by the wrong view fails instead of giving another value.
    """
    names = {field: field for field in (*_EVENT_HEAD, *same)} | {field: new for new, field in renamed.items()}
    return np.dtype([(names.get(field, f"_{field}"), *form) for field, *form in EVENT.descr], align=True)


HEAD_EVENT = _event_view()  # says no more than that it happened, and where

NEW_ORDER_EVENT = _event_view(  # ORDER_ACCEPTED, ORDER_TRIGGERED: what the venue is to know of it
    *("side", "type", "time_in_force", "flags", "self_trade_prevention"),
    *("order_id", "price", "quantity", "filled_quantity"),
    protection_price="last_price",  # of a market order: the worst that it may take; 0: any
)

REPLACE_EVENT = _event_view(  # REPLACE_REQUESTED: EVENT shows the order as it still is
    *("code", "side", "flags", "self_trade_prevention", "order_id"),
    replace_price="last_price",  # the requested price
    replace_quantity="last_quantity",
)

FILL_EVENT = _event_view(  # the order after the fill is read as EVENT
    *("status", "side", "liquidity", "order_id", "last_price", "last_quantity", "fee", "execution_id"),
    position_quantity="limit",  # of the position after it
    position_cost="observed",  # its entry cost
)

REJECTION_EVENT = _event_view(
    *("code", "limit", "observed"),
    price_bound="price",  # INSTRUMENT_IN_USE: `limit` once more, where it bounds prices
    quantity_bound="quantity",  # or quantities
    blocking_order_id="execution_id",  # INSTRUMENT_IN_USE: of the order that would not fit
)

CANCEL_ALL_EVENT = _event_view(requested="last_quantity")  # how many orders were asked to cancel

MARK_EVENT = _event_view(mark="price")

SAMPLE_EVENT = _event_view(samples="limit")  # how many returns there have been

INSTRUMENT_EVENT = _event_view("status", max_price="limit")

VALUE_EVENT = _event_view(  # whatever kind changes a value, and whatever it calls it
    new_value="limit",
    old_value="observed",
)

ACCOUNT_EVENT = _event_view(leverage="limit", old_leverage="observed", actor="fee")

TRANSFER_EVENT = _event_view(amount="limit", actor="fee")  # a negative amount is a withdrawal

PERMISSION_EVENT = _event_view(permission="limit", old_permission="observed", actor="fee")

POLICY_EVENT = _event_view(policy="code", new_value="limit", old_value="observed", actor="fee")

RISK_MODEL_EVENT = _event_view(  # of one parameter
    parameter="code",  # a `RiskParameter`
    new_value="limit",
    old_value="observed",
    version="last_quantity",  # of the parameters, after the change
    actor="fee",
)

LIMIT_EVENT = _event_view(  # a value of -1 is no limit
    limit_number="code",  # a `Limit`
    new_value="limit",
    old_value="observed",
    version="last_quantity",  # of the scope's limits, after the change
    override_id="execution_id",
    expires_ts="expire_ts",  # OVERRIDE_SET
    end="status",  # OVERRIDE_ENDED: an `OverrideEnd`
    actor="fee",
)

PROPOSAL_EVENT = _event_view(  # a decision is of the whole request, and names no limit
    request_id="execution_id",
    limit_number="code",
    new_value="limit",
    old_value="observed",
    expires_ts="expire_ts",  # of the override that is proposed
    actor="fee",
)

STATE_EVENT = _event_view(
    state="limit",  # a `TradingState`
    old_state="observed",
    cause="code",  # why a breaker has set it; a person gives notes
    resting="quantity",  # how many orders of the scope stay open
    ending="last_quantity",  # how many are asked to end
    actor="fee",
)

BREAKER_EVENT = _event_view(
    *("limit", "observed"),
    state="status",  # a `TradingState`
    old_state="liquidity",
    cause="code",
    resting="quantity",
    ending="last_quantity",
    actor="fee",  # 0: no person, the system itself
)

SETTLEMENT_EVENT = _event_view(
    settlement_price="last_price",
    accounts="last_quantity",  # how many held it
    actor="fee",
)

SETTLED_POSITION_EVENT = _event_view(
    settlement_price="last_price",
    settled_quantity="last_quantity",  # signed, as it was held
    position_quantity="limit",  # of the position after it: 0
    realised="observed",  # the profit that it has realised
)

NOTE_EVENT = record(  # NOTE_RECORDED
    ("seq", "i8"),
    ("ts", "i8"),
    ("account", "i4"),
    ("symbol", "i4"),
    ("kind", "u1"),
    ("length", "u1"),
    ("_order", "u1", (10,)),
    ("index", "i4"),
    ("_order_id", "i8"),
    ("text", "u8", (NOTE_WORDS,)),
    ("actor", "i8"),
    ("_rest", "u8", (6,)),
)

COMMAND_KINDS = (
    *(COMMAND, REPORT_COMMAND, VALUE_COMMAND, INSTRUMENT_COMMAND, ACCOUNT_COMMAND),
    *(NOTE_COMMAND, RISK_MODEL_COMMAND),
)
assert {dtype.itemsize for dtype in COMMAND_KINDS} == {128}
EVENT_VIEWS = (
    *(HEAD_EVENT, NEW_ORDER_EVENT, REPLACE_EVENT, FILL_EVENT, REJECTION_EVENT, CANCEL_ALL_EVENT),
    *(MARK_EVENT, SAMPLE_EVENT, NOTE_EVENT),
    *(INSTRUMENT_EVENT, ACCOUNT_EVENT, TRANSFER_EVENT, PERMISSION_EVENT, POLICY_EVENT, RISK_MODEL_EVENT),
    *(LIMIT_EVENT, PROPOSAL_EVENT, STATE_EVENT, BREAKER_EVENT, SETTLEMENT_EVENT, SETTLED_POSITION_EVENT),
)
assert {dtype.itemsize for dtype in EVENT_VIEWS} == {EVENT.itemsize}
assert EVENT.itemsize % 64 == 0, EVENT.itemsize
