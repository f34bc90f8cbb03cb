"""The fixed-size records of the engine: commands, events and state, as dtypes.

Units, everywhere in the engine: prices are integer ticks, quantities integer
steps of their instrument, money is 1e-8 of the quote currency, times are
microseconds since the epoch. A price or a time of 0 means that there is none;
an account or a symbol of -1 means that it does not apply or is not known.

A command is 128 bytes whatever its kind, so that a batch is one array and its
bytes are the journal; the kinds that carry reference data see the same bytes
through their own dtype. Text is stored as NUL-padded UTF-8 in 64-bit words,
which kernels compare and hash a word at a time.
"""

import numpy as np

from app.engine.types import Limit, Policy

CACHE_LINE_BYTES = 64

CLIENT_ORDER_ID_BYTES = 40
SYMBOL_BYTES = 24
CURRENCY_BYTES = 8
ACCOUNT_NAME_BYTES = 40
NOTE_BYTES = 88

MARKS = 16  # of each symbol, remembered over the last one or two COLLAR_WINDOW_US
REPEATS = 16  # of each account, orders of late


Field = tuple[str, str] | tuple[str, str, tuple[int, ...]]


def _record(*fields: Field, multiple_of: int = 1) -> np.dtype[np.void]:
    """An aligned dtype whose holes are fields too, its size a multiple of so many bytes.

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


_HEADER = (("seq", "i8"), ("ts", "i8"), ("account", "i4"), ("symbol", "i4"), ("kind", "u1"))

COMMAND = _record(
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
    ("client_order_id", "u8", (CLIENT_ORDER_ID_BYTES // 8,)),
    ("code", "u2"),  # report: why; SET_LIMIT: the `Limit`
    ("liquidity", "u1"),  # report TRADE
    ("scope", "u1"),  # SET_LIMIT, SET_TRADING_STATE
    ("state", "u1"),  # SET_TRADING_STATE: a `TradingState`; SET_LIMIT: 1 sets, 0 removes
    ("notes", "u1"),  # so many NOTE commands directly before this one explain it
    ("actor", "i8"),  # number of the API key that asked, 0 for the system itself
)

REPORT_COMMAND = _record(
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
    ("actor", "i8"),
)

VALUE_COMMAND = _record(  # TRANSFER_CASH; limits, overrides, permissions, policies
    *_HEADER,
    ("_order", "u1", (7,)),
    ("value", "i8"),
    ("expires_ts", "i8"),  # SET_OVERRIDE; PROPOSE_LIMIT of an override
    ("expected_version", "i8"),  # one more than the version that a change is based on; 0: any
    ("number", "i8"),  # END_OVERRIDE: of the override; APPROVE_CHANGE, REJECT_CHANGE: of the request
    ("remaining", "i8"),  # SET_LIMIT, PROPOSE_LIMIT: so many more of the same request follow
    ("_unused", "i8", (5,)),
    ("code", "u2"),
    ("_liquidity", "u1"),
    ("scope", "u1"),
    ("state", "u1"),
    ("notes", "u1"),
    ("actor", "i8"),
)

NOTE_COMMAND = _record(
    *_HEADER,
    ("length", "u1"),  # bytes of text, at most NOTE_BYTES; longer texts are several notes
    ("text", "u8", (NOTE_BYTES // 8,)),
    ("actor", "i8"),
)

INSTRUMENT_COMMAND = _record(
    *_HEADER,
    ("status", "u1"),
    ("name", "u8", (SYMBOL_BYTES // 8,)),
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

ACCOUNT_COMMAND = _record(
    *_HEADER,
    ("name", "u8", (ACCOUNT_NAME_BYTES // 8,)),
    ("leverage", "i8"),  # whole times, at least 1
    ("_unused", "i8", (5,)),
    ("actor", "i8"),
)

RISK_MODEL_COMMAND = _record(  # all parameters at once; meaning as in RISK_MODEL
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

EVENT = _record(
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
    ("notes", "u1"),  # so many NOTE_RECORDED events directly before explain it
    ("index", "i4"),  # 0, 1, ... among the events of one command
    ("order_id", "i8"),
    ("price", "i8"),  # of the order; MARK_UPDATED: the mark
    ("stop_price", "i8"),
    ("quantity", "i8"),
    ("filled_quantity", "i8"),
    ("filled_notional", "i8"),  # ticks x steps, summed over the fills
    ("created_ts", "i8"),
    ("expire_ts", "i8"),
    ("last_price", "i8"),  # ORDER_FILLED; REPLACE_REQUESTED; ORDER_ACCEPTED: worst price of a market order
    ("last_quantity", "i8"),  # ORDER_FILLED; REPLACE_REQUESTED
    ("fee", "i8"),  # ORDER_FILLED; changes of limits, states and rules: who (as `COMMAND.actor`)
    ("execution_id", "i8"),
    ("limit", "i8"),  # refusals: what was allowed, in the unit of the code; else see `EventKind`
    ("observed", "i8"),  # refusals: what would have been; LIMIT_SET: the old value
    ("client_order_id", "u8", (CLIENT_ORDER_ID_BYTES // 8,)),
)

NOTE_EVENT = _record(  # NOTE_RECORDED
    ("seq", "i8"),
    ("ts", "i8"),
    ("account", "i4"),
    ("symbol", "i4"),
    ("kind", "u1"),
    ("length", "u1"),
    ("_order", "u1", (10,)),
    ("index", "i4"),
    ("_order_id", "i8"),
    ("text", "u8", (NOTE_BYTES // 8,)),
    ("actor", "i8"),
    ("_rest", "u8", (6,)),
)

# From here on every index is as wide as an address. Where LLVM 22 has to widen one that may be
# negative, it moves the widening in front of the check of the sign, and then drops the check.
ORDER = _record(
    ("order_id", "i8"),
    ("account", "i8"),
    ("symbol", "i8"),
    ("status", "u1"),
    ("side", "u1"),
    ("type", "u1"),
    ("time_in_force", "u1"),
    ("flags", "u1"),
    ("self_trade_prevention", "u1"),
    ("code", "u2"),
    ("scope", "u1"),
    ("waiting", "u1"),  # 1: a stop held by the engine, not yet at the venue
    ("indexed", "u1"),  # 1: its client order id stands in the index
    ("next", "i8"),  # among the open orders of its account
    ("previous", "i8"),
    ("seq", "i8"),  # of the last change
    ("priority", "i8"),  # its place in the venue's queue: smaller is earlier
    ("price", "i8"),
    ("stop_price", "i8"),
    ("quantity", "i8"),
    ("filled_quantity", "i8"),
    ("filled_notional", "i8"),
    ("created_ts", "i8"),
    ("updated_ts", "i8"),
    ("expire_ts", "i8"),
    ("replace_price", "i8"),  # PENDING_REPLACE: what is asked for
    ("replace_quantity", "i8"),
    ("replace_priority", "i8"),
    ("reserved", "i8"),  # steps that count as open
    ("reserved_price", "i8"),  # what each of them is worth, in ticks
    ("limit", "i8"),  # REJECTED: as in the event
    ("observed", "i8"),
    ("content", "i8"),  # fingerprint of the request, for idempotent repeats
    ("last_fill", "i8"),  # number of its newest fill, 0 where none
    ("client_order_id", "u8", (CLIENT_ORDER_ID_BYTES // 8,)),
    multiple_of=CACHE_LINE_BYTES,
)

FILL = _record(
    ("number", "i8"),  # 1, 2, ... over all fills; its place in the ring
    ("previous", "i8"),  # number of the order's fill before
    ("order_id", "i8"),
    ("execution_id", "i8"),
    ("ts", "i8"),
    ("price", "i8"),
    ("quantity", "i8"),
    ("fee", "i8"),
    ("symbol", "i4"),
    ("liquidity", "u1"),
)

INSTRUMENT = _record(
    ("name", "u8", (SYMBOL_BYTES // 8,)),
    ("base", "u8"),
    ("quote", "u8"),
    ("price_tick_e12", "i8"),
    ("quantity_step_e8", "i8"),
    ("multiplier", "i8"),  # money of one tick x one step
    ("min_quantity", "i8"),
    ("max_quantity", "i8"),
    ("max_price", "i8"),  # so that price x quantity x multiplier fits
    ("min_notional", "i8"),
    ("maker_fee_ppm", "i4"),
    ("taker_fee_ppm", "i4"),
    ("mark", "i8"),
    ("mark_ts", "i8"),
    ("rise_root", "i8"),  # heap of the stops that fire when the mark rises to them
    ("fall_root", "i8"),  # and of those that fire when it falls to them
    ("past_mark", "i8"),  # as it was one COLLAR_WINDOW_US before `mark`
    ("marks", "i8"),  # how many marks have been remembered
    ("rejections", "i8"),  # of the venue, in a row
    ("state_ts", "i8"),  # since when the trading state is what it is
    ("state_actor", "i8"),  # who set it: a key's number, 0 a breaker
    ("state_cause", "u2"),  # the code of the breaker
    ("status", "u1"),
    ("trading_state", "u1"),
    ("version", "i8"),
    ("worst", "i8"),  # sum over the accounts of `POSITION.worst`
)

ACCOUNT = _record(
    ("name", "u8", (ACCOUNT_NAME_BYTES // 8,)),
    ("leverage", "i8"),
    ("cash", "i8"),
    ("transferred", "i8"),  # deposits less withdrawals
    ("position_value", "i8"),  # sum of position x mark
    ("exposure", "i8"),  # sum of the worst cases, positions and open orders
    ("upper", "i8"),  # net exposure if all open buys fill
    ("lower", "i8"),  # and if all open sells fill
    ("open_notional", "i8"),  # money that open orders may still trade
    ("day_traded", "i8"),  # money traded since UTC midnight
    ("realised", "i8"),  # profit and loss before fees
    ("fees", "i8"),
    ("peak_equity", "i8"),
    ("day_start_equity", "i8"),
    ("order_tokens", "i8"),  # millionths of an order
    ("order_tokens_ts", "i8"),
    ("cancel_tokens", "i8"),
    ("cancel_tokens_ts", "i8"),
    ("messages", "i8"),  # orders, amends and cancels since UTC midnight
    ("day_fills", "i8"),
    ("rejections", "i8"),  # of the venue, in a row
    ("open_orders", "i8"),
    ("first_open", "i8"),
    ("last_open", "i8"),
    ("state_ts", "i8"),  # since when the trading state is what it is
    ("state_actor", "i8"),  # who set it: a key's number, 0 a breaker
    ("state_cause", "u2"),  # the code of the breaker
    ("trading_state", "u1"),
    ("exists", "u1"),
    ("limits_set", "u1"),
    ("portfolio_version", "i8"),  # the model's version that its portfolio row is of
    ("permission", "u1"),  # `Permission` for symbols that have none of their own; DEFAULT is ALLOWED
)

POSITION = _record(
    ("quantity", "i8"),  # signed
    ("entry_cost", "i8"),  # money, signed like the quantity
    ("realised", "i8"),
    ("fees", "i8"),
    ("value", "i8"),  # quantity x mark
    ("worst", "i8"),  # largest magnitude that open orders may lead to, in steps
    ("exposure", "i8"),  # worst x mark
    ("upper", "i8"),  # if all open buys fill: quantity x mark
    ("lower", "i8"),  # if all open sells fill
    ("open_buy", "i8"),  # steps reserved by open orders
    ("open_sell", "i8"),
    ("reduce_buy", "i8"),  # the part of them that is reduce-only
    ("reduce_sell", "i8"),
    ("open_orders", "i8"),
    ("signed_exposure", "i8"),  # exposure, with the sign of the worst case
    ("permission", "u1"),  # a `Permission`
)

LIMITS = _record(
    ("version", "i8"),
    ("set_mask", "i8"),  # bit n: limit n is set
    ("override_mask", "i8"),  # bit n: what is set is an override's value
    ("value", "i8", (len(Limit),)),
)

OVERRIDE = _record(
    ("number", "i8"),  # 1, 2, ...; 0 where the place is free
    ("account", "i8"),
    ("symbol", "i8"),
    ("value", "i8"),
    ("own_value", "i8"),  # of the scope, meanwhile; -1 where it has none
    ("expires_ts", "i8"),
    ("created_ts", "i8"),
    ("actor", "i8"),
    ("scope", "u1"),
    ("limit", "u1"),
)

LIMIT_CHANGE = _record(
    ("number", "i8"),  # 1, 2, ...; 0 where the place was never used
    ("request", "i8"),  # the number of the first of those that are decided together
    ("account", "i8"),
    ("symbol", "i8"),
    ("value", "i8"),  # -1: to be removed
    ("old", "i8"),  # the scope's own value when it was proposed
    ("expires_ts", "i8"),  # of an override, else 0
    ("maker", "i8"),
    ("created_ts", "i8"),
    ("checker", "i8"),
    ("decided_ts", "i8"),
    ("scope", "u1"),
    ("limit", "u1"),
    ("status", "u1"),  # a `ChangeStatus`
)

MARK = _record(("ts", "i8"), ("price", "i8"))

REPEAT = _record(
    ("likeness", "i8"),  # hash of symbol, side, price and quantity
    ("ts", "i8"),  # when counting began
    ("count", "i8"),
)

HEAP_NODE = _record(
    ("key", "i8"),
    ("tie", "i8"),  # of equal keys the smaller goes first
    ("parent", "i8"),
    ("left", "i8"),
    ("right", "i8"),
    ("rank", "i8"),
)

FIRM = _record(
    ("seq", "i8"),  # of the last command
    ("ts", "i8"),
    ("day_start_ts", "i8"),
    ("exposure", "i8"),
    ("upper", "i8"),  # net exposure if all open buys fill
    ("lower", "i8"),  # and if all open sells fill
    ("open_notional", "i8"),  # money that open orders may still trade
    ("day_traded", "i8"),  # money traded since UTC midnight
    ("equity", "i8"),  # sums over the accounts
    ("peak_equity", "i8"),
    ("day_start_equity", "i8"),
    ("orders_used", "i8"),  # slots ever used
    ("closed_begin", "i8"),  # the ring of closed orders: how many have been taken out of it
    ("closed_end", "i8"),  # and how many have been put into it
    ("open_orders", "i8"),
    ("open_orders_max", "i8"),
    ("fills", "i8"),  # number of the newest fill
    ("last_execution_id", "i8"),
    ("accounts", "i8"),
    ("symbols", "i8"),
    ("order_tokens", "i8"),
    ("order_tokens_ts", "i8"),
    ("cancel_tokens", "i8"),
    ("cancel_tokens_ts", "i8"),
    ("policy", "i8", (len(Policy),)),
    ("cursor", "i8"),  # where a command goes on whose events did not fit
    ("progress", "i8"),
    ("event_count", "i8"),
    ("event_index", "i8"),
    ("expiry_root", "i8"),
    ("model_version", "i8"),  # grows with every sample and change of parameters
    ("portfolio_version", "i8"),  # as in ACCOUNT
    ("staged", "i8"),  # parts of a request whose last has not come yet, and where the newest stood
    ("staged_seq", "i8"),
    ("last_override", "i8"),  # numbers given
    ("next_override_ts", "i8"),  # when the next override ends; 0: there is none
    ("last_change", "i8"),
    ("last_request", "i8"),
    ("state_ts", "i8"),  # since when the trading state is what it is
    ("state_actor", "i8"),  # who set it: a key's number, 0 a breaker
    ("state_cause", "u2"),  # the code of the breaker
    ("trading_state", "u1"),
    ("alarm", "u1"),  # 1: a breaker may have to trip
)

VERDICT = _record(
    ("limit", "i8"),
    ("observed", "i8"),
    ("code", "u2"),
    ("scope", "u1"),
    ("passed", "u1"),
)

# Parameters of the covariance and of value at risk, and how far sampling is.
RISK_MODEL = _record(
    ("version", "i8"),  # of the parameters
    ("half_life", "i8"),  # samples
    ("interval_us", "i8"),
    ("horizon_us", "i8"),
    ("z_e9", "i8"),  # standard deviations that value at risk is, times 1e9
    ("correlation_threshold_ppm", "i8"),
    ("mark_age_us_max", "i8"),  # an older mark is not sampled
    ("samples_min", "i8"),  # a symbol with fewer is not measured
    ("sampled_ts", "i8"),
    ("samples", "i8"),
    ("weight", "f8"),  # the largest of a symbol
)

# Risk figures of the firm or an account; see `app.engine.portfolio`.
PORTFOLIO = _record(
    ("variance", "f8"),  # money squared, of one interval
    ("measured", "i8"),  # the part of the exposure that is in it
    ("made_seq", "i8"),  # rows to explain with: the command after which it was made
    ("made_for", "i8"),  # and the row that it stands for
)

COMMAND_KINDS = (
    *(COMMAND, REPORT_COMMAND, VALUE_COMMAND, INSTRUMENT_COMMAND, ACCOUNT_COMMAND),
    *(NOTE_COMMAND, RISK_MODEL_COMMAND),
)
assert {dtype.itemsize for dtype in COMMAND_KINDS} == {128}
assert EVENT.itemsize == NOTE_EVENT.itemsize
assert EVENT.itemsize % 64 == 0, EVENT.itemsize
