"""Faults on request, by probability and from a seed, so that they repeat."""

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import NamedTuple, Self

from websockets.frames import Opcode

# Longer than any message that a client should take.
OVERSIZED_BYTES = (1 << 20) + 1
DELAY_MS_MAX = 600_000


class FaultError(ValueError):
    """An unknown or impossible fault."""


@dataclass(frozen=True, slots=True)
class Faults:
    """Probabilities, of each message unless it says otherwise."""

    drop: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0  # the message comes behind the next one
    corrupt: float = 0.0  # cut short, damaged, not JSON or a binary frame: no parser can accept it
    falsify: float = 0.0  # one digit of a quantity is wrong: only a comparison of books finds it
    oversize: float = 0.0  # longer than a client takes
    delay: float = 0.0  # the connection stands still for delay_ms, then goes on where it was
    delay_ms: float = 200.0
    cut: float = 0.0  # the connection breaks off
    half_open: float = 0.0  # the connection is as good as dead, without a close
    refuse: float = 0.0  # of each new connection: 503
    snapshot_fail: float = 0.0  # of each snapshot: snapshot_status
    snapshot_status: float = 429
    retry_after_s: float = 1.0

    @property
    def quiet(self) -> bool:
        """Whether messages go out as they are."""
        return not any(getattr(self, name) for name in MESSAGE_FAULTS)

    def changed(self, values: Mapping[str, str]) -> Self:
        """Raises FaultError."""
        numbers = {name: _number(name, text) for name, text in values.items()}
        return replace(self, **numbers)


MESSAGE_FAULTS = (
    "drop",
    "duplicate",
    "reorder",
    "corrupt",
    "falsify",
    "oversize",
    "delay",
    "cut",
    "half_open",
)
_LARGEST = {"delay_ms": DELAY_MS_MAX, "snapshot_status": 599, "retry_after_s": 86_400}
_SMALLEST = {"snapshot_status": 400}
NAMES = tuple(each.name for each in fields(Faults))


def _number(name: str, text: str) -> float:
    if name not in NAMES:
        raise FaultError(f"fault {name!r} is unknown; allowed: {', '.join(NAMES)}")
    low, high = _SMALLEST.get(name, 0), _LARGEST.get(name, 1)
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not low <= value <= high:
        raise FaultError(f"{name} must be from {low} to {high}, not {text!r}")
    return value


class Payload(NamedTuple):
    opcode: Opcode
    data: bytes


class Injector:
    """The faults of one connection. `done` counts them."""

    def __init__(self, seed: str) -> None:
        self.done: Counter[str] = Counter()
        self._random = random.Random(seed)  # noqa: S311  # repeatable, not secret
        self._held: Payload | None = None

    def apply(self, faults: Faults, raw: bytes) -> tuple[list[Payload], str]:
        """The frames in place of a message, and what happens then: delay, cut, half_open or nothing."""
        fault = self._draw(faults)
        if fault:
            self.done[fault] += 1
        payload = Payload(Opcode.TEXT, raw)
        sent = [payload]
        if fault == "reorder" and self._held is None:
            self._held = payload
            return [], ""
        if fault == "drop":
            sent = []
        elif fault == "duplicate":
            sent = [payload, payload]
        elif fault == "corrupt":
            sent = [self._corrupt(raw)]
        elif fault == "falsify":
            sent = [Payload(Opcode.TEXT, self._falsify(raw))]
        elif fault == "oversize":
            sent = [Payload(Opcode.TEXT, raw.ljust(OVERSIZED_BYTES))]
        if self._held is not None:
            sent.append(self._held)
            self._held = None
        return sent, fault if fault in ("delay", "cut", "half_open") else ""

    def release(self) -> list[Payload]:
        """The message that is still held back."""
        held, self._held = self._held, None
        return [held] if held is not None else []

    def happens(self, probability: float, name: str) -> bool:
        if probability and self._random.random() < probability:
            self.done[name] += 1
            return True
        return False

    def _draw(self, faults: Faults) -> str:
        """At most one fault for each message."""
        drawn = self._random.random()
        for name in MESSAGE_FAULTS:
            drawn -= getattr(faults, name)
            if drawn < 0:
                return name
        return ""

    def _corrupt(self, raw: bytes) -> Payload:
        how = self._random.randrange(4)
        if how == 0:
            return Payload(Opcode.TEXT, raw[: self._random.randrange(len(raw) - 1)])
        if how == 1:  # a byte that occurs in no UTF-8
            at = self._random.randrange(len(raw))
            return Payload(Opcode.TEXT, raw[:at] + b"\xff" + raw[at + 1 :])
        if how == 2:
            return Payload(Opcode.TEXT, b"<html>502 Bad Gateway</html>")
        return Payload(Opcode.BINARY, self._random.randbytes(len(raw)))

    def _falsify(self, raw: bytes) -> bytes:
        """Change a quantity of depth, never its numbering; a message without levels stays as it is."""
        places = list(_quantity_digits(raw))
        if b"depthUpdate" not in raw or not places:
            return raw
        at = self._random.choice(places)
        other = (raw[at] - 48 + self._random.randrange(1, 10)) % 10 + 48
        return raw[:at] + bytes([other]) + raw[at + 1 :]


def _quantity_digits(raw: bytes) -> Iterator[int]:
    """The offset of each quantity's first decimal: `["61730.17000000","0.61700000"]`."""
    at = raw.find(b'","')
    while at >= 0:
        point = raw.find(b".", at)
        end = raw.find(b'"]', at)
        if 0 <= point < end:
            yield point + 1
        at = raw.find(b'","', max(end, at + 1)) if end >= 0 else -1
