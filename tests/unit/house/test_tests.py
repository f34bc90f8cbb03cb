"""Each module of the app has a test that is found by its name.

A test is found by the name of its file, `test_<module>.py` or `test_<something>_<module>.py`, or
because it imports the module.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
_NOT_LOOKED_AT = ("__init__", "__main__")

# Modules that have none yet. Whoever writes one takes its name off this list; it gets no new names.
PENDING: frozenset[str] = frozenset()


def modules(root: Path) -> set[str]:
    """Of the app, by their whole names."""
    return {
        ".".join(path.relative_to(root).with_suffix("").parts)
        for path in (root / "app").rglob("*.py")
        if path.stem not in _NOT_LOOKED_AT
    }


def imports_of(source: str) -> Iterator[str]:
    """Whatever is imported: modules, and all that is taken from them, for that may be a module, too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_named(module: str, files: set[str]) -> bool:
    """Whether one of these files of tests, without `.py`, has the module's name."""
    last = module.rsplit(".", 1)[-1]
    return any(name.startswith("test_") and name.endswith(f"_{last}") for name in files)


@cache
def untested() -> frozenset[str]:
    tests = list((ROOT / "tests").rglob("*.py"))
    imported = {name for path in tests for name in imports_of(path.read_text())}
    files = {path.stem for path in tests if path.stem.startswith("test_")}
    return frozenset(
        module for module in modules(ROOT) if module not in imported and not is_named(module, files)
    )


def test_each_module_has_a_test() -> None:
    assert not untested() - PENDING, "write tests/unit/<package>/test_<module>.py"


def test_what_is_pending_has_none_yet() -> None:
    assert not PENDING - modules(ROOT), "there is no such module any more: take it off PENDING"
    assert not PENDING - untested(), "it has a test: take it off PENDING"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("test_order_json", True),
        ("test_codec_order_json", True),
        ("test_json", False),
        ("test_border_json", False),
        ("test_order_json_more", False),
        ("order_json", False),
    ],
)
def test_the_name_of_a_test(name: str, found: bool) -> None:
    assert is_named("app.codec.order_json", {name}) == found


def test_all_ways_to_import() -> None:
    source = """
import app.a, app.b as other
from app.c import x, d
from . import e
from .g import h

def late() -> None:
    from app import f
# from app import commented
TEXT = "from app import quoted"
"""
    assert set(imports_of(source)) == {"app.a", "app.b", "app.c", "app.c.x", "app.c.d", "app", "app.f"}
