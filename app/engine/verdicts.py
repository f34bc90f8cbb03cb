"""The verdict of a check, and where it is noted.

A check gives its code where it refuses, and NONE where it does not. NONE is 0, so checks stand in a row,
`one(...) or another(...)`, and the first that refuses ends it. An explained check notes its verdict and
refuses nothing.
"""

from app.engine.codes import Code
from app.engine.jit import force_inline
from app.engine.state import State
from app.engine.types import OrderFlag

_NONE = int(Code.NONE)  # kernels know of numbers whether they are 0, of enumerations not
_SCOPES = 8  # verdicts stand at code * 8; explained ones have a place for each scope


@force_inline
def verdict_place(code: int) -> int:
    """Where the verdict stands that has refused an order or a request."""
    return code * _SCOPES


@force_inline
def judge(st: State, explain: bool, code: int, passed: bool, limit: int, observed: int, scope: int) -> int:
    """The verdict of one check, noted where it is wanted: `code` where the check ends here, else NONE."""
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
    """Whether a check is passed; the candidate that passes only because it reduces may only reduce."""
    if not within and reducing and not explain:
        st.candidate[0].flags |= OrderFlag.REDUCE_ONLY
    return within or reducing


@force_inline
def judge_limit(
    st: State, explain: bool, code: int, allowed: int, observed: int, scope: int, reducing: bool = False
) -> int:
    """As `judge`: what is observed may be up to what is allowed, and what only reduces is exempt."""
    passed = passes(st, explain, observed <= allowed, reducing)
    return judge(st, explain, code, passed, allowed, observed, scope)
