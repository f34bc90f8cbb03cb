"""Recent marks: a symbol's mark of a window ago, for PRICE_MOVE_BPS."""

from app.engine.jit import inline
from app.engine.state import State
from app.engine.state_records import MARKS
from app.engine.types import Policy


@inline
def _place_a_window_ago(st: State, symbol: int) -> int:
    """The place of the newest mark that is a window old, or of the oldest of a younger symbol."""
    number = st.instruments[symbol].marks - 1
    oldest = max(number - MARKS + 1, 0)
    since = st.firm[0].ts - st.firm[0].policy[Policy.COLLAR_WINDOW_US]
    first = symbol * MARKS
    while number > oldest and st.marks[first + number % MARKS].ts > since:
        number -= 1
    return first + number % MARKS


@inline
def remember_mark(st: State, symbol: int) -> None:
    """Keep marks of the last window or two: one for each eighth of a window."""
    instrument = st.instruments[symbol]
    now = st.firm[0].ts
    first = symbol * MARKS
    newest = instrument.marks - 1
    spacing = st.firm[0].policy[Policy.COLLAR_WINDOW_US] // (MARKS // 2)
    if newest < 0 or now - st.marks[first + newest % MARKS].ts >= spacing:
        newest += 1
        instrument.marks = newest + 1
        st.marks[first + newest % MARKS].ts = now
        st.marks[first + newest % MARKS].price = instrument.mark


@inline
def past_mark_of(st: State, symbol: int) -> tuple[int, int]:
    """The mark that stood a window before this moment, and its age now, in microseconds.

    A symbol younger than the window has its oldest mark instead. A price of 0: the mark that stood then was
    itself older than a window, so the price of a window ago is not known. A window of 0 asks for the current
    mark, however old. (0, 0) if the symbol has no mark.
    """
    if st.instruments[symbol].marks == 0:
        return 0, 0
    window = st.firm[0].policy[Policy.COLLAR_WINDOW_US]
    found = st.marks[_place_a_window_ago(st, symbol)]
    age = st.firm[0].ts - found.ts
    if window > 0 and age > 2 * window:
        return 0, age
    return found.price, age
