"""System routes: liveness, readiness, and figures for people and for Prometheus."""

from dataclasses import asdict

from fastapi import APIRouter, Response
from pydantic import BaseModel

from app.api.routes.access import ExactRoute, Observer, Provided, json_response, problems
from app.api.services import Services
from app.documents.content import Content
from app.documents.problems import PROBLEM_TYPE, engine_halted, not_ready
from app.runtime.projections import UP, ProjectionProcess

router = APIRouter(tags=["system"], route_class=ExactRoute)


class JournalDisk(BaseModel):
    """`state`: ok, alarm (from 80 % of the budget on) or reached (no new orders). A budget of 0 is none."""

    state: str
    used_bytes: int
    budget_bytes: int


class Projection(BaseModel):
    """How far a projection is behind the journal; `alarm` beyond a million commands or 30 seconds.

    `set_aside`: rows that could not be stored, while the others are.
    """

    state: str
    seq: int
    lag_seq: int
    lag_seconds: float
    rows: int
    rows_per_second: float
    dropped: int
    set_aside: int
    restarts: int
    alarm: bool


class Alarm(BaseModel):
    """`number` counts all changes since the start; `raised` is false for one that is over."""

    number: int
    name: str
    raised: bool
    ts: int
    text: str


class System(BaseModel):
    """`latency_us` by stage and percentile; `counts` of what the engine holds and has done.

    After a halt `seq` may be ahead of `durable_seq`: what lies between is lost, and `counts` may include it.

    `feed`: its name, and counts since the start; a symbol's state is in `/v1/market`. `marks_withheld` counts
    the books that made no mark.

    `alarms`: the active ones; `alarm_changes`: the last 50 that were raised or cleared, the newest last.
    """

    version: str
    started_ts: int
    now_ts: int
    ready: bool
    halted: bool
    halt_reason: str | None
    seq: int
    durable_seq: int
    journal_backlog_bytes: int
    journal_disk: JournalDisk
    inbox_commands: int
    counts: dict[str, int]
    feed: dict[str, str | int]
    dependencies: dict[str, str]
    projections: dict[str, Projection]
    alarms: list[Alarm]
    alarm_changes: list[Alarm]
    latency_us: dict[str, dict[str, float | None]]


@router.get("/health/live", response_model=dict[str, str])
async def live() -> Response:
    """The process answers."""
    return json_response({"status": "live"})


@router.get("/health/ready", response_model=dict[str, str], responses={503: problems()[503]})
async def ready(services: Provided) -> Response:
    """Orders are accepted."""
    problem = None
    if services.loop.halted:
        problem = engine_halted()
    elif not services.loop.ready:
        problem = not_ready()
    if problem is not None:
        return Response(problem.body(), 503, problem.headers, PROBLEM_TYPE)
    down = sorted(name for name, state in services.dependencies.items() if state != UP)
    behind = sorted(name for name, each in services.projections.items() if each.alarm)
    aside = [
        f"{name} has set {each.status.set_aside} rows aside"
        for name, each in sorted(services.projections.items())
        if each.status.set_aside
    ]
    if down or behind or aside:  # orders are accepted all the same
        detail = [f"{name} is not up" for name in down] + [f"{name} is behind" for name in behind] + aside
        return json_response({"status": "ready", "degraded": "; ".join(detail)})
    return json_response({"status": "ready"})


def _counts(services: Services) -> dict[str, int]:
    firm = services.state.firm[0]
    names = ("accounts", "symbols", "open_orders", "orders_used", "fills")
    loop = services.loop
    return {name: int(firm[name]) for name in names} | {
        "ticks": loop.ticks,
        "overloads": loop.inbox.overloads,
        "refused_requests": services.budgets.refused,
        "failed_authentications": services.failed_keys.count,
        "throttled_authentications": services.failed_keys.throttled,
    }


def _figures(services: Services) -> dict[str, int]:
    loop = services.loop
    return {
        "seq": loop.seq,
        "durable_seq": loop.durable_seq,
        "journal_backlog_bytes": loop.journal_backlog_bytes,
        "inbox_commands": loop.inbox.count,
    }


def _feed_figures(services: Services) -> dict[str, int]:
    return {**services.feed().figures(), **services.market.figures()}


def _projection(projection: ProjectionProcess) -> Content:
    status = projection.status
    return {
        "state": status.error or UP,
        "seq": status.seq,
        "lag_seq": status.lag_seq,
        "lag_seconds": round(projection.lag_seconds, 3),
        "rows": status.rows,
        "rows_per_second": round(status.rows_per_second, 1),
        "dropped": status.dropped + projection.dropped,
        "set_aside": status.set_aside,
        "restarts": projection.restarts,
        "alarm": projection.alarm,
    }


def _projection_lines(services: Services) -> list[str]:
    lines = []
    for name, projection in services.projections.items():
        for figure, value in _projection(projection).items():
            shown = int(value == UP) if figure == "state" else float(value)
            metric = "up" if figure == "state" else figure
            lines.append(f'bot4_projection_{metric}{{projection="{name}"}} {shown:g}')
    return lines


def system_content(services: Services) -> Content:
    return {
        "version": services.version,
        "started_ts": services.started_ts,
        "now_ts": services.clock.now(),
        "ready": services.loop.ready,
        "halted": services.loop.halted,
        "halt_reason": services.loop.halt_reason,
        **_figures(services),
        "journal_disk": {
            "state": services.disk.state,
            "used_bytes": services.disk.used_bytes,
            "budget_bytes": services.disk.bytes_max,
        },
        "counts": _counts(services),
        "feed": {"name": services.feed().name, **_feed_figures(services)},
        "dependencies": dict(services.dependencies),
        "projections": {name: _projection(each) for name, each in services.projections.items()},
        "alarms": [asdict(alarm) for alarm in services.alarms.active.values()],
        "alarm_changes": [asdict(change) for change in services.alarms.changes],
        "latency_us": {stage: times.summary_us() for stage, times in services.loop.latency.items()},
    }


@router.get("/v1/system", response_model=System, responses=problems())
async def get_system(services: Provided, _principal: Observer) -> Response:
    return json_response(system_content(services))


def _feed_states(services: Services) -> list[str]:
    lines = ["# TYPE bot4_feed_state gauge"]
    for instrument in services.reference.instruments:
        state = services.market.state(instrument.index)
        lines.append(f'bot4_feed_state{{symbol="{instrument.symbol}",state="{state}"}} 1')
    lines.append("# TYPE bot4_no_mark gauge")
    for instrument in services.reference.instruments:
        reason = services.market.no_mark(instrument.index)
        if reason is not None:
            lines.append(f'bot4_no_mark{{symbol="{instrument.symbol}",reason="{reason}"}} 1')
    return lines


@router.get("/metrics", response_class=Response, responses=problems())
async def metrics(services: Provided, _principal: Observer) -> Response:
    """The figures of /v1/system as Prometheus text."""
    numbers = {
        "ready": int(services.loop.ready),
        "halted": int(services.loop.halted),
        **_figures(services),
        **_counts(services),
        "alarms": len(services.alarms.active),
        "journal_disk_used_bytes": services.disk.used_bytes,
        "journal_disk_budget_bytes": services.disk.bytes_max,
        **{f"feed_{name}": value for name, value in _feed_figures(services).items()},
    }
    lines = []
    for name, value in numbers.items():
        lines += [f"# TYPE bot4_{name} gauge", f"bot4_{name} {value}"]
    lines += _feed_states(services)
    lines += _projection_lines(services)
    lines += [f'bot4_alarm{{name="{name}"}} 1' for name in services.alarms.active]
    lines.append("# TYPE bot4_latency_us summary")
    for stage, histogram in services.loop.latency.items():
        for quantile in (0.5, 0.95, 0.99, 0.999):
            value_us = histogram.percentile_us(100 * quantile)
            if value_us is not None:
                lines.append(f'bot4_latency_us{{stage="{stage}",quantile="{quantile}"}} {value_us}')
        lines.append(f'bot4_latency_us_count{{stage="{stage}"}} {histogram.total}')
    return Response("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4")
