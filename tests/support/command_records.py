"""Packed commands as the engine reads them."""

from typing import Any

import numpy as np

from app.commands.records import dtype_of
from app.engine.records import COMMAND
from app.engine.types import CommandKind
from app.runtime.views import field_names, is_text


def read(record: bytes) -> dict[str, Any]:
    """The fields of a command that are not at their defaults; `kind` as a CommandKind."""
    kind = CommandKind(int(np.frombuffer(record, COMMAND)["kind"][0]))
    fields: dict[str, Any] = {"kind": kind}
    view = np.frombuffer(record, dtype_of(kind))[0]
    for name in field_names(view.dtype):
        text = is_text(view.dtype[name])
        value = view[name].tobytes().rstrip(b"\0") if text else int(view[name])
        default = -1 if name in ("account", "symbol") else b"" if text else 0
        if name != "kind" and value != default:
            fields[name] = value
    return fields
