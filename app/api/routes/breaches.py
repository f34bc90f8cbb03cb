"""Breach report of a day: refusals by a limit or state, tripped breakers, and changes with their authors."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Annotated, Literal, NamedTuple

from fastapi import APIRouter, Header, Query, Response
from pydantic import BaseModel, Field

from app.api.auth import Principal
from app.api.http.csv_lines import CRLF, csv_line
from app.api.http.large_response import CSV_TYPE, LargeResponse, Pieces, document, json_list
from app.api.routes.access import ExactRoute, Observer, Provided, Responses, problems
from app.api.routes.risk_history import Refusal, RiskChange, change_content, refusal_content
from app.api.services import Services
from app.documents.content import Content
from app.documents.problems import code_name, forbidden
from app.engine.reference import DAY_US
from app.runtime.risk_log import REFUSALS_MAX, Day, change_of, event_ts
from app.runtime.views import event_view

router = APIRouter(prefix="/v1/risk", tags=["risk"], route_class=ExactRoute)

_CSV_TOO: Responses = {
    200: {"content": {"text/csv": {}}, "description": "JSON, or CSV where that is asked for"}
}

DETAILS_MAX = REFUSALS_MAX


class BreachCount(BaseModel):
    account: str | None
    code: str
    count: int


class Breaches(BaseModel):
    """One UTC day. `counts` are of all refusals of the day, `refusals` the newest of them.

    `complete`: nothing of the day has left memory, neither the journal read at the start
    nor the window of details.
    """

    date: str
    complete: bool
    complete_since_ts: int
    counts: list[BreachCount]
    refusals: list[Refusal]
    changes: list[RiskChange] = Field(description="trips, states, limits, overrides, approvals; newest first")


class _Report(NamedTuple):
    """The data of one day's report; `head` has the members that are not long lists."""

    head: Content
    counts: list[Content]
    refusals: list[bytes]  # EVENT records
    changes: list[tuple[bytes, bytes]]  # EVENT records, and reasons


async def _report(services: Services, principal: Principal, day_ts: int, details: int) -> _Report:
    """Records are selected and kept as bytes, and decoded one by one: as objects they would be many."""
    log, number = services.risk_log, principal.number
    wanted = range(day_ts, day_ts + DAY_US)
    of_day = (record for record in log.refusal_records() if event_ts(record) in wanted)
    refusals = await services.turns.all_of(number, of_day)
    changes = await services.turns.all_of(
        number, (change for change in log.change_records() if event_ts(change[0]) in wanted)
    )
    day = log.day(day_ts)
    counts = _counts(services, day)
    # Refusals that came between the two reads are in the counts only.
    total = sum(each["count"] for each in counts)
    whole = log.complete_since_ts <= day_ts and len(refusals) == total and not day.uncounted
    head = {
        "date": datetime.fromtimestamp(day_ts // 1_000_000, UTC).date().isoformat(),
        "complete": whole and len(refusals) <= details,
        "complete_since_ts": log.complete_since_ts,
    }
    return _Report(head, counts, refusals[:details], changes)


def _refusals(services: Services, report: _Report) -> Iterator[Content]:
    return (refusal_content(services, event_view(record)) for record in report.refusals)


def _changes(services: Services, report: _Report) -> Iterator[Content]:
    return (change_content(services, change_of(*each)) for each in report.changes)


def _counts(services: Services, day: Day) -> list[Content]:
    names = services.reference.account_names
    counts: Counter[tuple[str | None, str]] = Counter()
    for (account, code), count in day.counts.items():
        counts[names[account] if account >= 0 else None, code_name(code) or ""] += count
    ordered = sorted(counts.items(), key=lambda item: (item[0][0] or "", item[0][1]))
    return [{"account": account, "code": code, "count": count} for (account, code), count in ordered]


_CSV_COLUMNS = (
    "record", "ts", "account", "symbol", "scope", "code", "count", "limit", "observed", "old", "new",
    "order_id", "actor", "actor_name", "reason",
)  # fmt: skip


def _csv_lines(services: Services, report: _Report) -> Iterator[str]:
    """All parts of the report as one table; `record` names the part of a row."""
    yield csv_line(_CSV_COLUMNS, CRLF)
    for row in report.counts:
        yield _csv_line("COUNT", row)
    for content in _refusals(services, report):
        yield _csv_line("REFUSAL", content)
    for content in _changes(services, report):
        yield _csv_line(content["kind"], content)


def _csv_line(record: str, row: Content) -> str:
    return csv_line((record, *(row.get(name) for name in _CSV_COLUMNS[1:])), CRLF)


@router.get(
    "/breaches",
    response_model=Breaches,
    responses={**_CSV_TOO, **problems()},
)
async def get_breaches(
    services: Provided,
    principal: Observer,
    day: Annotated[date | None, Query(alias="date", description="a UTC day; today if left out")] = None,
    details: Annotated[int, Query(ge=0, le=DETAILS_MAX, description="refusals shown at most")] = 1_000,
    format: Annotated[Literal["json", "csv"] | None, Query()] = None,  # noqa: A002  # its name in the URL
    accept: Annotated[str | None, Header()] = None,
) -> Response:
    """The end-of-day report, or that of the day so far."""
    if principal.accounts is not None:
        raise forbidden("a trader may not read the firm's breaches")
    if day is None:
        now = services.clock.now()
        day_ts = now - now % DAY_US
    else:
        day_ts = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000
    report = await _report(services, principal, day_ts, details)
    if format == "csv" or (format is None and accept is not None and "text/csv" in accept):
        name = f"breaches-{report.head['date']}.csv"
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        lines: Pieces = []
        async for part in services.turns.spread(principal.number, _csv_lines(services, report)):
            lines.append("".join(part).encode())
        return LargeResponse(services, principal, lines, CSV_TYPE, headers)
    return document(
        services,
        principal,
        **report.head,
        counts=await json_list(services, principal, report.counts),
        refusals=await json_list(services, principal, _refusals(services, report)),
        changes=await json_list(services, principal, _changes(services, report)),
    )
