"""Consequences of a command, step by step, until nothing is left to do.

A fill moves equity, equity trips a breaker, the breaker's state trims orders, a mark fires stops.
Each of these may need more events than there is room for, so none calls the next: each leaves a
mark in the firm's record (`trim_account`, `first_unsettled`, `alarm`, `stops_due`), and
`finish_consequences` works these off in a fixed order, one step at a time. A step checks for room
before it does anything, and no step is done twice, so the events are the same for a buffer of any
size.

Equity is looked at only when all that belongs together is booked: both sides of a trade, all marks of
one moment (`more` in their commands). In between it is not real.
"""

from app.engine.jit import inline
from app.engine.positions import touch_equity
from app.engine.state import NO_SLOT, State
from app.engine.stops import fire_stops
from app.engine.trading_state import is_account_broken, is_firm_broken, trip_next
from app.engine.trimming import go_on_trimming


@inline
def _look_at_equity(st: State) -> None:
    """Update the peaks of accounts whose equity has moved, and check whether a breaker has to trip."""
    firm = st.firm[0]
    while firm.first_unsettled != NO_SLOT:
        account = firm.first_unsettled
        record = st.accounts[account]
        firm.first_unsettled = record.next_unsettled
        record.unsettled = 0
        touch_equity(st, account)
        if is_account_broken(st, account):
            firm.alarm = 1
    firm.peak_equity = max(firm.peak_equity, firm.equity)
    if is_firm_broken(st):
        firm.alarm = 1


@inline
def finish_consequences(st: State) -> bool:
    """All consequences; False if it has to be resumed (see `app.engine.engine`)."""
    firm = st.firm[0]
    while True:
        if firm.trim_account != NO_SLOT:
            if not go_on_trimming(st):
                return False
        elif firm.group_open:
            return True
        elif firm.first_unsettled != NO_SLOT:
            _look_at_equity(st)
        elif firm.alarm:
            if not trip_next(st):
                return False
        elif firm.stops_due:
            if not fire_stops(st):
                return False
        else:
            return True
