"""Feed factory: the setting BOT4_FEED turned into a market feed."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from app.market.binance import LEVELS_MAX, REST_URL, STREAM_URL, BinanceSpot
from app.market.connection import ConnectionLimits
from app.market.live_feed import FeedLimits, LiveFeed
from app.market.playback_clock import MAX_SPEED
from app.market.replay import ReplayFeed, wall_clock_us
from app.market.synthetic import SyntheticFeed
from app.market.types import Feed, MarketInstrument, MarketSink

LEVELS_MIN = 100

FEED_HELP = (
    "synthetic[:seed=N,interval_ms=N,volatility=X] | "
    "replay:FILE[,FILE...][;speed=X|max][;loop=true|false][;times=now|recorded] | "
    "binance[;ws=URL][;rest=URL][;levels=N][;stale_s=X][;idle_s=X][;verify_s=X] | none"
)


class SilentFeed:
    """No market data: without marks the engine refuses orders."""

    name = "none"

    async def run(self, sink: MarketSink) -> None:
        await asyncio.Event().wait()

    def follow(self, instruments: Sequence[MarketInstrument]) -> None:
        """Nothing to follow."""

    def figures(self) -> Mapping[str, int]:
        return {}


def open_feed(
    spec: str, instruments: Sequence[MarketInstrument], start_marks: Mapping[int, int] | None = None
) -> Feed:
    """The feed that `spec` describes, see FEED_HELP.

    start_marks: by instrument index, in ticks: where a synthetic market goes on instead of at its own start
    prices.

    Raises ValueError with what is wrong with the spec and what is allowed.
    """
    kind, _, rest = spec.strip().partition(":")
    if kind == "none" and not rest:
        return SilentFeed()
    if kind == "synthetic":
        return _synthetic(rest, instruments, start_marks)
    if kind == "replay":
        return _replay(rest, instruments)
    name, _, options = spec.partition(";")
    if name.strip() == "binance":
        return _binance(options, instruments)
    raise ValueError(f"feed {spec!r} is not known; allowed: {FEED_HELP}")


def _synthetic(
    text: str, instruments: Sequence[MarketInstrument], start_marks: Mapping[int, int] | None
) -> Feed:
    options = _options(text.split(","), ("seed", "interval_ms", "volatility"))
    return SyntheticFeed(
        instruments,
        seed=_integer("seed", options.get("seed", "1")),
        interval_ms=_integer("interval_ms", options.get("interval_ms", "100")),
        volatility=_positive("volatility", options.get("volatility", "1"), 1_000.0),
        start_marks=start_marks,
    )


def _replay(text: str, instruments: Sequence[MarketInstrument]) -> Feed:
    names, *rest = text.split(";")
    paths = [Path(name.strip()).expanduser() for name in names.split(",") if name.strip()]
    if not paths:
        raise ValueError(f"feed replay: no file is named; allowed: {FEED_HELP}")
    for path in paths:
        if not path.is_file():
            raise ValueError(f"feed replay: there is no file {path}")
    options = _options(rest, ("speed", "loop", "times"))
    speed_text = options.get("speed", "1")
    speed = MAX_SPEED if speed_text == "max" else _positive("speed", speed_text, 1e6)
    # At full speed a loop would never leave the processor idle: only on request.
    loop_default = "true" if speed < MAX_SPEED else "false"
    loop = _choice("loop", options.get("loop", loop_default), "true", "false")
    times = _choice("times", options.get("times", "now"), "now", "recorded")
    return ReplayFeed(
        paths,
        instruments,
        speed=speed,
        loop=loop == "true",
        trade_clock_us=wall_clock_us if times == "now" else None,
    )


def _binance(text: str, instruments: Sequence[MarketInstrument]) -> Feed:
    options = _options(text.split(";"), ("ws", "rest", "levels", "stale_s", "idle_s", "verify_s"))
    limits = FeedLimits(
        stale_seconds=_positive("stale_s", options.get("stale_s", "10"), 3_600.0),
        verify_seconds=_positive("verify_s", options.get("verify_s", "300"), 86_400.0),
        connection=ConnectionLimits(idle_seconds=_positive("idle_s", options.get("idle_s", "10"), 3_600.0)),
    )
    exchange = BinanceSpot(
        instruments,
        stream_url=_url("ws", options.get("ws", STREAM_URL), "wss", "ws"),
        rest_url=_url("rest", options.get("rest", REST_URL), "https", "http"),
        levels=_levels(options.get("levels", "1000")),
    )
    return LiveFeed(exchange, instruments, limits)


def _levels(text: str) -> int:
    levels = _integer("levels", text)
    if not LEVELS_MIN <= levels <= LEVELS_MAX:
        raise ValueError(f"feed option levels must be from {LEVELS_MIN} to {LEVELS_MAX}, not {levels}")
    return levels


def _url(name: str, text: str, *schemes: str) -> str:
    try:
        parts = urlsplit(text)
        known = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a bad port or bracket
        known = False
    if not known or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(f"feed option {name} must be a URL that begins with {schemes[0]}://, not {text!r}")
    if parts.query or parts.fragment or parts.username or parts.password:
        raise ValueError(f"feed option {name} takes host, port and path alone, not {text!r}")
    return text


def _options(parts: Sequence[str], allowed: Sequence[str]) -> dict[str, str]:
    options: dict[str, str] = {}
    for part in filter(None, map(str.strip, parts)):
        name, equals, value = (each.strip() for each in part.partition("="))
        if not equals or name not in allowed:
            raise ValueError(f"feed option {part!r} is not known; allowed: {FEED_HELP}")
        if name in options:
            raise ValueError(f"feed option {name} is given twice")
        options[name] = value
    return options


def _integer(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise ValueError(f"feed option {name} must be a whole number, not {text!r}")
    return int(text)


def _positive(name: str, text: str, largest: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= largest:
        raise ValueError(f"feed option {name} must be a number above 0, up to {largest:g}, not {text!r}")
    return value


def _choice(name: str, text: str, *allowed: str) -> str:
    if text not in allowed:
        raise ValueError(f"feed option {name} must be {' or '.join(allowed)}, not {text!r}")
    return text
