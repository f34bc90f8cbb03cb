"""Content: a JSON object before it is serialised, keyed by the names that clients see."""

from typing import Any

Content = dict[str, Any]
