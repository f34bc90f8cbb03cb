"""Capacity: the size of everything that the engine holds, named in one place."""

from dataclasses import dataclass

# An order id is `seq << SLOT_BITS | slot`: it grows with time and finds its order at once.
SLOT_BITS = 21

# Money and money-like products stay below this, so that sums of a few cannot overflow 64 bits.
MONEY_MAX = 1 << 60

# Sums over all accounts stay within this, up and down: exposures at the marks, equity, its peaks and day
# starts. What one more transfer, mark or settlement may add is less than that again, and the difference of
# two sums less than twice as much: all of it fits into 64 bits.
SUM_MAX = 1 << 61

# A hundred times the largest price, which is as far as a collar reaches, fits too.
PRICE_MAX = 1 << 55

# A command that touches one order leaves at most this many events.
EVENTS_PER_COMMAND_MAX = 4

# Verdicts of a check stand at their code and scope (`app.engine.verdicts`): room for 128 codes.
VERDICTS_MAX = 1_024

# Limits of one request: each limit of a scope, and a few twice.
REQUEST_LIMITS_MAX = 32


@dataclass(frozen=True)
class Capacity:
    """Sizes of the engine's arrays. All are allocated at start; pages are touched when used."""

    accounts: int = 1_024
    symbols: int = 256
    orders: int = 1 << SLOT_BITS  # open, and closed ones until their slot is needed
    open_orders: int = 1 << (SLOT_BITS - 1)  # the rest is the window of closed orders
    fills: int = 1 << 20  # the window in which a repeated execution id is recognised
    commands: int = 1 << 13  # of one batch
    events: int = 1 << 15  # of one batch; the rest follows in the next
    overrides: int = 1_024  # of limits, at the same time
    limit_changes: int = 1_024  # proposed and pending, or decided until their place is needed
    repeats: int = 1 << 16  # recent orders of accounts with MAX_REPEATED_ORDERS

    def __post_init__(self) -> None:
        for name in ("orders", "fills", "repeats"):
            size = getattr(self, name)
            if size & (size - 1):
                raise ValueError(f"capacity of {name} must be a power of two, not {size}")
        if not 0 < self.open_orders < self.orders <= 1 << SLOT_BITS:
            raise ValueError("capacity: 0 < open_orders < orders <= 2**SLOT_BITS")
        if self.events < 4 * EVENTS_PER_COMMAND_MAX:
            raise ValueError("capacity: too few events")


DEFAULT_CAPACITY = Capacity()
SMALL_CAPACITY = Capacity(
    accounts=8,
    symbols=8,
    orders=1 << 12,
    open_orders=1 << 11,
    fills=1 << 12,
    commands=256,
    events=1024,
    overrides=16,
    limit_changes=16,
    repeats=1 << 10,
)
