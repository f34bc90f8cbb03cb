"""Limit templates over HTTP; see `app.api.template_store`."""

import asyncio

import numpy as np
from fastapi import APIRouter, Response
from pydantic import BaseModel

from app.api.routes.access import ExactRoute, Provided, RiskManager, Viewer, json_response, problems
from app.api.routes.etags import IfMatch, etag, expected_version, stale_version
from app.api.routes.limit_values import check_contradictions, limit_values
from app.api.template_store import TEMPLATES_MAX, StaleTemplate, Template, TooManyTemplates
from app.documents.content import Content
from app.documents.limits import limit_text
from app.documents.problems import Problem, invalid_field
from app.documents.schemas import ChangeLimits, Name
from app.engine.state_records import LIMITS
from app.engine.types import Scope

router = APIRouter(prefix="/v1/limit-templates", tags=["limits"], route_class=ExactRoute)


class LimitTemplate(BaseModel):
    """Limits of a new account. Changing a template changes no existing account."""

    name: str
    version: int
    limits: dict[str, str | int]
    actor: int
    reason: str
    updated_ts: int


class LimitTemplates(BaseModel):
    items: list[LimitTemplate]
    next_cursor: str | None


def _content(template: Template) -> Content:
    return {name: getattr(template, name) for name in LimitTemplate.model_fields}


def _response(template: Template) -> Response:
    response = json_response(_content(template))
    response.headers.update(etag(template.version))
    return response


def unknown_template(name: str) -> Problem:
    return Problem(404, "UNKNOWN_TEMPLATE", f"there is no limit template {name[:40]!r}")


@router.get("", response_model=LimitTemplates, responses=problems())
async def list_templates(services: Provided, _principal: Viewer) -> Response:
    items = [_content(template) for template in services.templates.all()]
    return json_response({"items": items, "next_cursor": None})


@router.get("/{name}", response_model=LimitTemplate, responses=problems(404))
async def get_template(name: Name, services: Provided, _principal: Viewer) -> Response:
    """The ETag is the version."""
    template = services.templates.get(name)
    if template is None:
        raise unknown_template(name)
    return _response(template)


@router.put("/{name}", response_model=LimitTemplate, responses=problems(409, 412, 413, 422))
async def put_template(
    name: Name,
    change: ChangeLimits,
    services: Provided,
    principal: RiskManager,
    if_match: IfMatch = None,
) -> Response:
    """Replace a template, or add one: `If-Match: "0"` requires that it does not exist yet."""
    values = limit_values(change.limits, Scope.ACCOUNT)
    kept = {limit: value for limit, value in values.items() if value is not None}
    if not kept:
        raise invalid_field("limits", "name at least one limit: an account without limits cannot trade")
    check_contradictions(np.zeros(1, LIMITS)[0], kept)
    limits = {
        limit.name: text for limit, value in kept.items() if (text := limit_text(limit, value)) is not None
    }
    expected = expected_version(if_match)
    try:
        template = await asyncio.to_thread(
            services.templates.put, name, limits, principal.number, change.reason, expected
        )
    except StaleTemplate as error:
        raise stale_version(error.version) from None
    except TooManyTemplates:
        raise Problem(409, "TEMPLATE_CAPACITY", f"there may be at most {TEMPLATES_MAX} templates") from None
    return _response(template)
