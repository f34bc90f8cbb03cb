"""Submission of people's requests: commands with a reason, and a problem if the engine refuses them."""

from collections.abc import Sequence

from app.api.services import Services
from app.commands.notes import REASON_BYTES_MAX
from app.documents.problems import Problem, invalid_field
from app.documents.refusals import refusal
from app.engine.types import EventKind
from app.runtime.outcomes import Outcome


def reason_text(reason: str) -> str:
    """The reason; raises Problem if it would not fit into its notes."""
    if len(reason.encode()) > REASON_BYTES_MAX:
        raise invalid_field("reason", f"may have at most {REASON_BYTES_MAX} bytes of UTF-8")
    return reason


async def submit(services: Services, commands: Sequence[bytes]) -> Outcome:
    """Apply commands in a row; returns the outcome of the last. Raises Problem if that is refused."""
    outcome = await submit_or_refuse(services, commands)
    raise_if_refused(services, outcome)
    return outcome


async def submit_or_refuse(services: Services, commands: Sequence[bytes]) -> Outcome:
    """Apply commands in a row; returns the outcome of the last, which may be a refusal."""
    outcomes = await services.loop.submit_batch(b"".join(commands))
    return outcomes[-1]


def is_refused(outcome: Outcome) -> bool:
    return outcome.event.kind == EventKind.COMMAND_REJECTED


def raise_if_refused(services: Services, outcome: Outcome) -> None:
    """Raises Problem with the code, its status, the limit and the observed value."""
    if not is_refused(outcome):
        return
    content = refusal(services.reference, outcome.event, shows_shared=True)
    del content["order_id"]
    members = {name: content[name] for name in ("limit", "observed", "scope")}
    raise Problem(content["status"], content["code"], content["detail"], **members)
