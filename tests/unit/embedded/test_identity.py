"""Who runs the embedded PostgreSQL, for an ordinary user and for root."""

import os
import pwd
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.embedded.identity import unprivileged

PROGRAMS = Path("/usr/bin")

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every account can enter; pytest's own are closed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        folder.chmod(0o755)
        yield folder


@pytest.fixture
def closed_folder(open_folder: Path) -> Path:
    """One that others may list, but not enter."""
    folder = open_folder / "closed"
    folder.mkdir()
    folder.chmod(0o744)
    return folder


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> None:
    """What root would do is also asked where tests run as somebody else."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)


def nobody() -> pwd.struct_passwd:
    return pwd.getpwnam("nobody")


def test_an_ordinary_user_runs_it_as_such(closed_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1_000)
    identity = unprivileged(closed_folder / "data", PROGRAMS)
    assert (identity.prefix, identity.arguments) == ([], {})
    owner = closed_folder.stat().st_uid
    identity.own(closed_folder)
    assert closed_folder.stat().st_uid == owner


@pytest.mark.usefixtures("root")
def test_root_gives_new_data_to_an_account_without_rights(open_folder: Path) -> None:
    identity = unprivileged(open_folder / "data", PROGRAMS)
    assert identity.prefix == []
    account = pwd.getpwuid(identity.arguments["user"])
    assert account.pw_name in ("postgres", "nobody") and account.pw_uid != 0
    assert identity.arguments["group"] == account.pw_gid
    assert identity.arguments["extra_groups"] == []


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("closed", ["data", "programs"])
def test_where_the_account_cannot_enter_it_is_given_the_capability(
    closed: str, closed_folder: Path, open_folder: Path
) -> None:
    identity = unprivileged(
        (closed_folder if closed == "data" else open_folder) / "data",
        closed_folder if closed == "programs" else PROGRAMS,
    )
    assert Path(identity.prefix[0]).name == "setpriv"
    assert "--ambient-caps=+dac_override" in identity.prefix
    assert identity.arguments == {}, "setpriv needs root until it has given it up"


@pytest.mark.usefixtures("root")
def test_only_the_way_to_the_data_must_be_open(open_folder: Path) -> None:
    data = open_folder / "data"
    data.mkdir(0o700)
    assert unprivileged(data, PROGRAMS).prefix == []


@pytest.mark.usefixtures("root")
def test_without_setpriv_the_closed_folder_is_named(
    closed_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    (closed_folder / "deeper").mkdir(0o700)
    with pytest.raises(PermissionError, match=f"cannot enter {closed_folder}; start the server as"):
        unprivileged(closed_folder / "deeper" / "data", PROGRAMS)


@pytest.mark.usefixtures("root")
def test_a_machine_without_such_an_account(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> pwd.struct_passwd:
        raise KeyError(name)

    monkeypatch.setattr(pwd, "getpwnam", unknown)
    with pytest.raises(PermissionError, match="it does not run as root"):
        unprivileged(open_folder / "data", PROGRAMS)


@as_root
def test_data_keeps_its_owner(open_folder: Path) -> None:
    data = open_folder / "data"
    data.mkdir()
    os.chown(data, nobody().pw_uid, nobody().pw_gid)
    assert unprivileged(data, PROGRAMS).arguments["user"] == nobody().pw_uid


@as_root
@pytest.mark.parametrize("closed", [False, True])
def test_the_account_reads_its_own_data_and_is_not_root(
    closed: bool, open_folder: Path, closed_folder: Path
) -> None:
    data = (closed_folder if closed else open_folder) / "data"
    data.mkdir(0o700)
    (data / "file").write_text("kept")
    identity = unprivileged(data, PROGRAMS)
    identity.own(data)
    ran = subprocess.run(
        [*identity.prefix, "sh", "-c", 'id -u; cat "$0"', data / "file"],
        capture_output=True,
        text=True,
        check=True,
        **identity.arguments,
    )
    assert ran.stdout == f"{data.stat().st_uid}\nkept" and data.stat().st_uid != 0
