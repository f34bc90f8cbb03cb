"""The setting BOT4_FEED, right and wrong."""

import asyncio
from pathlib import Path

import pytest

from app.market.feed import open_feed
from tests.support.market import ReplicaSink, demo_instruments


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "recorded.gz"
    path.write_bytes(b"")
    return path


@pytest.mark.parametrize(
    "spec",
    [
        "synthetic",
        " synthetic ",
        "synthetic:",
        "synthetic:seed=7",
        "synthetic:seed=7, interval_ms=50,volatility=2.5",
    ],
)
def test_synthetic(spec: str) -> None:
    assert open_feed(spec, demo_instruments()).name == "synthetic"


@pytest.mark.parametrize(
    "options",
    ["", ";speed=10", ";speed=0.5;loop=false", ";speed=max", ";speed=max;loop=true", ";times=recorded;"],
)
def test_replay(recording: Path, options: str) -> None:
    assert open_feed(f"replay:{recording},{recording}{options}", demo_instruments()).name == "replay"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("", "allowed: synthetic"),
        ("bitmex", "'bitmex' is not known; allowed: synthetic"),
        ("binance:x", "'binance:x' is not known"),
        ("binance;ws=http://x", "ws must be a URL that begins with wss://, not 'http://x'"),
        ("binance;rest=https://:80", "rest must be a URL"),
        ("binance;rest=https://x/?a=b", "takes host, port and path alone"),
        ("binance;ws=wss://me:secret@x", "takes host, port and path alone"),
        ("binance;ws=wss://x:99999", "ws must be a URL"),
        ("binance;levels=50", "levels must be from 100 to 5000, not 50"),
        ("binance;stale_s=0", "stale_s must be a number above 0"),
        ("binance;speed=1", "'speed=1' is not known"),
        ("none:x", "not known"),
        ("synthetic:speed=3", "'speed=3' is not known"),
        ("synthetic:seed", "'seed' is not known"),
        ("synthetic:seed=-1", "seed must be a whole number"),
        ("synthetic:seed=x", "seed must be a whole number, not 'x'"),
        ("synthetic:seed=1,seed=2", "seed is given twice"),
        ("synthetic:interval_ms=1", "interval_ms must be from 10 to 60000"),
        ("synthetic:volatility=nan", "volatility must be a number above 0"),
        ("replay", "no file is named"),
        ("replay: ,", "no file is named"),
        ("replay:/nowhere/at-all.gz", "there is no file /nowhere/at-all.gz"),
        ("replay:{};speed=0", "speed must be a number above 0"),
        ("replay:{};speed=inf", "speed must be a number above 0"),
        ("replay:{};speed=fast", "not 'fast'"),
        ("replay:{};loop=yes", "loop must be true or false"),
        ("replay:{};times=then", "times must be now or recorded"),
        ("replay:{};seed=1", "'seed=1' is not known"),
    ],
)
def test_errors_say_what_is_wrong(spec: str, message: str, recording: Path) -> None:
    with pytest.raises(ValueError, match=r".") as error:
        open_feed(spec.format(recording), demo_instruments())
    assert message in str(error.value)


@pytest.mark.parametrize(
    "options", ["", ";levels=5000", ";ws=ws://127.0.0.1:9443/x; rest=http://[::1]:1", ";stale_s=2.5;idle_s=1"]
)
def test_binance(options: str) -> None:
    assert open_feed(f"binance{options}", demo_instruments()).name == "binance"


def test_none_delivers_nothing_until_cancelled() -> None:
    async def run() -> None:
        feed = open_feed("none", [])
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(feed.run(ReplicaSink()), 0.01)

    asyncio.run(run())
