"""CSV lines (RFC 4180) that a spreadsheet can open without running what somebody typed."""

import csv
import io
from collections.abc import Iterable
from typing import Any

from app.runtime.plain_text import cell

LF, CRLF = "\n", "\r\n"


def csv_line(values: Iterable[Any], end: str = LF) -> str:
    """One line with its end; None is empty, and no text can become a formula."""
    output = io.StringIO()
    csv.writer(output, lineterminator=end).writerow(map(cell, values))
    return output.getvalue()
