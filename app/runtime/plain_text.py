"""Plain text: text typed by people, made safe for logs, tables and the database.

The API refuses what `is_storable` refuses. Older text is still in journals and files, so each
output sanitises it by itself.
"""

import re
from typing import Any

# What breaks a line or turns its direction round, and halves of surrogate pairs, which no output can carry.
_CONTROL = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)
# UTF-8 has no halves of surrogate pairs, and PostgreSQL's text no U+0000.
_NOT_STORABLE = re.compile(r"[\x00\ud800-\udfff]")
# What makes a spreadsheet take a cell for a formula (OWASP, CSV Injection), full-width forms too.
_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
_NUMBER = re.compile(r"-[0-9]+(\.[0-9]+)?")

NOT_STORABLE_MESSAGE = "may not have the character U+0000, or half of a surrogate pair"


def is_storable(text: str) -> bool:
    """Whether every output, the database included, can hold a text."""
    return _NOT_STORABLE.search(text) is None


def storable_text(text: str) -> str:
    """Text from before that rule: characters that cannot be stored become question marks."""
    return _NOT_STORABLE.sub("?", text)


def log_text(text: str) -> str:
    """One line in any case: control characters as escapes, a backslash as two."""
    return _CONTROL.sub(_escape, text.replace("\\", "\\\\"))


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def cell(value: Any) -> Any:
    """A cell of a table that a spreadsheet may open: an apostrophe in front of what would be a formula.

    None is empty; numbers stay as they are, also as text.
    """
    if value is None:
        return ""
    if not isinstance(value, str) or not value.startswith(_FORMULA) or _NUMBER.fullmatch(value):
        return value
    return f"'{value}"
