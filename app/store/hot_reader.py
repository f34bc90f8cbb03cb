"""Hot state reader, for any process: `HotReader.connect("redis://...")`.

Needs redis-py alone. Documents are dictionaries, decimals are text; `app.store.hot_keys` lists the
keys.
"""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple, Self

from redis import Redis

from app.store import hot_keys as keys


class NotSynced(Exception):
    """There is no hot state, or it is being rebuilt: try again in a moment."""


class Meta(NamedTuple):
    """`seq`, `ts`: of the last command that is in the hot state."""

    seq: int
    ts: int
    journal: str


class Entry(NamedTuple):
    """One event. `id` is the position to continue from: pass it as `after`."""

    id: str
    kind: str
    data: dict[str, Any]


class HotReader:
    """All methods raise NotSynced, and redis-py's errors."""

    def __init__(self, client: "Redis") -> None:
        """`client` must decode responses."""
        self._client = client

    @classmethod
    def connect(cls, url: str) -> Self:
        return cls(Redis.from_url(url, decode_responses=True))

    def close(self) -> None:
        self._client.close()

    def meta(self) -> Meta:
        meta: Meta = self._read()[0]
        return meta

    def accounts(self) -> dict[str, dict[str, Any]]:
        return self._documents(keys.ACCOUNTS)

    def account(self, account: str) -> dict[str, Any] | None:
        return self._document(keys.ACCOUNTS, account)

    def positions(self, account: str) -> dict[str, dict[str, Any]]:
        """By symbol."""
        return self._documents(keys.positions(account))

    def open_orders(self, account: str) -> dict[str, dict[str, Any]]:
        """By order id."""
        return self._documents(keys.orders(account))

    def limits(self) -> dict[str, dict[str, Any]]:
        """By scope."""
        return self._documents(keys.LIMITS)

    def marks(self) -> dict[str, dict[str, Any]]:
        """By symbol."""
        return self._documents(keys.MARKS)

    def instruments(self) -> dict[str, dict[str, Any]]:
        """By symbol."""
        return self._documents(keys.INSTRUMENTS)

    def trading_states(self) -> dict[str, str]:
        """By scope; a missing one is ACTIVE."""
        return dict(self._read(("hgetall", keys.TRADING_STATES))[1])

    def events(self, after: str = "$", *, count: int = 1_000, block_ms: int | None = None) -> Iterator[Entry]:
        """Events after the id `after` ("0" for all that are kept), waiting `block_ms` for the first."""
        found: Any = self._client.xread({keys.EVENTS: after}, count=count, block=block_ms)
        for _, entries in found or ():
            for identity, fields in entries:
                yield Entry(identity, fields["kind"], json.loads(fields["data"]))

    def _documents(self, key: str) -> dict[str, dict[str, Any]]:
        found = self._read(("hgetall", key))[1]
        return {name: json.loads(content) for name, content in found.items()}

    def _document(self, key: str, field: str) -> dict[str, Any] | None:
        found = self._read(("hget", key, field))[1]
        return None if found is None else json.loads(found)

    def _read(self, *commands: tuple[str, ...]) -> list[Any]:
        """The meta data, and the responses to commands, all as of one moment."""
        pipeline = self._client.pipeline(transaction=True)
        pipeline.hgetall(keys.META)
        for name, *arguments in commands:
            getattr(pipeline, name)(*arguments)
        answers = pipeline.execute()
        meta = answers[0]
        if meta.get("synced") != "1" or meta.get("layout") != str(keys.LAYOUT):
            raise NotSynced("there is no hot state here, or it is being written anew")
        answers[0] = Meta(int(meta["seq"]), int(meta["ts"]), meta["journal"])
        return answers
