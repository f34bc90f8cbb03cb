"""The arithmetic and the paper of benchmarks: percentiles, medians, the table, the document."""

import json
from pathlib import Path

import numpy as np
import pytest

from loadtests import bench
from loadtests.figures import (
    AT_LEAST,
    AT_MOST,
    Figure,
    median_of_rounds,
    number_text,
    percentiles,
    table,
    write_document,
)
from loadtests.machine import circumstances, cores, started_on


def figure(**changes: object) -> Figure:
    values: dict[str, object] = {"part": "check", "claim": "a claim", "measured": 2.0, "unit": "us"}
    return Figure(**(values | changes))  # type: ignore[arg-type]


def test_percentiles_are_values_that_occurred_by_nearest_rank() -> None:
    values = np.random.default_rng(1).permutation(np.arange(1, 1_001))
    assert percentiles(values) == {"p50": 500, "p95": 950, "p99": 990, "p99.9": 999, "max": 1_000}
    assert percentiles([7.5]) == {"p50": 7.5, "p95": 7.5, "p99": 7.5, "p99.9": 7.5, "max": 7.5}
    assert percentiles([1, 2])["p50"] == 1


def test_percentiles_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="nothing"):
        percentiles([])


def test_the_median_of_rounds_is_taken_key_by_key() -> None:
    rounds = [{"p50": 1.0, "p99": 30.0}, {"p50": 3.0, "p99": 10.0}, {"p50": 2.0, "p99": 20.0}]
    assert median_of_rounds(rounds) == {"p50": 2.0, "p99": 20.0}
    with pytest.raises(ValueError, match="no rounds"):
        median_of_rounds([])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.28, "0.280"),
        (0.00004, "0.0000"),
        (1.299, "1.30"),
        (42.0, "42.0"),
        (123.4, "123"),
        (1_234_567.0, "1,234,567"),
    ],
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert number_text(value) == text


@pytest.mark.parametrize(
    ("measured", "bound", "met"),
    [(2.0, AT_MOST, True), (2.1, AT_MOST, False), (2.0, AT_LEAST, True), (1.9, AT_LEAST, False)],
)
def test_a_target_on_the_value(measured: float, bound: str, met: bool) -> None:
    assert figure(measured=measured, bound=bound, target=2.0).met is met


def test_a_target_on_the_ratio() -> None:
    assert figure(measured=9.0, baseline=18.0, of_ratio=True, bound=AT_LEAST, target=0.5).met is True
    assert figure(measured=8.9, baseline=18.0, of_ratio=True, bound=AT_LEAST, target=0.5).met is False
    assert figure(measured=8.9, of_ratio=True, bound=AT_LEAST, target=0.5).met is False, (
        "no baseline was taken"
    )
    assert figure(measured=9.0, baseline=18.0).ratio == 0.5
    assert figure(measured=9.0).ratio is None
    assert figure().met is None, "nothing was promised"


def test_the_table_has_a_line_for_each_figure_and_aligned_columns() -> None:
    lines = table(
        [
            figure(claim="one check, p99", target=3.0, baseline=0.5, baseline_name="empty kernel"),
            figure(claim="orders", measured=900_000.0, unit="orders/s", target=1e6, bound=AT_LEAST),
        ]
    ).splitlines()
    assert len(lines) == 4
    assert lines[0].split() == "claim target measured baseline of the same run ratio met".split()
    assert "<= 3.00 us" in lines[2]
    assert "0.500 us, empty kernel" in lines[2]
    assert lines[2].endswith("yes")
    assert ">= 1,000,000 orders/s" in lines[3]
    assert lines[3].endswith("NO")
    assert lines[2].index("2.00 us") == lines[3].index("900,000 orders/s") == lines[0].index("measured")


def test_the_document_says_everything(tmp_path: Path) -> None:
    path = tmp_path / "build" / "bench.json"
    figures = [figure(target=3.0, baseline=0.5, baseline_name="empty kernel", details={"rounds": [1.9, 2.0]})]
    write_document(path, circumstances() | {"rounds": 2}, figures)
    found = json.loads(path.read_text())
    assert found["schema"] == 1
    assert found["machine"]["cores"] >= 1
    assert found["machine"]["cpu"]
    assert {"python", "numba", "numpy", "uvicorn"} <= set(found["versions"])
    assert found["taken_at"].endswith("+00:00")
    (line,) = found["figures"]
    assert line == {
        "part": "check",
        "claim": "a claim",
        "target": 3.0,
        "bound": "at most",
        "of_ratio": False,
        "measured": 2.0,
        "unit": "us",
        "baseline": 0.5,
        "baseline_name": "empty kernel",
        "ratio": 4.0,
        "met": True,
        "details": {"rounds": [1.9, 2.0]},
    }


def test_processes_are_pinned_only_while_they_start() -> None:
    before = cores()
    if before is None:
        pytest.skip("one core, or none can be chosen")
    with started_on(before[1]):
        assert cores() is None, "one core is left"
    assert cores() == before
    with started_on(None):
        assert cores() == before


def test_the_chosen_parts_are_measured_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[int] = []

    def measure(rounds: int) -> list[Figure]:
        asked.append(rounds)
        return [figure(claim="something", target=1.0)]

    def broken(_rounds: int) -> list[Figure]:
        raise RuntimeError("a server did not start")

    monkeypatch.setattr(bench, "_measure", {"check": measure, "http": broken}.__getitem__)
    out = tmp_path / "bench.json"
    arguments = ["--only", "check", "--rounds", "3", "--out", str(out)]
    assert bench.main(arguments) == 0
    assert asked == [3]
    assert "something" in capsys.readouterr().out
    assert bench.main([*arguments, "--strict"]) == 1, "2 us are more than 1"
    assert bench.main(["--only", "http,check", "--out", str(out)]) == 1, "a part has failed"
    assert [each["claim"] for each in json.loads(out.read_text())["figures"]] == ["something"], (
        "the other stands"
    )
    assert "did not start" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["--only", "engines"], ["--rounds", "0"], ["--rounds", "many"], ["now"]]
)
def test_what_is_not_understood_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        bench.main(arguments)
    assert refused.value.code == 2
    assert "bot4 bench" in capsys.readouterr().err


def test_every_part_can_be_found() -> None:
    for part in bench.PARTS:
        assert callable(bench._measure(part))
