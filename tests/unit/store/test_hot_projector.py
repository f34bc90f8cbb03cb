"""The process that keeps Redis: what it loads."""

import subprocess
import sys

FRAMEWORKS = {"fastapi", "httptools", "starlette", "uvicorn", "websockets"}


def test_it_loads_no_web_framework() -> None:
    script = "import sys, app.store.hot_projector; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert "redis" in loaded.split()
    assert not FRAMEWORKS & set(loaded.split())
