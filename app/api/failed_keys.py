"""Failed keys: requests without a valid key, counted, logged, and throttled by address.

Keys cannot be guessed. What is bounded here is the load of the attempts, and they do not go unseen.
A valid key is never refused for what others do from its address: it is checked first.
"""

import ipaddress
import logging
import math
from collections import OrderedDict
from time import monotonic

from app.api.http.asgi import Scope
from app.documents.problems import Problem, too_many_requests
from app.runtime.plain_text import log_text

logger = logging.getLogger(__name__)

# Of one address: a burst, then a rate a second.
BURST = 400
PER_SECOND = 4
ADDRESSES_MAX = 4_096  # the one that was silent longest is dropped for another
LOG_SECONDS = 5.0  # between two lines
_PATH_SHOWN_MAX = 100
_V6_NETWORK_BITS = 64  # what one customer of a provider has


class FailedKeys:
    """`count`: of failed authentications. `throttled`: requests that were refused for them."""

    def __init__(self) -> None:
        self.count = 0
        self.throttled = 0
        self._due: OrderedDict[str, float] = OrderedDict()  # as in `app.api.key_budget`, by address
        self._logged = -LOG_SECONDS
        self._unlogged = 0

    def note(self, scope: Scope) -> None:
        """Count one more."""
        self.count += 1
        address, now = _address(scope), monotonic()
        self._due[address] = max(self._due.get(address, now), now) + 1 / PER_SECOND
        self._due.move_to_end(address)
        if len(self._due) > ADDRESSES_MAX:
            self._due.popitem(last=False)
        self._log(scope, address, now)

    def problem(self, scope: Scope) -> Problem | None:
        """Why a request without a valid key is refused unread; None if it is not."""
        wait = self._due.get(_address(scope), 0.0) - monotonic() - BURST / PER_SECOND
        if wait <= 0:
            return None
        self.throttled += 1
        return too_many_requests(
            "FAILED_KEYS",
            f"more than {BURST} requests without a valid key from this address; after that {PER_SECOND} in a "
            "second are allowed. Valid keys are served",
            math.ceil(wait),
            PER_SECOND,
        )

    def _log(self, scope: Scope, address: str, now: float) -> None:
        if now - self._logged < LOG_SECONDS:
            self._unlogged += 1
            return
        logger.warning(
            "authentication failed: %s from %s; %d more since the last such line, %d since the start",
            _what(scope),
            address,
            self._unlogged,
            self.count,
        )
        self._logged, self._unlogged = now, 0


def _what(scope: Scope) -> str:
    return log_text(f"{scope.get('method', 'WebSocket')} {scope['path'][:_PATH_SHOWN_MAX]}")


def _address(scope: Scope) -> str:
    """The address that is counted as one; a proxy in front is one, too."""
    client = scope.get("client")
    host = str(client[0]) if client else "unknown"
    if ":" not in host:
        return host
    try:
        return str(ipaddress.ip_network((host.partition("%")[0], _V6_NETWORK_BITS), strict=False))
    except ValueError:
        return host
