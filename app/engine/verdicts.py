"""What a check says: its verdict, noted where it is wanted."""

from app.engine.jit import force_inline
from app.engine.state import State
from app.engine.types import OrderFlag

_SCOPES = 8  # verdicts stand at code * 8; explained ones have a place for each scope


@force_inline
def verdict_place(code: int) -> int:
    """Where the verdict stands that has refused an order or a request."""
    return code * _SCOPES


@force_inline
def refuses(st: State, explain: bool, code: int, passed: bool, limit: int, observed: int, scope: int) -> bool:
    """Note a verdict where it is wanted; whether the check ends here."""
    if passed and not explain:
        return False
    verdict = st.verdicts[verdict_place(code) + (scope if explain else 0)]
    if explain and verdict.code != 0 and not verdict.passed:
        return False  # the same check has failed already
    verdict.code = code
    verdict.passed = passed
    verdict.limit = limit
    verdict.observed = observed
    verdict.scope = scope
    return not explain


@force_inline
def passes(st: State, explain: bool, within: bool, reducing: bool) -> bool:
    """Whether a check is passed; the candidate that passes only because it reduces may only reduce."""
    if not within and reducing and not explain:
        st.candidate[0].flags |= OrderFlag.REDUCE_ONLY
    return within or reducing
