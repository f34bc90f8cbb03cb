"""A looser limit never refuses what a tighter one admits, whatever the limit, its scope and how it was set.

Two copies of one state get two values of the same limit, then the same request. Breakers are limits
too: there something happens in between that may trip them.
"""

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.engine.codes import Code
from app.engine.types import EventKind, Limit, Policy, Scope
from tests.support import engine as build
from tests.support.engine import Command, pack
from tests.support.limit_worlds import (
    ACCOUNTS,
    KEPT,
    SYMBOLS,
    VALUES,
    WAYS,
    Fork,
    Place,
    World,
    any_place,
    places,
    refusal,
)

# With what a limit refuses, where it is not the code of its own name.
_CODES = {
    Limit.MAX_MARK_AGE: Code.MARKET_DATA_STALE,
    Limit.PRICE_COLLAR_BPS: Code.PRICE_COLLAR,
    Limit.PRICE_MOVE_BPS: Code.PRICE_COLLAR,
    Limit.MAX_REPEATED_ORDERS: Code.REPEATED_ORDER,
    Limit.VENUE_REJECTIONS: Code.TRADING_HALTED,
    Limit.MARK_HALT_AGE: Code.TRADING_HALTED,
    Limit.MAINTENANCE_LEVERAGE: Code.REDUCING_ONLY,
}
_LOSSES = (Limit.DAILY_LOSS, Limit.MAX_DRAWDOWN)
_EQUITY = (*_LOSSES, Limit.MAINTENANCE_LEVERAGE)  # what a move of equity may break
_TRIMMED = (
    EventKind.ORDER_CANCELED, EventKind.ORDER_TRIGGERED, EventKind.ORDER_REPLACED,
    EventKind.CANCEL_REQUESTED, EventKind.REPLACE_REQUESTED,
)  # fmt: skip
_PASSED = 10**6
_COUNTED = (Limit.ORDER_RATE, Limit.CANCEL_RATE, Limit.MAX_REPEATED_ORDERS, Limit.VENUE_REJECTIONS)
_PLACES = [(which, scope) for which in Limit for scope in places(which)]

ONE, OTHER = Fork(), Fork()


def code_of(which: Limit) -> Code:
    return _CODES.get(which) or Code[which.name]


def request(world: World, which: Limit, place: Place) -> Command:
    """One that the limit may well be about."""
    random = world.random
    if which == Limit.CANCEL_RATE:
        return world.cancel()
    if which == Limit.MAX_REPEATED_ORDERS and random.random() < 0.7:
        return world.again()
    if random.random() < 0.2:
        return world.amend()
    account = place.account if place.account >= 0 else random.randrange(ACCOUNTS)
    return world.new(account, place.symbol if place.symbol >= 0 else None)


def has_price(world: World, asked: Command) -> bool:
    """Whether the order that a request is about has a limit of its own."""
    return bool(asked.price or (asked.order_id and world.desk.order(asked.order_id)["price"]))


def value(world: World, which: Limit, place: Place, asked: Command) -> int | None:
    """None: not set at all. Often just what the request needs, or one less."""
    random = world.random
    low, high = VALUES[which]
    chance = random.random()
    if chance < 0.1 and not (place.scope == Scope.ACCOUNT and which in KEPT):
        return None
    if chance < 0.6 and asked.order_id == 0:
        explained = world.desk.engine.explain(pack([asked]), world.desk.ts)
        near = [v.observed for v in explained if (v.code, v.scope) == (code_of(which), place.scope)]
        if near and which not in _COUNTED:
            return max(near[0] - random.randint(0, 1), int(low > 0))
    return random.randint(low, high)


def happenings(world: World, which: Limit) -> list[Command]:
    """What may trip a breaker; in both copies the same."""
    random = world.random
    if which == Limit.VENUE_REJECTIONS:
        return [world.rejected()]
    if which == Limit.MARK_HALT_AGE:
        world.desk.ts += random.choice([1, 10**6])
        return [build.advance()]
    if which in _EQUITY and random.random() < 0.6:
        moved = build.mark(random.randrange(SYMBOLS), random.randint(900, 1_100))
        return [random.choice([world.venue(), moved])]
    return []


def compare(random: Random, which: Limit, scope: int | None = None) -> tuple[int, int] | None:
    """How the tighter and the looser of two limits refuse a request, by code; None: not comparable."""
    world = World(random)
    place = any_place(random, which)
    while scope is not None and place.scope != scope:
        place = any_place(random, which)
    if random.random() < 0.7:  # else a breaker that trips may trim what the request is about
        world.desk.send(build.policy(Policy.CANCEL_INCREASING, 0))
    world.trade(random.randint(0, 12))
    if which in _COUNTED or random.random() < 0.3:  # what is counted is counted under a limit
        world.desk.send(build.limit(which, max(VALUES[which][1], 4), *place))
    for _ in range(random.choice([0, 0, 1, 3])):
        another = random.choice(list(Limit))
        at = any_place(random, another)
        if another != which and not (at.scope == Scope.ACCOUNT and another in KEPT):
            world.desk.send(build.limit(another, random.randint(*VALUES[another]), *at))
    world.trade(random.randint(0, 12))
    if which == Limit.MAINTENANCE_LEVERAGE:  # it is about what is held
        world.trade(40)
    asked = request(world, which, place)
    between = happenings(world, which)
    outcomes = []
    for fork in (ONE, OTHER):
        fork.reset(world.desk)
        fork.put(which, value(world, which, place, asked), place, random.choice(WAYS))
        moved = [event.kind for event in fork.send(between)] if between else []
        first = fork.engine.first_refusal(pack([asked]), fork.ts) if asked.kind == 1 else None
        found = refusal(fork.send([asked]))
        assert first is None or found == (first or _PASSED), "what is explained is what is decided"
        limit = fork.limit(which, place)
        outcomes.append((float("inf") if limit is None else limit, found, moved))
    (tight, tight_code, tight_moved), (loose, loose_code, loose_moved) = sorted(outcomes, key=lambda o: o[0])
    if [k for k in tight_moved if k in _TRIMMED] != [k for k in loose_moved if k in _TRIMMED]:
        return None  # what a breaker has canceled or trimmed holds less, or nothing any more
    if which == Limit.PRICE_COLLAR_BPS and not has_price(world, asked):
        return None  # the edge of its collar is what such an order is worth: a wider one takes more margin
    assert tight_code <= loose_code, f"{which.name} {place}: {tight} {tight_code}, {loose} {loose_code}"
    assert tight < loose or tight_code == loose_code, "the way does not matter"
    return tight_code, loose_code


@settings(max_examples=80, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(list(Limit)))
def test_a_looser_limit_refuses_no_more(random: Random, which: Limit) -> None:
    compare(random, which)


@pytest.mark.slow
@pytest.mark.parametrize(("which", "scope"), _PLACES)
def test_a_looser_limit_refuses_no_more_at_length(which: Limit, scope: Scope) -> None:
    for seed in range(300):
        compare(Random(seed), which, scope)


@pytest.mark.parametrize(("which", "scope"), _PLACES)
def test_each_limit_makes_the_difference(which: Limit, scope: Scope) -> None:
    """The comparisons are worth something only if the tighter limit is why the request is refused."""
    found: Counter[tuple[int, bool]] = Counter()
    for seed in range(120):
        outcome = compare(Random(seed), which, scope)
        if outcome is not None and outcome[0] < outcome[1]:
            found[outcome[0], outcome[1] == _PASSED] += 1
            codes = {code_of(which), Code.REDUCING_ONLY if which in _LOSSES else code_of(which)}
            if all(found[code, True] for code in codes):
                return
    raise AssertionError(found)
