"""Figures: the claim, the measurement and its baseline, printed and kept."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

PERCENTS = (50.0, 95.0, 99.0, 99.9)

AT_LEAST = "at least"
AT_MOST = "at most"
_SIGNS = {AT_LEAST: ">=", AT_MOST: "<="}
_COLUMNS = ("claim", "target", "measured", "baseline of the same run", "ratio", "met")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of the table.

    `ratio` is measured over baseline, where there is one. `target` is of the measured
    value, or of the ratio where `of_ratio`; without a target the figure is shown, not judged.
    `part` names the part that measures it, `details` holds rounds, percentiles, load shape.
    """

    part: str
    claim: str
    measured: float
    unit: str
    target: float | None = None
    bound: str = AT_MOST
    of_ratio: bool = False
    baseline: float | None = None
    baseline_name: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        return self.measured / self.baseline if self.baseline else None

    @property
    def met(self) -> bool | None:
        """None if nothing was promised."""
        if self.target is None:
            return None
        value = self.ratio if self.of_ratio else self.measured
        if value is None:
            return False
        return value >= self.target if self.bound == AT_LEAST else value <= self.target

    def document(self) -> dict[str, Any]:
        names = (
            "part",
            "claim",
            "target",
            "bound",
            "of_ratio",
            "measured",
            "unit",
            "baseline",
            "baseline_name",
        )
        content: dict[str, Any] = {name: getattr(self, name) for name in names}
        return content | {"ratio": self.ratio, "met": self.met, "details": dict(self.details)}


def percentiles(values: ArrayLike) -> dict[str, float]:
    """p50, p95, p99, p99.9 and the largest, each a value that occurred (nearest rank)."""
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    if not len(ordered):
        raise ValueError("there are no percentiles of nothing")
    found = {}
    for percent in PERCENTS:
        rank = math.ceil(round(len(ordered) * percent / 100, 6))
        found[f"p{percent:g}"] = float(ordered[rank - 1])
    return found | {"max": float(ordered[-1])}


def median_of_rounds(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Key by key the median over rounds."""
    if not rounds:
        raise ValueError("there is no median of no rounds")
    return {key: median(each[key] for each in rounds) for key in rounds[0]}


def number_text(value: float) -> str:
    """Three significant digits, but all digits of what is above a thousand."""
    if value >= 1_000:
        return f"{value:,.0f}"
    if value == 0 or value >= 100:
        return f"{value:.0f}"
    decimals = min(max(2 - math.floor(math.log10(abs(value))), 0), 4)
    return f"{value:.{decimals}f}"


def _row(figure: Figure) -> tuple[str, ...]:
    target = ""
    if figure.target is not None:
        unit = "x" if figure.of_ratio else f" {figure.unit}"
        target = f"{_SIGNS[figure.bound]} {number_text(figure.target)}{unit}"
    baseline = ratio = ""
    if figure.baseline is not None and figure.ratio is not None:
        baseline = f"{number_text(figure.baseline)} {figure.unit}, {figure.baseline_name}"
        ratio = number_text(figure.ratio)
    met = {None: "", True: "yes", False: "NO"}[figure.met]
    return figure.claim, target, f"{number_text(figure.measured)} {figure.unit}", baseline, ratio, met


def table(figures: Iterable[Figure]) -> str:
    """The figures as aligned text, one line each."""
    rows = [_COLUMNS, *map(_row, figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def write_document(path: Path, circumstances: Mapping[str, Any], figures: Iterable[Figure]) -> None:
    """`build/bench.json`: the circumstances and every figure with its details."""
    content = {"schema": 1, **circumstances, "figures": [figure.document() for figure in figures]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")
