"""Subscriptions: the instruments that a feed follows, and the changes not yet sent to the exchange."""

from collections.abc import Collection, Iterable, Sequence

from app.market.exchange import Exchange
from app.market.types import MarketInstrument

# Changes are sent together: an exchange accepts few requests a second from a connection.
SEND_SECONDS = 0.5


def added_and_removed(
    known: Collection[int], instruments: Iterable[MarketInstrument]
) -> tuple[list[MarketInstrument], list[int]]:
    """The instruments that are new, and the indexes of those that are gone."""
    wanted = {each.index: each for each in instruments}
    added = [each for index, each in wanted.items() if index not in known]
    return added, [index for index in known if index not in wanted]


class Subscriptions:
    """Changes since the last requests to the connections."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._added: set[int] = set()
        self._removed: dict[int, Sequence[str]] = {}  # names of streams
        self._sent_seconds = 0.0

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
        """Requests to send on open connections now; a new connection subscribes to everything anyway."""
        if not (self._added or self._removed) or now_seconds < self._sent_seconds + SEND_SECONDS:
            return []
        self._sent_seconds = now_seconds
        names = [name for removed in self._removed.values() for name in removed]
        requests = [*self._exchange.unsubscribe(names), *self._exchange.subscribe(sorted(self._added))]
        self._added.clear()
        self._removed.clear()
        return requests
