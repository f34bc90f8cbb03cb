"""The market's inbox: depth as it came, marks only once they are released, the newest of each symbol."""

import numpy as np
from numpy.typing import NDArray

from app.engine.types import Side
from app.market.types import LEVEL_UPDATE, LevelKind
from app.runtime.market_inbox import PENDING_LEVELS_MAX, MarketInbox


def _levels(*levels: tuple[int, int]) -> NDArray[np.void]:
    """(price, quantity) pairs of bids."""
    rows = [(price, quantity, 0, Side.BUY, LevelKind.SET) for price, quantity in levels]
    return np.array(rows, LEVEL_UPDATE)


def _taken(inbox: MarketInbox) -> list[list[tuple[int, int]]]:
    levels, _ = inbox.take()
    return [[(int(row["price"]), int(row["quantity"])) for row in batch] for batch in levels]


def _due(inbox: MarketInbox) -> bool:
    return inbox.due


def test_depth_comes_out_in_the_batches_in_which_it_came() -> None:
    inbox = MarketInbox()
    assert not inbox.add_levels(_levels((100, 1), (99, 2)))
    assert not inbox.add_levels(_levels((100, 3)))
    assert _due(inbox)
    assert _taken(inbox) == [[(100, 1), (99, 2)], [(100, 3)]]
    assert not _due(inbox)
    assert _taken(inbox) == []


def test_what_is_kept_is_a_copy() -> None:
    inbox, levels = MarketInbox(), _levels((100, 1))
    inbox.add_levels(levels)
    levels["quantity"] = 7
    assert _taken(inbox) == [[(100, 1)]]


def test_too_much_depth_is_conflated_to_what_counts_now() -> None:
    inbox = MarketInbox()
    prices = [(price, 1) for price in range(1, 101)]
    batches = PENDING_LEVELS_MAX // len(prices)
    assert not any(inbox.add_levels(_levels(*prices)) for _ in range(batches))
    newest = [(price, 2) for price in range(1, 101)]
    assert inbox.add_levels(_levels(*newest))
    inbox.conflate_levels()
    assert _due(inbox)
    # There is room again, and it is taken behind what was kept.
    assert not inbox.add_levels(_levels((50, 3)))
    assert _taken(inbox) == [newest, [(50, 3)]]


def test_taking_depth_makes_room() -> None:
    inbox = MarketInbox()
    assert inbox.add_levels(_levels(*[(100, 1)] * PENDING_LEVELS_MAX))
    inbox.take()
    assert not inbox.add_levels(_levels((100, 1)))


def test_marks_wait_until_they_are_released() -> None:
    inbox = MarketInbox()
    inbox.add_mark(3, 1_000)
    assert not _due(inbox)
    assert inbox.take() == ([], {})
    assert inbox.release_marks()
    assert _due(inbox)
    assert inbox.take() == ([], {3: 1_000})
    assert not _due(inbox)
    assert inbox.take() == ([], {})


def test_only_the_newest_mark_of_a_symbol_enters() -> None:
    inbox = MarketInbox()
    for symbol, mark in ((3, 1_000), (1, 50), (3, 1_001)):
        inbox.add_mark(symbol, mark)
    inbox.release_marks()
    inbox.add_mark(1, 51)  # it comes before the tick does
    _, marks = inbox.take()
    assert list(marks.items()) == [(3, 1_001), (1, 51)]


def test_depth_does_not_take_unreleased_marks_along() -> None:
    inbox = MarketInbox()
    inbox.add_mark(0, 1_000)
    inbox.add_levels(_levels((100, 1)))
    levels, marks = inbox.take()
    assert (len(levels), marks) == (1, {})
    assert inbox.release_marks()
    assert inbox.take() == ([], {0: 1_000})


def test_without_a_new_mark_there_is_nothing_to_release() -> None:
    inbox = MarketInbox()
    assert not inbox.release_marks()
    inbox.add_mark(0, 1)
    inbox.release_marks()
    inbox.take()
    assert not inbox.release_marks()
    assert not _due(inbox)
