"""Risk routes: the firm's value at risk, and correlation."""

import orjson
from fastapi import APIRouter, Response

from app.api.http.large_response import document, json_list
from app.api.routes.access import ExactRoute, Provided, Viewer, problems
from app.documents.problems import forbidden
from app.documents.risk import Correlation, RiskView, account_risks, correlation_content, risk_content

router = APIRouter(prefix="/v1/risk", tags=["risk"], route_class=ExactRoute)


@router.get("", response_model=RiskView, responses=problems())
async def get_risk(services: Provided, principal: Viewer) -> Response:
    if principal.accounts is not None:
        raise forbidden("a trader may not read the firm's risk")
    state, reference = services.state, services.reference
    content = risk_content(state, reference)
    await services.turns.take(principal.number)
    accounts = range(len(reference.account_names))
    content["accounts"] = await json_list(services, principal, account_risks(state, reference, accounts))
    await services.loop.durable()
    return document(services, principal, **content)


@router.get("/correlation", response_model=Correlation, responses=problems())
async def get_correlation(services: Provided, _principal: Viewer) -> Response:
    content = correlation_content(services.state, services.reference)
    written = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    await services.loop.durable()
    return Response(written, media_type="application/json")
