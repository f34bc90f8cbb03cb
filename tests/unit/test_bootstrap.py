"""Putting a server together: the folder's lock comes before anything that writes."""

import fcntl
import os
from pathlib import Path

import pytest

from app.bootstrap import build
from app.runtime.folder_lock import FolderLocked
from app.settings import Settings


def settings_of(folder: Path) -> Settings:
    return Settings.from_environment({"BOT4_DATA_DIR": str(folder), "BOT4_FEED": "none"})


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*")}


def test_a_second_server_on_a_fresh_folder_writes_nothing(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    settings.journal_dir.mkdir(parents=True)
    with (settings.journal_dir / "lock").open(
        "w+"
    ) as other:  # a descriptor of its own, as another process has
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
    with pytest.raises(Exception, match=r"keys\.json"):
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
