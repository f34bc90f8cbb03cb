"""The report of a day's breaches: refusals by a limit or state, what tripped, and who changed what."""

import csv
import io
from collections import Counter
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Response
from pydantic import BaseModel, Field

from app.api.access import ExactRoute, Observer, Provided, json_response, problems
from app.api.errors import code_name, forbidden
from app.api.risk_history import Refusal, RiskChange, change_content, refusal_content
from app.api.services import Services
from app.engine.reference import DAY_US
from app.runtime.risk_log import REFUSALS_MAX

router = APIRouter(prefix="/v1/risk", tags=["risk"], route_class=ExactRoute)

_CSV_TOO: dict[int | str, dict[str, Any]] = {
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


def breaches_content(services: Services, day_ts: int, details: int) -> dict[str, Any]:
    log = services.risk_log
    names = services.reference.account_names
    day = log.day(day_ts)
    counts: Counter[tuple[str | None, str]] = Counter()
    for (account, code), count in day.counts.items():
        counts[names[account] if account >= 0 else None, code_name(code) or ""] += count
    end = day_ts + DAY_US
    refusals = [event for event in log.refusals() if day_ts <= event.ts < end]
    changes = [change for change in log.changes() if day_ts <= change.event.ts < end]
    complete = log.complete_since_ts <= day_ts and len(refusals) == sum(counts.values()) and not day.uncounted
    ordered = sorted(counts.items(), key=lambda item: (item[0][0] or "", item[0][1]))
    return {
        "date": datetime.fromtimestamp(day_ts // 1_000_000, UTC).date().isoformat(),
        "complete": complete and len(refusals) <= details,
        "complete_since_ts": log.complete_since_ts,
        "counts": [{"account": account, "code": code, "count": count} for (account, code), count in ordered],
        "refusals": [refusal_content(services, event) for event in refusals[:details]],
        "changes": [change_content(services, change) for change in changes],
    }


_FORMULA = "=+-@\t\r"
_CSV_COLUMNS = (
    "record", "ts", "account", "symbol", "scope", "code", "count", "limit", "observed", "old", "new",
    "order_id", "actor", "actor_name", "reason",
)  # fmt: skip


def _csv(content: dict[str, Any]) -> str:
    """All parts of the report as one table; `record` says of which part a row is."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _CSV_COLUMNS, extrasaction="ignore", lineterminator="\r\n")
    writer.writeheader()
    for row in content["counts"]:
        writer.writerow({"record": "COUNT", **_plain(row)})
    for row in content["refusals"]:
        writer.writerow({"record": "REFUSAL", **_plain(row)})
    for row in content["changes"]:
        writer.writerow({"record": row["kind"], **_plain(row)})
    return text.getvalue()


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Text that a spreadsheet would take for a formula gets an apostrophe in front."""
    return {
        name: f"'{value}" if name == "reason" and value and value[0] in _FORMULA else value
        for name, value in row.items()
    }


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
    content = breaches_content(services, day_ts, details)
    if format == "csv" or (format is None and accept is not None and "text/csv" in accept):
        name = f"breaches-{content['date']}.csv"
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return Response(_csv(content), headers=headers, media_type="text/csv; charset=utf-8")
    return json_response(content)
