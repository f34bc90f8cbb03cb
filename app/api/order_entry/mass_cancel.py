"""Reply to a mass cancel, which has as many orders in it as were open: made in pieces."""

from collections.abc import Sequence
from typing import Any

from app.api.auth import Principal
from app.api.http.large_response import json_list
from app.api.order_entry.desk import OrderDesk
from app.api.services import Services
from app.runtime.outcomes import Outcome


async def canceled_members(
    services: Services, desk: OrderDesk, principal: Principal, outcomes: Sequence[Outcome], name: str
) -> dict[str, Any]:
    """The result for each order, as JSON under `name`, and the counts by result."""
    counts: dict[str, int] = {}
    items = await json_list(services, principal, desk.canceled_items(principal, outcomes, counts))
    return {name: items, **counts}
