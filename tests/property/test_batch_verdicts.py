"""A batch of orders is decided as the same orders one by one: verdicts, events, state."""

from collections import Counter
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from app.engine.state import state_hash
from app.engine.types import Limit
from tests.support import engine as build
from tests.support.limit_worlds import VALUES, Fork, World, any_place

BATCH, ONE_BY_ONE = Fork(), Fork()


def compare(random: Random) -> Counter[int]:
    """The codes with which the requests of one batch are refused."""
    world = World(random)
    world.trade(random.randint(0, 10))
    for which in Limit:
        if random.random() < 0.7:  # mostly wide, so that the narrow ones are met one after the other
            most = VALUES[which][1]
            amount = random.choice([random.randint(*VALUES[which]), most, 20 * most])
            world.desk.send(build.limit(which, amount, *any_place(random, which)))
    world.trade(random.randint(0, 10))
    makers = (world.new, world.new, world.new, world.again, world.amend, world.cancel)
    batch = [random.choice(makers)() for _ in range(random.randint(2, 40))]
    BATCH.reset(world.desk)
    ONE_BY_ONE.reset(world.desk)
    together = BATCH.send(batch)
    apart = [event for command in batch for event in ONE_BY_ONE.send([command])]
    assert together == apart
    assert state_hash(BATCH.engine.state) == state_hash(ONE_BY_ONE.engine.state)
    return Counter(event.code for event in together)


@settings(max_examples=25, deadline=None)
@given(st.randoms(use_true_random=False))
def test_a_batch_and_its_orders_one_by_one(random: Random) -> None:
    compare(random)


def test_batches_are_worth_comparing() -> None:
    found: Counter[int] = Counter()
    for seed in range(40):
        found += compare(Random(seed))
    assert found[0] > 50 and len(found) > 15, found
