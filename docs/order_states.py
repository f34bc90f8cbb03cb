"""Prints the order state machine as a Mermaid diagram: `python -m docs.order_states`.

It is made from `app.engine.transitions.TABLE`; `docs/architecture.md` shows it and a test compares them.
"""

from collections.abc import Iterator

from app.engine.transitions import FINAL, TABLE, Trigger
from app.engine.types import OrderStatus as S

# Where orders begin; the table knows only how they go on.
_BEGINNINGS = {S.PENDING_NEW: "approved", S.NEW: "approved, a stop that waits in the engine"}

# States in which an order cannot have fills yet, and the one in which it must have some.
_WITHOUT_FILLS = (S.PENDING_NEW, S.NEW, S.TRIGGERED)
_WITH_FILLS = (S.PARTIALLY_FILLED,)


def diagram() -> str:
    shared = _shared_endings()
    lines = ["stateDiagram-v2", "    [*] --> OPEN", "    [*] --> REJECTED : refused by a check"]
    lines.append("    state OPEN {")
    lines += [f"        [*] --> {state.name} : {how}" for state, how in _BEGINNINGS.items()]
    own = _arrows(shared)
    lines += [f"        {_arrow(*ends, names)}" for ends, names in own.items() if ends[1] not in FINAL]
    lines.append("    }")
    lines += [f"    OPEN --> {target.name} : {_words(trigger)}" for trigger, target in shared.items()]
    lines += [f"    {_arrow(*ends, names)}" for ends, names in own.items() if ends[1] in FINAL]
    lines += [f"    {state.name} --> [*]" for state in FINAL]
    return "\n".join(lines)


def _shared_endings() -> dict[Trigger, S]:
    """Triggers that lead from every open state to the same final one: drawn once."""
    first = next(iter(TABLE.values()))
    return {
        trigger: target
        for trigger, target in first.items()
        if target in FINAL and all(row.get(trigger) == target for row in TABLE.values())
    }


def _arrows(shared: dict[Trigger, S]) -> dict[tuple[S, S], list[Trigger]]:
    arrows: dict[tuple[S, S], list[Trigger]] = {}
    for state, row in TABLE.items():
        for trigger, target in row.items():
            if trigger not in shared:
                for end in _ends(state, target):
                    arrows.setdefault((state, end), []).append(trigger)
    return arrows


def _ends(state: S, target: S) -> Iterator[S]:
    """NEW as a target stands for "working": PARTIALLY_FILLED where there are fills."""
    if target != S.NEW:
        yield target
        return
    if state not in _WITH_FILLS:
        yield S.NEW
    if state not in _WITHOUT_FILLS:
        yield S.PARTIALLY_FILLED


def _arrow(state: S, target: S, triggers: list[Trigger]) -> str:
    return f"{state.name} --> {target.name} : {', '.join(map(_words, triggers))}"


def _words(trigger: Trigger) -> str:
    return trigger.name.lower().replace("_", " ")


if __name__ == "__main__":
    print(diagram())
