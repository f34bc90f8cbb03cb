"""What the engine refused, as a problem document."""

from app.api.routes.access import is_refused
from app.api.services import Services
from app.documents.problems import Problem
from app.documents.refusals import refusal
from app.runtime.outcomes import Outcome


def raise_if_refused(services: Services, outcome: Outcome) -> None:
    """Raises Problem with the code, its status and what was allowed and observed."""
    if not is_refused(outcome):
        return
    content = refusal(services.reference, outcome.event, shows_shared=True)
    del content["order_id"]
    members = {name: content[name] for name in ("limit", "observed", "scope")}
    raise Problem(content["status"], content["code"], content["detail"], **members)
