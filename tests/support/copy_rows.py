"""Rows for the database as the projection packs them, read back."""

from struct import unpack_from

from app.store.projection import Rows

_SIZES = {2: "h", 4: "i", 8: "q"}
_TEXTS = ("client_order_id", "reason")


def values(rows: Rows | None) -> list[dict[str, int | bytes]]:
    """Rows of PostgreSQL's binary COPY format: integers, and texts as bytes."""
    assert rows is not None
    found, at = [], 0
    for _ in range(rows.count):
        assert unpack_from(">h", rows.content, at)[0] == len(rows.columns)
        at += 2
        row: dict[str, int | bytes] = {}
        for column in rows.columns:
            (size,) = unpack_from(">i", rows.content, at)
            at += 4
            if column not in _TEXTS and size > 0:
                row[column] = unpack_from(f">{_SIZES[size]}", rows.content, at)[0]
            elif size > 0:
                row[column] = rows.content[at : at + size]
            at += max(size, 0)
        found.append(row)
    return found
