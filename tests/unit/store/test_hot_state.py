"""Hot state: what Redis is sent of a batch of events."""

from app.documents.redis_documents import RedisDocuments
from app.engine.capacity import DEFAULT_CAPACITY
from app.engine.codes import Code
from app.engine.types import EventKind, ReportKind, Side
from app.store import hot_keys as keys
from app.store.hot_state import HotState
from tests.support.engine import Desk, cancel, desk, pack, place, report, working


def test_a_new_account_whose_cancel_the_venue_refuses_within_one_batch() -> None:
    made = desk(capacity=DEFAULT_CAPACITY)
    order_id = working(made, place(0, 0, Side.BUY, 5, 1_000))
    made.one(cancel(order_id))
    refused = made.one(report(ReportKind.CANCEL_REJECTED, order_id, code=Code.VENUE_REJECTED))
    assert refused.kind == EventKind.CANCEL_REJECTED

    other = Desk(DEFAULT_CAPACITY)
    hot = HotState(RedisDocuments(other.engine.state))
    commands = hot.changes(other.engine.process(pack(made.log)).tobytes())
    assert keys.orders("account-0") in [command[1] for command in commands if command[0] == "HSET"]
