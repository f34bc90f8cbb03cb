"""The key store: what it keeps, what it refuses, what survives."""

import json
import stat
from pathlib import Path

import pytest

from app.api.auth import (
    ENVIRONMENT_KEY,
    KeyFileError,
    KeyRefused,
    KeyStore,
    Principal,
    Role,
    disconnect,
)

ENVIRONMENT = "a-key-from-the-environment"


def _now() -> int:
    return 1_700_000_000_000_000


def _open(folder: Path, admin_key: str | None = None) -> KeyStore:
    return KeyStore.open(folder, admin_key, _now)[0]


def test_the_first_start_makes_an_administrator(tmp_path: Path) -> None:
    store, key = KeyStore.open(tmp_path, None, _now)
    assert key is not None and key.startswith("b4_") and len(key) == 46
    principal = store.authenticate(key)
    assert principal is not None and principal.role == Role.ADMIN
    assert (tmp_path / "admin.key").read_text() == key + "\n"
    for name in ("admin.key", "keys.json"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert key not in (tmp_path / "keys.json").read_text()
    again, second = KeyStore.open(tmp_path, None, _now)
    assert second is None
    assert again.authenticate(key) is not None


def test_keys_survive_and_revoked_ones_stay_revoked(tmp_path: Path) -> None:
    store = _open(tmp_path)
    trader, key = store.create("bot", Role.TRADER, ["beta", "alpha"])
    gone, gone_key = store.create("old", Role.VIEWER, [])
    assert store.revoke(gone.number) is gone
    again = _open(tmp_path)
    found = again.authenticate(key)
    assert found is not None
    assert (found.number, found.name, found.role, found.accounts) == (
        trader.number,
        "bot",
        Role.TRADER,
        frozenset({"alpha", "beta"}),
    )
    assert again.authenticate(gone_key) is None
    third, _ = again.create("new", Role.VIEWER, [])
    assert third.number > gone.number, "numbers are in the journal: none is given twice"


def test_headers(tmp_path: Path) -> None:
    store, key = KeyStore.open(tmp_path, None, _now)
    assert key is not None
    principal = store.authenticate(key)
    for scheme in ("Bearer", "bearer", "BEARER"):
        for _ in range(2):
            assert store.of_header(f"{scheme} {key}".encode()) is principal
    for header in (b"", b"Bearer", b"Bearer ", b"Basic " + key.encode(), key.encode(), b"Bearer \xff"):
        assert store.of_header(header) is None


def test_revocation_is_seen_behind_the_cache(tmp_path: Path) -> None:
    store = _open(tmp_path)
    principal, key = store.create("x", Role.VIEWER, [])
    header = f"Bearer {key}".encode()
    assert store.of_header(header) is principal
    calls: list[str] = []
    principal.watchers.add(lambda: calls.append("closed"))
    store.revoke(principal.number)
    assert store.of_header(header) is None
    disconnect(principal)
    disconnect(principal)
    assert calls == ["closed"]
    assert store.revoke(principal.number) is principal
    assert store.revoke(12_345) is None


def test_the_last_administrator_stays(tmp_path: Path) -> None:
    store, key = KeyStore.open(tmp_path, None, _now)
    assert key is not None
    first = store.authenticate(key)
    assert first is not None
    with pytest.raises(KeyRefused, match="last administrator"):
        store.revoke(first.number)
    store.create("second", Role.ADMIN, [])
    assert store.revoke(first.number) is first


def test_the_environment_s_key(tmp_path: Path) -> None:
    store, made = KeyStore.open(tmp_path, ENVIRONMENT, _now)
    assert made is None and not (tmp_path / "admin.key").exists()
    principal = store.authenticate(ENVIRONMENT)
    assert principal is not None and principal.number == ENVIRONMENT_KEY
    with pytest.raises(KeyRefused, match="BOT4_ADMIN_KEY"):
        store.revoke(ENVIRONMENT_KEY)
    other, other_key = store.create("x", Role.VIEWER, [])
    assert other.number > ENVIRONMENT_KEY
    changed = _open(tmp_path, "another-key-from-the-environment")
    assert changed.authenticate(ENVIRONMENT) is None, "it is the setting's, not the file's"
    assert changed.authenticate(other_key) is not None


def test_roles() -> None:
    trader = Principal(2, "t", Role.TRADER, ["alpha"], "", 0)
    assert trader.may_trade("alpha") and trader.may_read("alpha")
    assert not trader.may_trade("beta") and not trader.may_read("beta")
    viewer = Principal(3, "v", Role.VIEWER, [], "", 0)
    assert viewer.may_read("beta") and not viewer.may_trade("beta")
    for role in (Role.RISK, Role.ADMIN):
        other = Principal(4, "o", role, [], "", 0)
        assert other.may_read("beta") and other.may_trade("beta")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"version": 2, "keys": []}',
        '{"version": 1, "keys": [{}]}',
        '{"version": 1, "keys": 5}',
        json.dumps(
            {
                "version": 1,
                "keys": [
                    {
                        "number": 2,
                        "name": "x",
                        "role": "king",
                        "accounts": [],
                        "sha256": "00" * 32,
                        "created_ts": 0,
                        "revoked_ts": 0,
                    }
                ],
            }
        ),
        json.dumps(
            {
                "version": 1,
                "keys": [
                    {
                        "number": 2,
                        "name": "x",
                        "role": "admin",
                        "accounts": [],
                        "sha256": "00",
                        "created_ts": 0,
                        "revoked_ts": 0,
                    }
                ],
            }
        ),
    ],
)
def test_a_damaged_file_is_named_and_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(content)
    with pytest.raises(KeyFileError, match="damaged") as error:
        _open(tmp_path)
    assert str(path) in str(error.value)
    assert path.read_text() == content


def test_a_disk_that_cannot_be_written_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = _open(tmp_path)
    principal, key = store.create("x", Role.VIEWER, [])
    before = store.all()

    def fail(_path: Path, _content: bytes) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("app.api.auth.write_private", fail)
    with pytest.raises(OSError, match="no space"):
        store.create("y", Role.VIEWER, [])
    with pytest.raises(OSError, match="no space"):
        store.revoke(principal.number)
    assert store.all() == before
    assert store.authenticate(key) is principal and not principal.revoked_ts
