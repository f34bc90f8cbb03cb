"""Documents of limit overrides."""

from pydantic import BaseModel

from app.documents.content import Content
from app.documents.limits import limit_text
from app.documents.refusals import scope_text
from app.engine.types import Limit
from app.runtime.reference import Reference
from app.runtime.state_reader import Record


class Override(BaseModel):
    id: str
    scope: str
    limit: str
    value: str | int
    own_value: str | int | None
    expires_at: int
    created_ts: int
    actor: int


def override_content(reference: Reference, override: Record) -> Content:
    """`override`: an OVERRIDE record."""
    limit = Limit(int(override["limit"]))
    scope, account, symbol = (int(override[name]) for name in ("scope", "account", "symbol"))
    return {
        "id": str(override["number"]),
        "scope": scope_text(reference, scope, account, symbol),
        "limit": limit.name,
        "value": limit_text(limit, int(override["value"])),
        "own_value": limit_text(limit, int(override["own_value"])),
        "expires_at": int(override["expires_ts"]),
        "created_ts": int(override["created_ts"]),
        "actor": int(override["actor"]),
    }
