"""State records: the records that the engine's state is made of, as dtypes; units: `app.engine.records`."""

from app.engine.records import ACCOUNT_NAME_WORDS, CLIENT_ORDER_ID_WORDS, SYMBOL_WORDS, record
from app.engine.types import Limit, Policy

CACHE_LINE_BYTES = 64

MARKS = 16  # of each symbol, remembered over the last one or two COLLAR_WINDOW_US

# From here on every index is as wide as an address. Where LLVM 22 has to widen one that may be
# negative, it moves the widening in front of the check of the sign, and then drops the check.
ORDER = record(
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
    ("replace_price", "i8"),  # PENDING_REPLACE: the requested price
    ("replace_quantity", "i8"),
    ("replace_priority", "i8"),
    ("reserved", "i8"),  # steps that count as open
    ("reserved_price", "i8"),  # what each of them is worth, in ticks
    ("reserved_cost", "i8"),  # money that their fills may cost beyond the mark, fees included
    ("limit", "i8"),  # REJECTED: as in the event
    ("observed", "i8"),
    ("content", "i8"),  # fingerprint of the request, for idempotent repeats
    ("last_fill", "i8"),  # number of its newest fill, 0 where none
    ("client_order_id", "u8", (CLIENT_ORDER_ID_WORDS,)),
    multiple_of=CACHE_LINE_BYTES,
)

FILL = record(
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

INSTRUMENT = record(
    ("name", "u8", (SYMBOL_WORDS,)),
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
    ("marks", "i8"),  # how many marks have been remembered
    ("rejections", "i8"),  # of the venue, in a row
    ("state_ts", "i8"),  # since when the trading state is what it is
    ("state_actor", "i8"),  # who set it: a key's number, 0 a breaker
    ("state_cause", "u2"),  # the code of the breaker
    ("status", "u1"),
    ("trading_state", "u1"),
    ("stops_due", "u1"),  # 1: stops may have been reached
    ("mark_spread_max_bps", "i8"),  # no mark is made of a wider book; 0: of any
    ("version", "i8"),
    ("worst", "i8"),  # sum over the accounts of `POSITION.worst`
)

ACCOUNT = record(
    ("name", "u8", (ACCOUNT_NAME_WORDS,)),
    ("leverage", "i8"),
    ("cash", "i8"),
    ("transferred", "i8"),  # deposits less withdrawals
    ("position_value", "i8"),  # sum of position x mark
    ("exposure", "i8"),  # sum of the worst cases, positions and open orders
    ("upper", "i8"),  # net exposure if all open buys fill
    ("lower", "i8"),  # and if all open sells fill
    ("open_notional", "i8"),  # money that open orders may still trade
    ("open_cost", "i8"),  # sum of `ORDER.reserved_cost`
    ("gross_value", "i8"),  # sum of the magnitudes of position x mark
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
    ("repeats_forgotten", "i8"),  # number of the `REPEAT` up to which nothing counts any more
    ("portfolio_version", "i8"),  # the model's version that its portfolio row is of
    ("permission", "u1"),  # `Permission` for symbols that have none of their own; DEFAULT is ALLOWED
    ("unsettled", "u1"),  # 1: its equity has moved within a group of commands, see `app.engine.consequences`
    ("next_unsettled", "i8"),
)

POSITION = record(
    ("quantity", "i8"),  # signed
    ("entry_cost", "i8"),  # money, signed like the quantity
    ("realised", "i8"),
    ("fees", "i8"),
    ("value", "i8"),  # quantity x mark
    ("worst", "i8"),  # largest magnitude that open orders may lead to, in steps
    ("exposure", "i8"),  # worst x mark
    ("upper", "i8"),  # the highest that open orders may lead to, x mark
    ("lower", "i8"),  # and the lowest
    ("open_buy", "i8"),  # steps reserved by open orders
    ("open_sell", "i8"),
    ("reduce_buy", "i8"),  # the part of them that is reduce-only
    ("reduce_sell", "i8"),
    ("open_orders", "i8"),
    ("permission", "u1"),  # a `Permission`
    multiple_of=CACHE_LINE_BYTES,
)

LIMITS = record(
    ("version", "i8"),
    ("set_mask", "i4"),  # bit n: limit n is set
    ("override_mask", "i4"),  # bit n: what is set is an override's value
    ("value", "i8", (len(Limit),)),
    multiple_of=CACHE_LINE_BYTES,
)
assert len(Limit) < 32, "masks of limits"

OVERRIDE = record(
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

LIMIT_CHANGE = record(
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

MARK = record(("ts", "i8"), ("price", "i8"))

# See `app.engine.repeats`; `next`, `first` and `behind` are numbers, 0 is none.
REPEAT = record(
    ("ts", "i8"),
    ("price", "i8"),
    ("quantity", "i8"),
    ("next", "i8"),  # the next one like it; none: this is the newest
    ("first", "i8"),  # of the newest: the oldest like it that counts
    ("behind", "i8"),  # of the newest: the next older one in its bucket
    ("account", "i4"),
    ("symbol", "i4"),
    ("count", "i4"),  # of the newest: how many count, itself included
    ("side", "u1"),
    multiple_of=CACHE_LINE_BYTES,
)

HEAP_NODE = record(
    ("key", "i8"),
    ("tie", "i8"),  # of equal keys the smaller goes first
    ("parent", "i8"),
    ("left", "i8"),
    ("right", "i8"),
    ("rank", "i8"),
)

FIRM = record(
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
    ("repeats", "i8"),  # number of the newest order that was counted, see `app.engine.repeats`
    ("last_execution_id", "i8"),
    ("accounts", "i8"),
    ("symbols", "i8"),
    ("order_tokens", "i8"),
    ("order_tokens_ts", "i8"),
    ("cancel_tokens", "i8"),
    ("cancel_tokens_ts", "i8"),
    ("policy", "i8", (len(Policy),)),
    ("cursor", "i8"),  # where a command goes on whose events did not fit, see `app.engine.engine`
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
    ("settlement", "u8"),  # the currency that accounts are kept in: the quote of the first instrument
    ("first_unsettled", "i8"),  # account, see `app.engine.consequences`
    ("trim_account", "i8"),  # orders are being trimmed: of this account, to the last one, and from
    ("trim_last", "i8"),  # this slot on; -1 where none are
    ("trim_symbol", "i8"),
    ("trim_slot", "i8"),
    ("state_cause", "u2"),  # the code of the breaker
    ("trading_state", "u1"),
    ("group_open", "u1"),  # 1: the next command belongs with the last one
    ("stops_due", "u1"),  # 1: of some symbol
    ("alarm", "u1"),  # 1: a breaker may have to trip
)

VERDICT = record(
    ("limit", "i8"),
    ("observed", "i8"),
    ("code", "u2"),
    ("scope", "u1"),
    ("passed", "u1"),
)

# Parameters of the covariance and of value at risk, and how far sampling is.
RISK_MODEL = record(
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
    ("deviation_max", "f8"),  # the largest standard deviation of a symbol's returns
    ("factor", "f8"),  # of value at risk over a standard deviation of one interval, rounded up
)

# Risk figures of the firm or an account; see `app.engine.portfolio`.
PORTFOLIO = record(
    ("variance", "f8"),  # money squared, of one interval: of the middles of what fills may lead to
    ("radius", "f8"),  # and of the way from the middles, symbol by symbol: standard deviations in money
    ("measured", "i8"),  # the part of the exposure that is in both
    ("measured_max", "i8"),  # the largest since the row was made
    ("drift", "f8"),  # bounds of what roundings since then can have done: to radius and, relatively, products
    ("error", "f8"),  # and to variance
    ("made_seq", "i8"),  # rows to explain with: the command after which it was made
    ("made_for", "i8"),  # and the row that it stands for
)
