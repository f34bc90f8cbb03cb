"""`make load`: Locust against a server of its own. `make soak`: memory over ten million orders.

BOT4_LOAD_HOST names a server that runs already, with BOT4_LOAD_KEY; it must be this machine's own.
What is not known here goes on to Locust: `make load ARGS="--users 100 --run-time 2m"`.
"""

import argparse
import ipaddress
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from urllib.parse import urlsplit

from loadtests.figures import table
from loadtests.machine import ROOT

USERS = 30
RUN_TIME = "30s"
SOAK_ORDERS = 10_000_000


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtests.run", allow_abbrev=False)
    parser.add_argument("--soak", action="store_true", help="memory over many orders, without a server")
    parser.add_argument("--orders", type=int, default=SOAK_ORDERS, help="of the soak")
    options, rest = parser.parse_known_args(arguments)
    return soak(options.orders) if options.soak else load(rest)


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this machine alone: nobody else's server is put under load."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return False
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port or 80, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return all(ipaddress.ip_address(address[0]).is_loopback for *_, address in found)


def load(rest: Sequence[str]) -> int:
    """Locust's exit status: 0 if no request failed."""
    host = os.environ.get("BOT4_LOAD_HOST", "")
    environment = dict(os.environ)
    with ExitStack() as stack:
        if not host:
            from loadtests.processes import bot4_server

            server = stack.enter_context(bot4_server())
            host, environment["BOT4_LOAD_KEY"] = server.url, server.key
        elif not is_loopback(host):
            print(f"BOT4_LOAD_HOST={host} is not this machine: load tests stay at home", file=sys.stderr)
            return 2
        command = [
            sys.executable,
            "-m",
            "locust",
            "--locustfile=loadtests/locustfile.py",
            "--headless",
            f"--host={host}",
            f"--users={USERS}",
            f"--spawn-rate={USERS}",
            f"--run-time={RUN_TIME}",
            "--only-summary",
            "--loglevel=WARNING",
            *rest,
        ]
        return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def soak(orders: int) -> int:
    """0 if memory stayed flat."""
    from loadtests.growth_figures import FEW, Churn, measure_memory

    def say(line: str) -> None:
        print(line, flush=True)

    say("using every slot of the engine once ...")
    figure = measure_memory(Churn(FEW, venue=True), orders, say)
    print(table([figure]))
    return 0 if figure.met else 1


if __name__ == "__main__":
    sys.exit(main())
