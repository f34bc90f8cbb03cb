"""Plain-Python twin of `app.engine.correlation` and `app.engine.portfolio`: no incremental sums.

Everything is computed anew from all marks ever sampled and from the positions as they are.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.engine.state import RISK_MODEL_DEFAULTS

Marks = Sequence[int]  # by symbol; 0: none


@dataclass
class History:
    """The samples of each symbol: its returns by age, None where there is none."""

    parameters: dict[str, int] = field(default_factory=lambda: dict(RISK_MODEL_DEFAULTS))
    last: list[int] = field(default_factory=list)
    returns: list[list[float | None]] = field(default_factory=list)  # [sample][symbol]
    point: int = 0

    def sample(self, ts: int, marks: Marks) -> None:
        """`marks`: those fresh enough to be sampled."""
        point = ts // self.parameters["interval_us"]
        if point <= self.point:
            return
        if point == self.point + 1:
            before = [*self.last, *[0] * (len(marks) - len(self.last))]
            self.returns.append(
                [math.log(new / old) if new and old else None for new, old in zip(marks, before, strict=True)]
            )
        self.last = list(marks)
        self.point = point

    def series(self, symbol: int) -> list[float | None]:
        return [row[symbol] if symbol < len(row) else None for row in self.returns]

    def weights(self) -> list[float]:
        """Of each sample, the newest 1."""
        count = len(self.returns)
        return [2 ** (-age / self.parameters["half_life"]) for age in reversed(range(count))]

    def weight(self, symbol: int) -> float:
        pairs = zip(self.weights(), self.series(symbol), strict=True)
        return math.fsum(weight for weight, value in pairs if value is not None)

    def count(self, symbol: int) -> int:
        return sum(value is not None for value in self.series(symbol))

    def deviations(self, symbol: int) -> list[float]:
        """What a return adds to sums of squares: its distance from the mean before, brought to one scale."""
        decay = 2 ** (-1 / self.parameters["half_life"])
        mean = weight = 0.0
        result = []
        for value in self.series(symbol):
            weight *= decay
            result.append(0.0)
            if value is not None:
                result[-1] = math.sqrt(weight / (weight + 1)) * (value - mean)
                weight += 1
                mean += (value - mean) / weight
        return result

    def covariance(self, i: int, j: int) -> float:
        products = zip(self.weights(), self.deviations(i), self.deviations(j), strict=True)
        total = math.fsum(weight * a * b for weight, a, b in products)
        return total * self._scale(i) * self._scale(j)

    def _scale(self, symbol: int) -> float:
        pairs = list(zip(self.weights(), self.series(symbol), strict=True))
        weight = self.weight(symbol)
        squares = math.fsum(w * w for w, value in pairs if value is not None)
        return math.sqrt(weight / (weight * weight - squares))

    def correlation(self, i: int, j: int) -> float:
        return self.covariance(i, j) / math.sqrt(self.covariance(i, i) * self.covariance(j, j))

    def measured(self, symbol: int, symbols: int) -> bool:
        count, weight = self.count(symbol), self.weight(symbol)
        oldest = max(self.weight(other) for other in range(symbols))
        enough = count >= self.parameters["samples_min"] and 2 * weight >= oldest
        return enough and any(self.deviations(symbol))

    def matrix(self, symbols: int) -> list[list[float | None]]:
        """The covariance, None where a symbol is not measured."""
        measured = [self.measured(symbol, symbols) for symbol in range(symbols)]
        return [
            [self.covariance(i, j) if measured[i] and measured[j] else None for j in range(symbols)]
            for i in range(symbols)
        ]

    def value_at_risk(
        self,
        matrix: list[list[float | None]],
        signed: Sequence[float],
        unmeasured: int,
        radii: Sequence[float] = (),
    ) -> float:
        """In money; `signed`: the exposure of each symbol, `unmeasured`: what is not in the matrix.

        With `radii` the bound of all portfolios that are, in each symbol, so far away from `signed`.
        """
        variance = 0.0
        for i, row in enumerate(matrix):
            for j, covariance in enumerate(row):
                if covariance is not None:
                    variance += signed[i] * covariance * signed[j]
        intervals = self.parameters["horizon_us"] / self.parameters["interval_us"]
        z = self.parameters["z_e9"] / 1e9
        deviation = math.sqrt(max(variance, 0.0))
        deviation += math.fsum(r * math.sqrt(matrix[i][i] or 0.0) for i, r in enumerate(radii))
        return z * deviation * math.sqrt(intervals) + unmeasured

    def together(self, matrix: list[list[float | None]], i: int, j: int) -> bool:
        """Whether two symbols count as correlated: those that are not measured do."""
        covariance, a, b = matrix[i][j], matrix[i][i], matrix[j][j]
        if i == j or covariance is None or a is None or b is None:
            return True
        return covariance / math.sqrt(a * b) >= self.parameters["correlation_threshold_ppm"] / 1e6
