"""Records of the paper venue, as dtypes, and its limits.

Units are the engine's. A *key* is the price of a bid and the negative price of an ask: on both
sides the greater key is the better one, so that one code serves both. An order may trade with keys
of at least its *bound*. Indexes are as wide as an address, for the reason that
`app.engine.state_records` gives.
"""

import numpy as np

# Price levels of resting orders, of one symbol and side; one more is refused.
LADDER_LEVELS_MAX = 1 << 16

# Displayed price levels, of one symbol and side; the worst are dropped.
DEPTH_LEVELS_MAX = 1 << 12

# One step of matching leaves at most this many reports.
REPORTS_PER_STEP_MAX = 2

NO_KEY = -(1 << 63)
ANY_KEY = NO_KEY + 1  # the bound of an order that takes every price
NOWHERE = -1

VENUE = np.dtype(
    [
        ("last_execution_id", "i8"),
        ("cursor", "i8"),  # event that is being carried out, or touched symbol
        ("reports", "i8"),  # written and not yet handed out
        ("levels_used", "i8"),  # of the pool, ever
        ("free_level", "i8"),  # head of the list of levels given back
        ("resting", "i8"),  # orders
        ("touched", "i8"),  # symbols whose displayed depth has changed in this call
        ("applied", "i8"),  # of a turn that ended early: how many of its commands the engine has applied
        ("taken", "i8"),  # and how many of the inbox were taken
        ("spenders", "i8"),  # accounts in `PaperState.spenders`
        ("reopened", "i8"),  # one more than the symbol whose resting orders displayed depth may reach now
        ("state", "i8"),  # the firm's `TradingState`
        ("matching", "u1"),  # 1: `INCOMING` is not finished
    ],
    align=True,
)

# The order that is being matched; kept between calls when reports fill their buffer.
INCOMING = np.dtype(
    [
        ("order_id", "i8"),
        ("bound", "i8"),
        ("price", "i8"),  # to rest at
        ("quantity", "i8"),
        ("remaining", "i8"),
        ("account", "i8"),
        ("symbol", "i8"),
        ("must_reduce", "i8"),  # why it may only reduce a position: a `Code`, NONE where it may open one
        ("side", "u1"),
        ("flags", "u1"),
        ("market", "u1"),
        ("immediate", "u1"),  # what remains is canceled
        ("self_trade_prevention", "u1"),
        ("fresh", "u1"),  # never acknowledged: it may still be REJECTED
        ("silent", "u1"),  # no NEW when it rests: REPLACED has said so, or it has traded
    ],
    align=True,
)

# One symbol and side: [symbol * 2 + side].
BOOK_SIDE = np.dtype(
    [
        ("rungs", "i8"),  # price levels of resting orders
        ("depth", "i8"),  # displayed price levels
        ("depth_top", "i8"),  # all from here on are used up
        ("touched", "u1"),  # on the BUY side: the symbol is in the list
    ],
    align=True,
)

# Ladders are sorted by key with the best at the end, where most changes are and few rows move.
RUNG = np.dtype([("key", "i8"), ("level", "i8")], align=True)
DEPTH = np.dtype([("key", "i8"), ("displayed", "i8"), ("consumed", "i8")], align=True)

# A cache line each.
LEVEL = np.dtype(
    {
        "names": ["key", "quantity", "head", "tail", "orders", "book_side"],
        "formats": ["i8", "i8", "i8", "i8", "i8", "i8"],
        "offsets": [0, 8, 16, 24, 32, 40],
        "itemsize": 64,
        "aligned": True,
    }
)

# [slot of the order id]: a cache line each. `order_id` is 0 where there never was one, and the negative
# of the last one, where that has ended here.
RESTING = np.dtype(
    {
        "names": ["order_id", "quantity", "remaining", "account", "level", "next", "previous", "flags"],
        "formats": ["i8", "i8", "i8", "i8", "i8", "i8", "i8", "i8"],
        "offsets": [0, 8, 16, 24, 32, 40, 48, 56],
        "itemsize": 64,
        "aligned": True,
    }
)

# The venue's copy of traders' state, see `app.venues.paper.mirror`.
HOLDING = np.dtype([("quantity", "i8"), ("permission", "i8")], align=True)  # [symbol * accounts + account]
HOLDER = np.dtype([("state", "i8"), ("permission", "i8"), ("spent", "i8")], align=True)  # [account]
LISTING = np.dtype(  # [symbol]
    [
        ("state", "i8"),  # a `TradingState`
        ("closed", "i8"),  # 1: the instrument is not open for trading
        ("max_price", "i8"),  # 0: not known, so none
    ],
    align=True,
)

PRICE_LEVEL = np.dtype([("price", "i8"), ("quantity", "i8")], align=True)
