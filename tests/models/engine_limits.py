"""The twin's administration: requests for limits, overrides, the second person, policies."""

from copy import deepcopy
from typing import Any

from app.engine.capacity import REQUEST_LIMITS_MAX, Capacity
from app.engine.codes import Code
from app.engine.types import ChangeStatus, EventKind, Limit, OverrideEnd, Policy, Scope
from tests.models.engine_limit_model import Change, LimitKey, Override, Part, limit_key
from tests.models.engine_model import MONEY_MAX
from tests.models.engine_reference import ReplyMatcher, contradicts, rule_code
from tests.support.engine import Command

LONGEST = 30 * 24 * 60 * 60 * 1_000_000


class LimitsTwin(ReplyMatcher):
    capacity: Capacity

    # --- What scopes say.

    def _own(self, part: Part | Change) -> int:
        key = limit_key(part.scope, part.account, part.symbol)
        return self.books.limits.get(key, {}).get(part.limit, -1)

    def _put(self, key: LimitKey, limit: int, value: int) -> None:
        own = self.books.limits.setdefault(key, {})
        own.pop(limit, None)
        if value >= 0:
            own[limit] = value

    def _override_of(self, key: LimitKey, limit: int) -> Override | None:
        found = [o for o in self.books.overrides.values() if (o.key, o.limit) == (key, limit)]
        return found[0] if found else None

    def _loosens(self, key: LimitKey, old: int, new: int) -> bool:
        if old < 0:
            return new >= 0 and key[0] == Scope.ACCOUNT and not self.books.effective(key)
        return new < 0 or new > old

    def _new_version(self, key: LimitKey) -> int:
        self.books.limit_versions[key] = self.books.limit_versions.get(key, 0) + 1
        return self.books.limit_versions[key]

    def _alone(self, c: Command) -> bool:
        return bool(self.books.policies[Policy.MAKER_CHECKER]) and c.actor != 0

    # --- Requests.

    def _stage(self, c: Command) -> bool:
        books = self.books
        if books.staged and c.seq != books.staged_seq + 1 + c.notes:
            books.staged = []
        possible = c.code < len(Limit) and 0 <= c.value <= MONEY_MAX
        value = c.value if c.state else -1
        part = Part(c.scope, c.account, c.symbol, c.code if possible else -1, value, c.expires_ts)
        if len(books.staged) == REQUEST_LIMITS_MAX:
            books.staged.pop()
            part.limit = -1
        books.staged.append(part)
        books.staged_seq = c.seq
        return c.remaining <= 0

    def _known(self, c: Command) -> bool:
        books = self.books
        known = Scope.FIRM <= c.scope <= Scope.ACCOUNT_SYMBOL
        if c.scope in (Scope.ACCOUNT, Scope.ACCOUNT_SYMBOL):
            known = known and 0 <= c.account < len(books.accounts)
        if c.scope in (Scope.SYMBOL, Scope.ACCOUNT_SYMBOL):
            known = known and 0 <= c.symbol < len(books.instruments)
        return known

    def _refusal(self, c: Command, alone: bool) -> tuple[int, list[int]]:
        """Why the staged request cannot be, else what its parts replace; nothing is changed."""
        parts = self.books.staged
        if not self._known(c):
            return Code.INVALID_VALUE, []
        if self._stale(c):
            return Code.STALE_VERSION, []
        return self._fit(parts, alone)

    def _fit(self, parts: list[Part], alone: bool) -> tuple[int, list[int]]:
        key = parts[-1].key
        for part in parts:
            if part.limit < 0 or part.key != key:
                return Code.INVALID_VALUE, []
            wrong = Code.NONE if part.value < 0 else rule_code(key[0], Limit(part.limit), part.value)
            if wrong != Code.NONE:
                return wrong, []
        before, replaced = deepcopy(self.books.limits), []
        code: int = Code.NONE
        for part in parts:
            old = self._own(part)
            replaced.append(old)
            if alone and self._loosens(key, old, part.value):
                code = Code.SECOND_PERSON_REQUIRED
                break
            self._put(key, part.limit, part.value)
        together = self.books.effective(key)
        if code == Code.NONE and any(p.value >= 0 and contradicts(together, p.limit) for p in parts):
            code = Code.LIMIT_CONTRADICTION
        self.books.limits = before
        return code, replaced

    def _stale(self, c: Command) -> bool:
        version = self.books.limit_versions.get(limit_key(c.scope, c.account, c.symbol), 0)
        return c.expected_version != 0 and c.expected_version - 1 != version

    def _turn_down_change(self, c: Command, code: int) -> None:
        self.books.staged = []
        if code == Code.STALE_VERSION:
            version = self.books.limit_versions.get(limit_key(c.scope, c.account, c.symbol), 0)
            self.reject(c, code, limit=c.expected_version - 1, observed=version)
        else:
            self.reject(c, code)

    def _tell(
        self, kind: int, c: Command, part: Part | Change | Override, limit: int, observed: int, **more: Any
    ) -> None:
        given: dict[str, Any] = {"notes": c.notes, "fee": c.actor} | more
        self.say(
            kind,
            account=part.account,
            symbol=part.symbol,
            scope=part.scope,
            code=part.limit,
            limit=limit,
            observed=observed,
            **given,
        )

    def _apply(self, c: Command, replaced: list[int]) -> None:
        parts, self.books.staged = self.books.staged, []
        version = self._new_version(parts[-1].key)
        for part, old in zip(parts, replaced, strict=True):
            self._put(part.key, part.limit, part.value)
            self._tell(EventKind.LIMIT_SET, c, part, part.value, old, last_quantity=version)

    def set_limit(self, c: Command) -> None:
        if not self._stage(c):
            self.say(EventKind.LIMIT_STAGED, account=c.account, symbol=c.symbol)
            return
        code, replaced = self._refusal(c, self._alone(c))
        if c.expires_ts:
            code = Code.INVALID_VALUE
        if code != Code.NONE:
            self._turn_down_change(c, code)
        else:
            self._apply(c, replaced)

    # --- Overrides.

    def _override_refusal(self, part: Part) -> int:
        if part.value < 0 or not self.books.ts < part.expires_ts <= self.books.ts + LONGEST:
            return Code.INVALID_VALUE
        if self._override_of(part.key, part.limit) is not None:
            return Code.OVERRIDE_EXISTS
        return Code.NONE if len(self.books.overrides) < self.capacity.overrides else Code.OVERRIDE_CAPACITY

    def _start(self, c: Command, part: Part) -> None:
        books = self.books
        books.last_override += 1
        made = Override(
            books.last_override, part.key, part.scope, part.account, part.symbol, part.limit, part.value,
            part.expires_ts, books.ts, c.actor,
        )  # fmt: skip
        books.overrides[made.number] = made
        self._tell(
            EventKind.OVERRIDE_SET,
            c,
            part,
            part.value,
            self._own(part),
            expire_ts=part.expires_ts,
            last_quantity=self._new_version(part.key),
            execution_id=made.number,
        )

    def set_override(self, c: Command) -> None:
        self.books.staged = []
        self._stage(c)
        (part,) = self.books.staged
        code, _ = self._refusal(c, self._alone(c))
        code = code or self._override_refusal(part)
        self.books.staged = []
        if code != Code.NONE:
            self._turn_down_change(c, code)
        else:
            self._start(c, part)

    def _end(self, c: Command, override: Override, how: int, own: int) -> None:
        del self.books.overrides[override.number]
        self._tell(
            EventKind.OVERRIDE_ENDED,
            c,
            override,
            own,
            override.value,
            status=how,
            last_quantity=self._new_version(override.key),
            execution_id=override.number,
        )

    def end_override(self, c: Command) -> None:
        override = self.books.overrides.get(c.number)
        if override is None:
            self.reject(c, Code.UNKNOWN_OVERRIDE)
            return
        own = self.books.limits.get(override.key, {}).get(override.limit, -1)
        if self._alone(c) and self._loosens(override.key, override.value, own):
            self.reject(c, Code.SECOND_PERSON_REQUIRED)
        else:
            self._end(c, override, OverrideEnd.REMOVED, own)

    def end_overrides_due(self) -> None:
        due = [o for o in self.books.overrides.values() if o.expires_ts <= self.books.ts]
        for override in sorted(due, key=lambda o: o.expires_ts):
            own = self.books.limits.get(override.key, {}).get(override.limit, -1)
            self._end(Command(0), override, OverrideEnd.EXPIRED, own)

    # --- Two persons.

    def _over(self, change: Change) -> bool:
        return self.books.ts > change.created_ts + self.books.policies[Policy.CHANGE_LIFETIME_US]

    def _free(self, change: Change) -> bool:
        return change.status != ChangeStatus.PENDING or self._over(change)

    def _proposal_refusal(self, c: Command) -> tuple[int, list[int]]:
        parts = self.books.staged
        code, replaced = self._refusal(c, False)
        if code != Code.NONE:
            return code, []
        if any(part.expires_ts for part in parts):
            code = Code.INVALID_VALUE if len(parts) > 1 else self._override_refusal(parts[0])
        room = self.capacity.limit_changes - sum(not self._free(old) for old in self.books.changes.values())
        if code == Code.NONE and room < len(parts):
            code = Code.CHANGE_CAPACITY
        if code == Code.NONE and c.actor == 0:
            code = Code.INVALID_VALUE
        return code, replaced

    def propose_limit(self, c: Command) -> None:
        books = self.books
        if not self._stage(c):
            self.say(EventKind.LIMIT_STAGED, account=c.account, symbol=c.symbol)
            return
        code, replaced = self._proposal_refusal(c)
        if code != Code.NONE:
            self._turn_down_change(c, code)
            return
        parts, books.staged = books.staged, []
        request = books.last_change + 1
        for part, old in zip(parts, replaced, strict=True):
            if len(books.changes) >= self.capacity.limit_changes:
                del books.changes[min(n for n, other in books.changes.items() if self._free(other))]
            books.last_change += 1
            where = {name: value for name, value in vars(part).items() if name != "key"}
            books.changes[books.last_change] = Change(
                number=books.last_change,
                request=request,
                old=old,
                maker=c.actor,
                created_ts=books.ts,
                **where,
            )
            self._tell(
                EventKind.CHANGE_PROPOSED,
                c,
                part,
                part.value,
                old,
                expire_ts=part.expires_ts,
                execution_id=request,
            )

    def _requested(self, c: Command) -> list[Change]:
        """The parts of a request, in the order of their places."""
        return [change for change in self.books.changes.values() if change.request == c.number > 0]

    def _decision_refusal(self, c: Command, approves: bool) -> int:
        changes = self._requested(c)
        for change in changes:
            if change.status != ChangeStatus.PENDING:
                return Code.CHANGE_CLOSED
            if approves and change.maker == c.actor:
                return Code.MAKER_CANNOT_APPROVE
            if approves and (self._over(change) or self._own(change) != change.old):
                return Code.CHANGE_STALE
        return Code.NONE if changes else Code.UNKNOWN_CHANGE

    def approve_change(self, c: Command) -> None:
        books = self.books
        books.staged = []
        code = self._decision_refusal(c, True)
        changes = self._requested(c)
        parts = [Part(o.scope, o.account, o.symbol, o.limit, o.value, o.expires_ts) for o in changes]
        replaced: list[int] = []
        if code == Code.NONE:
            code, replaced = self._fit(parts, False)
        if code == Code.NONE and parts[0].expires_ts:
            code = self._override_refusal(parts[0])
            code = Code.CHANGE_STALE if code == Code.INVALID_VALUE else code
        if code != Code.NONE:
            self.reject(c, code)
            return
        if parts[0].expires_ts:
            self._start(c, parts[0])
        else:
            books.staged = parts
            self._apply(c, replaced)
        self._decide(c, changes, ChangeStatus.APPROVED, EventKind.CHANGE_APPROVED)

    def reject_change(self, c: Command) -> None:
        self.books.staged = []
        code = self._decision_refusal(c, False)
        if code != Code.NONE:
            self.reject(c, code)
            return
        self._decide(c, self._requested(c), ChangeStatus.REJECTED, EventKind.CHANGE_REJECTED)

    def _decide(self, c: Command, changes: list[Change], status: int, kind: int) -> None:
        for change in changes:
            change.status, change.checker, change.decided_ts = status, c.actor, self.books.ts
        self.say(kind, execution_id=c.number, notes=c.notes, fee=c.actor)

    # --- Policies.

    def set_policy(self, c: Command) -> None:
        largest = 1 if c.code in (Policy.MAKER_CHECKER, Policy.CANCEL_INCREASING) else MONEY_MAX
        if c.code >= len(Policy) or not 0 <= c.value <= largest:
            self.reject(c, Code.INVALID_VALUE)
            return
        old, self.books.policies[c.code] = self.books.policies[c.code], c.value
        where = {"scope": Scope.FIRM, "code": c.code}
        self.say(EventKind.POLICY_SET, **where, limit=c.value, observed=old, notes=c.notes, fee=c.actor)
