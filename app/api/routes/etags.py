"""Entity tags (RFC 9110) from versions: `ETag: "7"` on what is read, `If-Match: "7"` on what changes it."""

import re
from typing import Annotated

from fastapi import Header

from app.documents.problems import Problem, invalid_field

_TAG = re.compile(r'"([0-9]{1,18})"')

IfMatch = Annotated[
    str | None,
    Header(
        description='the version that the change is based on, as its ETag was: `"7"`. '
        "Without it, or with `*`, the change applies to whatever version is there.",
        examples=['"7"'],
    ),
]


def etag(version: int) -> dict[str, str]:
    """The header of a response that shows this version."""
    return {"etag": f'"{version}"'}


def expected_version(if_match: str | None) -> int | None:
    """The version that a change is based on; None: any. Raises Problem."""
    if if_match is None or if_match.strip() == "*":
        return None
    tag = _TAG.fullmatch(if_match.strip())
    if tag is None:
        raise invalid_field("If-Match", 'must be one version in quotes, such as "7", or *')
    return int(tag[1])


def stale_version(current: int) -> Problem:
    return Problem(
        412,
        "STALE_VERSION",
        f"this has changed meanwhile: its version is {current}. Read it again",
        version=current,
    )
