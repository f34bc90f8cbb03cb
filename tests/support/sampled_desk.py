"""Sampled desk: an engine that has seen returns, and what it made of them."""

from collections.abc import Sequence

import numpy as np

from app.engine.types import EventKind, SeriesStatus
from tests.support.engine import (
    Desk,
    desk,
    mark,
    sample_marks,
)

SAMPLES = 40

PRICE = 10_000

SECOND_US = 1_000_000


def pass_second(made: Desk, prices: Sequence[int]) -> None:
    """A second later: new marks of the first symbols, 0 leaves one as it is, then a sample."""
    made.ts += SECOND_US
    made.send(*(mark(symbol, price) for symbol, price in enumerate(prices) if price))
    assert made.one(sample_marks()).kind == EventKind.MARKS_SAMPLED


def moving_prices(symbols: int, samples: int, seed: int = 1, common: float = 0.8) -> list[list[int]]:
    """Prices that return to PRICE, symbol 0 and 1 moved by one factor, the others each on its own."""
    random = np.random.default_rng(seed)
    factor = random.normal(0, 20, samples)
    moves = random.normal(0, 20, (samples, symbols))
    for symbol in range(min(symbols, 2)):
        moves[:, symbol] = common * factor + (1 - common) * moves[:, symbol]
    moves[-1] = 0
    return [[PRICE + int(move) for move in row] for row in moves]


def sampled_desk(symbols: int = 3, accounts: int = 2, common: float = 0.8) -> Desk:
    made = desk(accounts, symbols, PRICE, cash=10**15)
    for prices in moving_prices(symbols, SAMPLES, common=common):
        pass_second(made, prices)
    return made


def covariance(made: Desk, i: int, j: int) -> float:
    state = made.engine.state
    return float(state.covariance[i * len(state.scales) + j])


def statuses(made: Desk, symbols: int) -> list[SeriesStatus]:
    return [SeriesStatus(status) for status in made.engine.state.statuses[:symbols].tolist()]
