"""Subscriptions: the instruments that a feed follows, and which of them the exchange is still to be told."""

from collections.abc import Collection, Iterable, Sequence

from app.market.exchange import Exchange
from app.market.types import MarketInstrument

# Changes are told together: an exchange takes few requests a second of a connection.
TELL_SECONDS = 0.5


def added_and_removed(
    known: Collection[int], instruments: Iterable[MarketInstrument]
) -> tuple[list[MarketInstrument], list[int]]:
    """The instruments that are new, and the indexes of those that are there no more."""
    wanted = {each.index: each for each in instruments}
    added = [each for index, each in wanted.items() if index not in known]
    return added, [index for index in known if index not in wanted]


class Subscriptions:
    """What has changed since connections were told last."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._added: set[int] = set()
        self._removed: dict[int, Sequence[str]] = {}  # names of streams
        self._told_seconds = 0.0

    def add(self, instruments: Collection[MarketInstrument]) -> None:
        self._exchange.add(instruments)
        for each in instruments:
            self._removed.pop(each.index, None)
            self._added.add(each.index)

    def remove(self, symbols: Collection[int]) -> None:
        for symbol in symbols:
            self._added.discard(symbol)
            self._removed[symbol] = self._exchange.stream_names(symbol)
        self._exchange.remove(symbols)

    def due(self, now_seconds: float) -> list[str]:
        """What open connections are to be told now; a new one is told everything anyway."""
        if not (self._added or self._removed) or now_seconds < self._told_seconds + TELL_SECONDS:
            return []
        self._told_seconds = now_seconds
        names = [name for removed in self._removed.values() for name in removed]
        requests = [*self._exchange.unsubscribe(names), *self._exchange.subscribe(sorted(self._added))]
        self._added.clear()
        self._removed.clear()
        return requests
