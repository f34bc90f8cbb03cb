"""The twin's like orders: a list of all that were counted, looked through from its beginning."""

from app.engine.types import Policy
from tests.models.engine_model import Account, Books, Counted, Order


def _what(order: Order) -> tuple[int, int, int, int, int]:
    return order.account, order.symbol, order.side, order.price, order.quantity


def repeats_with(books: Books, order: Order) -> int:
    """How many like this one there are in the window, itself included."""
    since = books.ts - books.policies[Policy.REPEAT_WINDOW_US]
    forgotten = books.accounts[order.account].repeats_forgotten
    like = [each for each in books.repeats if each.what == _what(order)]
    return 1 + sum(each.ts >= since and each.number > forgotten for each in like)


def count_repeat(books: Books, order: Order) -> None:
    number = books.repeats[-1].number + 1 if books.repeats else 1
    books.repeats.append(Counted(number, books.ts, _what(order)))


def forget_repeats(books: Books, account: Account) -> None:
    """The account has been resumed."""
    account.repeats_forgotten = books.repeats[-1].number if books.repeats else 0
