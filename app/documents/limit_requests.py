"""Documents of requests to change limits that a second person decides."""

from typing import Literal

from pydantic import BaseModel, Field

from app.documents.content import Content
from app.documents.limits import limit_text
from app.documents.refusals import scope_text
from app.engine.state import State
from app.engine.types import ChangeStatus, Limit, Policy
from app.runtime.reference import Reference


class ProposedLimit(BaseModel):
    limit: str
    old: str | int | None
    new: str | int | None


class LimitRequest(BaseModel):
    """Changes of one scope that are decided together; `expires_at` is set for an override."""

    id: str
    scope: str
    status: Literal["PENDING", "APPROVED", "REJECTED", "EXPIRED"]
    changes: list[ProposedLimit]
    expires_at: int | None
    maker: int = Field(description="number of the key that proposed it")
    created_ts: int
    valid_until_ts: int = Field(description="when it must have been approved")
    checker: int | None
    decided_ts: int | None


def limit_request_content(state: State, reference: Reference, number: int, now: int) -> Content | None:
    """One request by its number; None if there is no such request, or no longer."""
    changes = state.limit_changes
    rows = changes[(changes["number"] != 0) & (changes["request"] == number)]
    if number <= 0 or not len(rows):
        return None
    first = rows[0]
    valid_until = int(first["created_ts"]) + int(state.firm[0]["policy"][Policy.CHANGE_LIFETIME_US])
    status = ChangeStatus(int(first["status"])).name
    if first["status"] == ChangeStatus.PENDING and now > valid_until:
        status = "EXPIRED"
    return {
        "id": str(number),
        "scope": scope_text(reference, int(first["scope"]), int(first["account"]), int(first["symbol"])),
        "status": status,
        "changes": [
            {
                "limit": limit.name,
                "old": limit_text(limit, int(row["old"])),
                "new": limit_text(limit, int(row["value"])),
            }
            for row in rows
            for limit in (Limit(int(row["limit"])),)
        ],
        "expires_at": int(first["expires_ts"]) or None,
        "maker": int(first["maker"]),
        "created_ts": int(first["created_ts"]),
        "valid_until_ts": valid_until,
        "checker": int(first["checker"]) or None,
        "decided_ts": int(first["decided_ts"]) or None,
    }
