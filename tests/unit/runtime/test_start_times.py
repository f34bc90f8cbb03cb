"""Where the time of a start went, as the log says it."""

from app.runtime.start_times import StartTimes


def test_stages_add_up() -> None:
    moments = iter([10.0, 11.5, 16.5, 17.0])
    times = StartTimes(lambda: next(moments))
    times.end("kernels")
    times.end("replay")
    times.split("replay", "snapshot", 2.0)
    times.end("venue")
    assert times.seconds == {"kernels": 1.5, "snapshot": 2.0, "replay": 3.0, "venue": 0.5}
    assert sum(times.seconds.values()) == times.total == 7.0
    assert times.text() == "7.0 s (kernels 1.5, snapshot 2.0, replay 3.0, venue 0.5)"
