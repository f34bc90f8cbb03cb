"""The warm-up leaves no kernel uncompiled, and tells who waits that it takes long."""

import subprocess
import sys

import pytest

from app import warmup

_UNCOMPILED = """
import pkgutil, sys
from importlib import import_module
from app import codec, engine, venues
from app.warmup import compile_kernels

compile_kernels(print)
for package in (codec, engine, venues):
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        for name, member in vars(import_module(found.name)).items():
            cached = getattr(getattr(member, "stats", None), "cache_path", None)
            if cached is not None and not member.signatures:
                print("not compiled:", found.name, name)
"""


def test_every_kernel_is_compiled() -> None:
    """In a process of its own: here other tests have compiled them already."""
    done = subprocess.run(
        [sys.executable, "-c", _UNCOMPILED], capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert "not compiled" not in done.stdout, done.stdout


def test_who_waits_is_told_when_it_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    warmup.compile_kernels(told.append)
    assert told == [], "they are compiled"
    monkeypatch.setattr(warmup, "_PATIENCE_SECONDS", 0.0)
    warmup.compile_kernels(told.append)
    assert told and "compiling the engine's kernels, once for this version" in told[0]


def test_a_failure_is_raised_and_the_telling_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(warmup, "PaperVenue", fail)
    told: list[str] = []
    monkeypatch.setattr(warmup, "_PATIENCE_SECONDS", 60.0)
    with pytest.raises(MemoryError):
        warmup.compile_kernels(told.append)
    assert told == []
