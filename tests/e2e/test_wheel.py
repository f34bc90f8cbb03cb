"""Wheels hold all that they need: installed, they work where there is no checkout."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


class Installed:
    """A virtual environment with our two wheels, and a folder to be in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "elsewhere"
        self.folder.mkdir()
        self._programs = folder / "venv" / "bin"
        venv.create(folder / "venv", with_pip=False)
        # Our dependencies as they are here. Files of paths in that folder are not read, so the project that
        # is installed there in place is not found.
        packages = next((folder / "venv").glob("lib/python*/site-packages"))
        (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
        for project in (ROOT, ROOT / "bot4_client"):
            # -P: the client's module `types` is not the standard library's.
            build = [sys.executable, "-P", "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
            self._run(build, project)
        pip = [sys.executable, "-m", "pip", "--python", str(self._programs / "python")]
        wheels = map(str, folder.glob("*.whl"))
        self._run([*pip, "install", "--quiet", "--no-deps", "--no-index", *wheels], folder)

    def run(
        self, program: str, *arguments: str, status: int = 0, **variables: str
    ) -> "subprocess.CompletedProcess[str]":
        return self._run([str(self._programs / program), *arguments], self.folder, status, variables)

    def _run(
        self, command: list[str], folder: Path, status: int = 0, variables: dict[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment | (variables or {}),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == status, done
        return done


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(tmp_path_factory.mktemp("wheel"))


def test_it_is_the_wheel_that_is_imported(installed: Installed) -> None:
    shown = installed.run(
        "python", "-c", "import app, bot4_client; print(app.__path__, bot4_client.__file__)"
    )
    assert str(ROOT) not in shown.stdout and shown.stdout.count("site-packages") == 2


def test_the_command_shows_its_help(installed: Installed) -> None:
    assert "migrate" in installed.run("bot4", "--help").stdout
    assert "BOT4_PORT" in installed.run("bot4", "serve", "--help").stdout


def test_migrations_are_found(installed: Installed) -> None:
    """A revision that is not there is refused before the database is asked, and those that are are named."""
    nowhere = "postgresql://127.0.0.1:1/nowhere"
    refused = installed.run("bot4", "migrate", "--to", "no-such", status=1, BOT4_DATABASE_URL=nowhere)
    revisions = sorted(path.stem[:4] for path in (ROOT / "migrations/versions").glob("0*.py"))
    assert refused.stderr.strip().endswith(f"there are base, {', '.join(revisions)}")


def test_the_bench_shows_its_help_and_writes_where_we_are(installed: Installed) -> None:
    assert "--rounds" in installed.run("bot4", "bench", "--help").stdout
    shown = installed.run("python", "-c", "from loadtests.machine import BUILD; print(BUILD)")
    assert Path(shown.stdout.strip()) == installed.folder / "build"
