"""Verdicts of checks, and where they are noted.

A check returns its code if it refuses, and NONE if it does not. NONE is 0, so checks are chained,
`one(...) or another(...)`, and the first that refuses ends the chain. An explained check notes its
verdict and refuses nothing.
"""

from app.engine.codes import Code
from app.engine.jit import force_inline
from app.engine.state import State
from app.engine.types import OrderFlag

_NONE = int(Code.NONE)  # kernels know of numbers whether they are 0, of enumerations not
_SCOPES = 8  # verdicts stand at code * 8; explained ones have a place for each scope


@force_inline
def verdict_place(code: int) -> int:
    """The place of the verdict that has refused an order or a request."""
    return code * _SCOPES


@force_inline
def judge(st: State, explain: bool, code: int, passed: bool, limit: int, observed: int, scope: int) -> int:
    """The verdict of one check, noted if wanted: `code` if the check refuses here, else NONE."""
    if passed and not explain:
        return _NONE
    verdict = st.verdicts[verdict_place(code) + (scope if explain else 0)]
    if explain and verdict.code != 0 and not verdict.passed:
        return _NONE  # the same check has failed already
    verdict.code = code
    verdict.passed = passed
    verdict.limit = limit
    verdict.observed = observed
    verdict.scope = scope
    return _NONE if explain else code


@force_inline
def passes(st: State, explain: bool, within: bool, reducing: bool) -> bool:
    """Whether a check is passed; a candidate that passes only because it reduces becomes reduce-only."""
    if not within and reducing and not explain:
        st.candidate[0].flags |= OrderFlag.REDUCE_ONLY
    return within or reducing


@force_inline
def judge_limit(
    st: State, explain: bool, code: int, allowed: int, observed: int, scope: int, reducing: bool = False
) -> int:
    """As `judge`: the observed value may be up to the allowed one, and orders that only reduce are exempt."""
    passed = passes(st, explain, observed <= allowed, reducing)
    return judge(st, explain, code, passed, allowed, observed, scope)
