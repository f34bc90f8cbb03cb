"""`bot4 bench`: takes the figures, prints them as one table and writes them to build/bench.json."""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from app.warmup import compile_kernels
from loadtests.figures import Figure, table, write_document
from loadtests.machine import BUILD, circumstances

ROUNDS = 5

# The parts, in order of measurement. A part is imported when its turn comes. `history` needs
# BOT4_BENCH_DATABASE_URL, a server that it may fill; without it the part reports that.
PARTS = {
    "check": "engine_figures.measure_checks",
    "checks": "check_figures.measure_each_check",
    "engine": "engine_figures.measure_batch",
    "correlation": "correlation_figures.measure_correlation",
    "path": "path_figures.measure_path",
    "replay": "replay_figures.measure_replay",
    "restart": "restart_figures.measure_restart",
    "store": "store_figures.measure_store",
    "history": "history_figures.measure_history",
    "writer": "writer_figures.measure_writer",
    "growth": "growth_figures.measure_growth",
    "feed": "feed_figures.measure_feed",
    "http": "http_figures.measure_http",
    "ws": "ws_figures.measure_ws",
    "latency": "latency_figures.measure_latency",
    "stream": "stream_figures.measure_stream",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0: measured; 1: a part failed, or with --strict a figure was not met."""
    options = _parser().parse_args(arguments)
    compile_kernels(lambda line: print(line, file=sys.stderr))  # marks must not age while kernels compile
    document = circumstances()
    figures: list[Figure] = []
    failed = False
    for part in options.only:
        started = time.monotonic()
        print(f"measuring {part} ...", file=sys.stderr, end="", flush=True)
        try:
            figures += _measure(part)(options.rounds)
        except (RuntimeError, OSError) as error:  # the other parts can still be measured
            failed = True
            print(f" failed: {error}", file=sys.stderr)
        else:
            print(f" {time.monotonic() - started:.0f} s", file=sys.stderr)
    machine = document["machine"]
    print(
        f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}, revision {document['revision']}\n"
    )
    print(table(figures))
    write_document(options.out, document | {"rounds": options.rounds}, figures)
    print(f"\nwritten to {options.out}")
    missed = any(figure.met is False for figure in figures)
    return 1 if failed or (missed and options.strict) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bot4 bench", description="Measure the figures of the README.")
    parser.add_argument("--only", type=_parts, default=list(PARTS), help=f"some of {','.join(PARTS)}")
    parser.add_argument("--rounds", type=_rounds, default=ROUNDS, help=f"default {ROUNDS}; medians are shown")
    parser.add_argument("--out", type=Path, default=BUILD / "bench.json")
    parser.add_argument("--strict", action="store_true", help="exit status 1 if a figure is not met")
    return parser


def _parts(text: str) -> list[str]:
    chosen = text.split(",")
    unknown = [part for part in chosen if part not in PARTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no part {unknown[0]!r}, but {', '.join(PARTS)}")
    return [part for part in PARTS if part in chosen]


def _rounds(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError("a number from 1 to 100")
    return int(text)


def _measure(part: str) -> Callable[[int], list[Figure]]:
    module, _, function = PARTS[part].partition(".")
    measure: Callable[[int], list[Figure]] = getattr(import_module(f"loadtests.{module}"), function)
    return measure


if __name__ == "__main__":
    sys.exit(main())
