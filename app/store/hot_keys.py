"""Hot state in Redis: its keys. Each begins with `bot4:`.

bot4:meta                 hash: `seq` and `ts` of the last command that is in all of this; `journal`:
                          whose; `synced`: 1, missing while all is written anew; `layout`
bot4:accounts             hash: account -> JSON, as GET /v1/accounts/{account}
bot4:positions:<account>  hash: symbol -> JSON, as in GET /v1/accounts/{account}/positions
bot4:orders:<account>     hash: order id -> JSON of each open order
bot4:limits               hash: scope -> JSON, its version and its limits
bot4:trading_states       hash: scope -> ACTIVE, REDUCING or HALTED
bot4:instruments          hash: symbol -> JSON
bot4:marks                hash: symbol -> JSON, mark and ts
bot4:events               stream: the newest events of orders, fills and risk; an entry's id is
                          `<seq>-<index>`, its fields are `kind` and `data`
bot4:live                 channel: for each transaction {"seq", "ts", "events": how many were added}

A scope is `firm`, `account:a`, `symbol:s` or `account:a/symbol:s`.

A transaction writes all that some commands have changed, and `bot4:meta`, so
what is read in one MULTI is one moment. Accounts and positions that only a mark has
revalued follow within a second.
"""

LAYOUT = 1

META = "bot4:meta"
ACCOUNTS = "bot4:accounts"
LIMITS = "bot4:limits"
TRADING_STATES = "bot4:trading_states"
INSTRUMENTS = "bot4:instruments"
MARKS = "bot4:marks"
EVENTS = "bot4:events"
LIVE = "bot4:live"
ALL = "bot4:*"

EVENTS_KEPT = 20_000


def positions(account: str) -> str:
    return f"bot4:positions:{account}"


def orders(account: str) -> str:
    return f"bot4:orders:{account}"
