"""Integer arithmetic whose products may not fit into 64 bits, and logarithms that are the same everywhere."""

from app.engine.jit import force_inline

_INT64_MAX = (1 << 63) - 1


@force_inline
def multiply_divide(a: int, b: int, c: int) -> int:
    """floor(a * b / c) for a >= 0, 0 <= b <= c < 2**61, without overflow."""
    if b == 0:
        return 0
    if a <= _INT64_MAX // b:
        return a * b // c
    # Long multiplication by the bits of b, carrying quotient and remainder of the division.
    quotient_of_a = a // c
    remainder_of_a = a % c
    quotient = 0
    remainder = 0
    bit = 62
    while (b >> bit) == 0:
        bit -= 1
    while bit >= 0:
        quotient *= 2
        remainder *= 2
        if remainder >= c:
            remainder -= c
            quotient += 1
        if (b >> bit) & 1:
            quotient += quotient_of_a
            remainder += remainder_of_a
            if remainder >= c:
                remainder -= c
                quotient += 1
        bit -= 1
    return quotient


@force_inline
def basis_points_of(value: int, basis_points: int) -> int:
    """floor(value * basis_points / 10,000) for value >= 0 and 0 <= basis_points <= 1,000,000."""
    return value // 10_000 * basis_points + value % 10_000 * basis_points // 10_000


_LN2 = 0.6931471805599453
_NEAR = 64.0  # a change below a 64th is near
_DECAY_TERMS = 24


@force_inline
def log_ratio_of_near(after: float, before: float) -> float:
    """ln(after / before) of positive numbers that are near; anything of others.

    ln(a / b) = 2 atanh((a - b) / (a + b)), as a series. Made of additions, multiplications and
    divisions alone, which IEEE 754 defines to the last bit, so every machine computes the same
    number; a mathematical library's logarithm would not promise that.
    """
    s = (after - before) / (after + before)
    q = s * s
    return 2.0 * s * (1.0 + q * (1.0 / 3.0 + q * (1.0 / 5.0 + q * (1.0 / 7.0 + q / 9.0))))


@force_inline
def log_ratio(after: float, before: float, of_near: float) -> float:
    """ln(after / before) of positive numbers, to a few parts in 1e16; `of_near`: of the above."""
    if _NEAR * abs(after - before) < before:
        return of_near
    doublings = 0
    while 2.0 * after > 3.0 * before:
        before *= 2.0
        doublings += 1
    while 2.0 * before > 3.0 * after:
        after *= 2.0
        doublings -= 1
    s = (after - before) / (after + before)
    q = s * s
    series = 1.0 / 29.0
    for k in range(13, -1, -1):
        series = series * q + 1.0 / (2.0 * k + 1.0)
    return doublings * _LN2 + 2.0 * s * series


@force_inline
def half_life_decay(half_life: int) -> float:
    """2 ** (-1 / half_life): what is left of a weight after one sample. `half_life` >= 1."""
    x = _LN2 / half_life
    term = 1.0
    total = 1.0
    for k in range(1, _DECAY_TERMS):
        term *= -x / k
        total += term
    return total
