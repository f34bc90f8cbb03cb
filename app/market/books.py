"""Market books: the books of all symbols of a feed, from its messages to its sink."""

from collections import Counter
from collections.abc import Iterable

from app.market.book_sync import BookSync, Outcome
from app.market.level_batch import LevelBatch
from app.market.messages import DepthUpdate, Message, TouchUpdate, Trade
from app.market.types import FeedState, MarketInstrument, MarketSink


class MarketBooks:
    """Applies messages as they come; `flush` hands over what they have changed.

    Between two flushes every change of displayed depth is kept, in order, but only
    the last touch of each symbol.
    """

    def __init__(self, instruments: Iterable[MarketInstrument]) -> None:
        self._batch = LevelBatch()
        self.books: dict[int, BookSync] = {}
        self.add(instruments)
        self.outcomes: Counter[Outcome] = Counter()
        self._past_gaps = 0  # of books that have been removed
        self._marked: set[int] = set()
        self._resynced: set[int] = set()  # whose book has come into step, or has fallen out of it
        self._trades: list[Trade] = []

    def add(self, instruments: Iterable[MarketInstrument]) -> None:
        for each in instruments:
            self.books[each.index] = BookSync(each.index, each.symbol, self._batch)

    def remove(self, symbol: int) -> None:
        """The next flush clears its book."""
        book = self.books.pop(symbol)
        book.reset()
        self._past_gaps += book.gaps
        self._marked.discard(symbol)
        self._resynced.discard(symbol)

    @property
    def gaps(self) -> int:
        return self._past_gaps + sum(book.gaps for book in self.books.values())

    def reset(self) -> None:
        """Forget all books; the caller reports their states."""
        for book in self.books.values():
            book.reset()
        self._resynced.clear()
        self._marked.clear()

    def apply(self, message: Message) -> Outcome:
        """Raises KeyError for the symbol of an instrument that was not given."""
        if isinstance(message, Trade):
            self._trades.append(message)
            return Outcome.APPLIED
        book = self.books[message.symbol]
        if isinstance(message, TouchUpdate):
            outcome = book.apply_touch(message)
        elif isinstance(message, DepthUpdate):
            outcome = book.apply_depth(message)
        else:
            outcome = book.apply_snapshot(message)
            self._resynced.add(message.symbol)
        self.outcomes[outcome] += 1
        if outcome is Outcome.APPLIED or outcome is Outcome.DIVERGED:
            self._marked.add(message.symbol)
        elif outcome is Outcome.GAP:
            self._resynced.add(message.symbol)
        return outcome

    def mark_again(self, symbol: int) -> None:
        """Publish the touch of this symbol at the next flush, whether or not it has moved."""
        self._marked.add(symbol)

    def snapshot_symbol(self, last_id: int, symbols: Iterable[int]) -> int:
        """The symbol of a snapshot without a name, found by its number; -1 for none."""
        distances = ((abs(self.books[symbol].newest_id - last_id), symbol) for symbol in symbols)
        return min(distances, default=(0, -1))[1]

    def flush(self, sink: MarketSink) -> None:
        if len(self._batch):
            sink.on_levels(self._batch.take())
        if self._resynced:
            self._report_states(sink)
        for symbol in sorted(self._marked):
            touch = self.books[symbol].touch()
            if touch is not None:
                sink.on_touch(symbol, *touch)
        for symbol, price, quantity, ts, _ in self._trades:
            sink.on_trade(symbol, price, quantity, ts)
        self._marked.clear()
        self._trades.clear()

    def _report_states(self, sink: MarketSink) -> None:
        for symbol in sorted(self._resynced):
            sink.on_feed_state(symbol, FeedState.LIVE if self.books[symbol].in_sync else FeedState.SYNCING)
        self._resynced.clear()
