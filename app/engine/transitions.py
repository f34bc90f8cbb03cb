"""Transitions: the order state machine, one table, FIX OrdStatus by trigger.

A pair that is not in the table is illegal and changes nothing. NEW as the target of ACKNOWLEDGE,
REPLACE and REFUSE stands for "working": an order that has fills is PARTIALLY_FILLED instead
(`next_status`). A fill ends the wait of a pending cancel or replace, so the venue's answer to it
may also reach a working order.
"""

from enum import IntEnum

import numpy as np

from app.engine.jit import inline
from app.engine.types import OrderStatus as S


class Trigger(IntEnum):
    """An occurrence in an order's life."""

    ACKNOWLEDGE = 0  # the venue has it
    FILL = 1  # an execution that leaves something open
    COMPLETE = 2  # the execution of the last of it
    REQUEST_CANCEL = 3
    REQUEST_REPLACE = 4
    CANCEL = 5
    EXPIRE = 6
    REJECT = 7
    FIRE = 8  # the mark has reached the stop price
    REPLACE = 9
    REFUSE = 10  # the venue will not cancel or replace
    LOSE = 11  # the outcome is not known


T = Trigger

TABLE: dict[S, dict[Trigger, S]] = {
    S.PENDING_NEW: {
        T.ACKNOWLEDGE: S.NEW,
        T.FILL: S.PARTIALLY_FILLED,
        T.COMPLETE: S.FILLED,
        T.REQUEST_CANCEL: S.PENDING_CANCEL,
        T.CANCEL: S.CANCELED,
        T.EXPIRE: S.EXPIRED,
        T.REJECT: S.REJECTED,
        T.LOSE: S.UNKNOWN,
    },
    S.NEW: {
        T.FILL: S.PARTIALLY_FILLED,
        T.COMPLETE: S.FILLED,
        T.REQUEST_CANCEL: S.PENDING_CANCEL,
        T.REQUEST_REPLACE: S.PENDING_REPLACE,
        T.CANCEL: S.CANCELED,
        T.EXPIRE: S.EXPIRED,
        T.FIRE: S.TRIGGERED,
        T.REFUSE: S.NEW,
        T.LOSE: S.UNKNOWN,
    },
    S.PARTIALLY_FILLED: {
        T.ACKNOWLEDGE: S.NEW,  # overtaken by the first fill
        T.FILL: S.PARTIALLY_FILLED,
        T.COMPLETE: S.FILLED,
        T.REQUEST_CANCEL: S.PENDING_CANCEL,
        T.REQUEST_REPLACE: S.PENDING_REPLACE,
        T.CANCEL: S.CANCELED,
        T.EXPIRE: S.EXPIRED,
        T.REPLACE: S.NEW,
        T.REFUSE: S.NEW,  # the fill came between the request and its answer
        T.LOSE: S.UNKNOWN,
    },
    S.PENDING_CANCEL: {
        T.ACKNOWLEDGE: S.PENDING_CANCEL,  # overtaken by the request
        T.FILL: S.PARTIALLY_FILLED,
        T.COMPLETE: S.FILLED,
        T.CANCEL: S.CANCELED,
        T.EXPIRE: S.EXPIRED,
        T.REJECT: S.REJECTED,
        T.REPLACE: S.PENDING_CANCEL,  # requested before the cancel
        T.REFUSE: S.NEW,
        T.LOSE: S.UNKNOWN,
    },
    S.PENDING_REPLACE: {
        T.ACKNOWLEDGE: S.PENDING_REPLACE,  # of a stop that has fired
        T.FILL: S.PARTIALLY_FILLED,
        T.COMPLETE: S.FILLED,
        T.REQUEST_CANCEL: S.PENDING_REPLACE,  # a cancel may always follow; the venue answers in order
        T.CANCEL: S.CANCELED,
        T.EXPIRE: S.EXPIRED,
        T.REJECT: S.REJECTED,
        T.REPLACE: S.NEW,
        T.REFUSE: S.NEW,
        T.LOSE: S.UNKNOWN,
    },
    S.TRIGGERED: {
        T.ACKNOWLEDGE: S.NEW,
        T.FILL: S.PARTIALLY_FILLED,
        T.COMPLETE: S.FILLED,
        T.REQUEST_CANCEL: S.PENDING_CANCEL,
        T.REQUEST_REPLACE: S.PENDING_REPLACE,
        T.CANCEL: S.CANCELED,
        T.EXPIRE: S.EXPIRED,
        T.REJECT: S.CANCELED,  # it was accepted once: refused by the venue it ends as canceled
        T.LOSE: S.UNKNOWN,
    },
    S.UNKNOWN: {
        T.ACKNOWLEDGE: S.NEW,
        T.FILL: S.PARTIALLY_FILLED,
        T.COMPLETE: S.FILLED,
        T.REQUEST_CANCEL: S.UNKNOWN,
        T.CANCEL: S.CANCELED,
        T.EXPIRE: S.EXPIRED,
        T.REJECT: S.REJECTED,
        T.REPLACE: S.NEW,
        T.REFUSE: S.UNKNOWN,
    },
}

FINAL = (S.FILLED, S.CANCELED, S.REJECTED, S.EXPIRED)

_PARTIALLY_FILLED = int(S.PARTIALLY_FILLED)
_NEXT = np.zeros((len(S), len(Trigger)), np.int64)
for _status, _row in TABLE.items():
    for _trigger, _target in _row.items():
        _NEXT[_status, _trigger] = _target


@inline
def next_status(status: int, trigger: int, filled_quantity: int) -> int:
    """The status after `trigger` from `status`; OrderStatus.NONE if it is illegal."""
    target = _NEXT[status, trigger]
    if target == S.NEW and filled_quantity > 0:
        return _PARTIALLY_FILLED
    return int(target)


@inline
def is_final(status: int) -> bool:
    return status >= S.FILLED
