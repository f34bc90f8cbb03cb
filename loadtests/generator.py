"""A load generator in its own process: a job as JSON on stdin, its result as JSON on stdout."""

import asyncio
import gc
import json
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

from loadtests.http_load import closed_loop, open_loop
from loadtests.stream_load import watched
from loadtests.ws_load import pipelined

KINDS: dict[str, Callable[..., Coroutine[Any, Any, dict[str, Any]]]] = {
    "http": closed_loop,
    "http_open": open_loop,
    "ws": pipelined,
    "stream": watched,
}


def main() -> int:
    job = json.load(sys.stdin)
    gc.disable()  # a run is short
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            result = runner.run(KINDS[job.pop("kind")](**job))
        except (RuntimeError, OSError, TimeoutError) as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            return 1
    json.dump(result, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
