"""Trade deduplication: new, repeated and missing trades, by their numbers."""

from collections import deque

# Trades remembered of each symbol: far more than come twice in a row or late.
REMEMBERED_MAX = 1_024
# A number further ahead than this has been damaged on its way.
AHEAD_MAX = 1_000_000


class TradeNumbers:
    """The trade numbers of one symbol. A late trade counts as missing until it comes."""

    __slots__ = ("_known", "_newest", "_order", "missing", "repeated")

    def __init__(self) -> None:
        self._known: set[int] = set()
        self._order: deque[int] = deque()
        self._newest = -1
        self.missing = 0
        self.repeated = 0

    def restart(self) -> None:
        """What follows is not a continuation: it is unknown what happened in between."""
        self._known.clear()
        self._order.clear()
        self._newest = -1

    def admit(self, trade_id: int) -> bool:
        """Whether this trade is new and to be passed on."""
        if trade_id < 0:
            return True
        if trade_id in self._known:
            self.repeated += 1
            return False
        self._known.add(trade_id)
        self._order.append(trade_id)
        if len(self._order) > REMEMBERED_MAX:
            self._known.discard(self._order.popleft())
        ahead = trade_id - self._newest
        if self._newest < 0 or abs(ahead) > AHEAD_MAX:
            self._newest = trade_id
        elif ahead > 0:
            self.missing += ahead - 1
            self._newest = trade_id
        elif self.missing:
            self.missing -= 1
        return True
