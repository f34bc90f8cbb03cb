"""Exact integer arithmetic whose products may not fit into 64 bits."""

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
