"""Putting a server together: the folder's lock comes before anything that writes."""

import asyncio
import fcntl
import os
from pathlib import Path

import pytest

from app.api.auth import KeyFileError
from app.bootstrap import build
from app.runtime.folder_lock import FolderLocked
from app.settings import Settings


def settings_of(folder: Path) -> Settings:
    return Settings(data_dir=folder, feed="none")


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*")}


def test_a_second_server_on_a_fresh_folder_writes_nothing(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    settings.journal_dir.mkdir(parents=True)
    # By a descriptor of its own, as another process has one.
    with (settings.journal_dir / "lock").open("w+") as other:
        other.write("4711")
        other.flush()
        fcntl.flock(other, fcntl.LOCK_EX)
        before = names(tmp_path)
        with pytest.raises(FolderLocked, match="pid 4711"):
            build(settings)
        assert names(tmp_path) == before


def test_what_cannot_be_built_lets_the_folder_go(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    (tmp_path / "keys.json").write_text("no keys")
    with pytest.raises(KeyFileError, match=r"keys\.json"):
        build(settings)
    descriptor = os.open(settings.journal_dir / "lock", os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises where it is held
    finally:
        os.close(descriptor)


def test_a_server_that_is_built_holds_the_folder_until_it_is_let_go(tmp_path: Path) -> None:
    server = build(settings_of(tmp_path))
    descriptor = os.open(server.settings.journal_dir / "lock", os.O_RDWR)
    try:
        with pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        server.folder_lock.release()
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(descriptor)
    assert (tmp_path / "admin.key").exists()


def test_a_stop_that_fails_lets_the_folder_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails() -> None:
        raise OSError("no space left")

    async def begin_and_end() -> None:
        server = build(settings_of(tmp_path))
        monkeypatch.setattr(server.loop, "close", fails)
        with pytest.raises(OSError, match="no space left"):
            await server.stop()

    asyncio.run(begin_and_end())
    build(settings_of(tmp_path)).folder_lock.release()
    descriptor = os.open(tmp_path / "journal" / "lock", os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises where it is held
    finally:
        os.close(descriptor)
