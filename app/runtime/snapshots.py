"""Snapshots: the engine's state saved to a file and loaded back, so that a restart replays little.

A snapshot is `snapshot-<seq of the last command in it, 20 digits>.b4s`: a prefix with a CRC over
the rest, a JSON header, then the used part of each persistent array, without its pages of zeros:
the hash tables are large and mostly empty. It is a shortcut, never the truth: if one is unusable,
the next older one and the journal give the same state.
"""

import json
import logging
import mmap
import os
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from app.engine.capacity import Capacity
from app.engine.state import DTYPES, PERSISTENT, State, allocate, state_hash, used_lengths
from app.runtime.segments import fingerprint, sync_folder

log = logging.getLogger(__name__)

FORMAT_VERSION = 2
MAGIC = b"BOT4SNP\n"

_PREFIX = struct.Struct("<8sIIQ")  # magic, CRC of all after it, version, bytes of the header
_CRC_FROM = 12
_PAGE_BYTES = 4_096
_PAGES_PER_WRITE = 1_024
_NAME = re.compile(r"snapshot-(\d{20})\.b4s")

Bytes = NDArray[np.uint8]


class SnapshotUnusable(Exception):
    """Damaged, of another format, or of an engine of another size."""


class StateHolder(Protocol):
    @property
    def state(self) -> State: ...


def snapshot_path(folder: Path, seq: int) -> Path:
    return folder / f"snapshot-{seq:020d}.b4s"


def list_snapshots(folder: Path) -> list[tuple[int, Path]]:
    """Sequence number and file, newest first; folders and other files with such a name are left out."""
    if not folder.is_dir():
        return []
    matches = [(_NAME.fullmatch(path.name), path) for path in folder.iterdir() if path.is_file()]
    return sorted(((int(match[1]), path) for match, path in matches if match), reverse=True)


def save_snapshot(engine: StateHolder, folder: Path) -> Path:
    """Save the engine's current state durably. Which snapshots are kept: `app.runtime.retention`.

    All of it must be in the journal already. It takes as long as hashing and writing the used part of the
    state: never call it in the loop's thread of a serving engine. Raises OSError.
    """
    state = engine.state
    seq = int(state.firm[0]["seq"])
    path = snapshot_path(folder, seq)
    unfinished = folder / f"{path.name}.{os.getpid()}.tmp"
    try:
        with unfinished.open("xb") as file:
            _write(state, file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    sync_folder(folder)
    return path


def load_newest_snapshot(engine: StateHolder, folder: Path) -> int:
    """Fill a new engine's state from the newest usable snapshot; its sequence number, 0 if there is none."""
    if engine.state.firm[0]["seq"]:
        raise ValueError("a snapshot is loaded into a new engine only")
    for seq, path in list_snapshots(folder):
        try:
            load_snapshot(engine.state, path, seq)
        except SnapshotUnusable as error:
            log.warning("%s is not used, replaying more of the journal instead: %s", path, error)
        else:
            return seq
    return 0


def load_snapshot(state: State, path: Path, seq: int) -> None:
    """Fill an empty state with that of command `seq`.

    Raises SnapshotUnusable, and leaves the state empty then.
    """
    try:
        content = path.open("rb")
    except FileNotFoundError:  # removed meanwhile, being old
        raise SnapshotUnusable("it is gone") from None
    except OSError as error:  # a snapshot is a shortcut: one that cannot be opened is none
        raise SnapshotUnusable(str(error)) from None
    with content as file:
        if os.fstat(file.fileno()).st_size < _PREFIX.size:
            raise SnapshotUnusable("it is too short")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as pages, memoryview(pages) as view:
            header, offset = _checked_header(view, state)
            if header["seq"] != seq:
                raise SnapshotUnusable(f"it holds seq {header['seq']}")
            body = np.frombuffer(view, np.uint8)
            try:
                for entry in header["arrays"]:
                    target = _bytes_of(getattr(state, entry["name"])[: entry["length"]])
                    offset = _load_pages(target, body, offset)
            finally:
                del body
    if state_hash(state) != header["state_hash"]:
        _clear(state, header["sizes"])
        raise SnapshotUnusable("the state in it has another hash than it had when it was saved")


def _write(state: State, file: BinaryIO) -> None:
    firm = state.firm[0]
    used = used_lengths(state)
    header = json.dumps(
        {
            "seq": int(firm["seq"]),
            "ts": int(firm["ts"]),
            "state_hash": state_hash(state),
            "sizes": _sizes(state),
            "dtypes": _dtypes(),
            "arrays": [{"name": name, "length": length} for name, length in used.items()],
        }
    ).encode()
    file.write(bytes(_PREFIX.size))
    file.write(header)
    unsigned = struct.pack("<IQ", FORMAT_VERSION, len(header))
    crc = zlib.crc32(header, zlib.crc32(unsigned))
    for name, length in used.items():
        for part in _pages_of(_bytes_of(getattr(state, name)[:length])):
            crc = zlib.crc32(part, crc)
            file.write(part)
    file.seek(0)
    file.write(struct.pack("<8sI", MAGIC, crc) + unsigned)


def _checked_header(view: memoryview, state: State) -> tuple[dict[str, Any], int]:
    """The header of a snapshot that fits `state`, and where the arrays begin."""
    magic, crc, version, size = _PREFIX.unpack_from(view)
    if magic != MAGIC or zlib.crc32(view[_CRC_FROM:]) != crc:
        raise SnapshotUnusable("it is damaged")
    if version != FORMAT_VERSION:
        raise SnapshotUnusable(f"it has format {version}, this build reads format {FORMAT_VERSION}")
    header: dict[str, Any] = json.loads(bytes(view[_PREFIX.size : _PREFIX.size + size]))
    if header["dtypes"] != _dtypes():
        raise SnapshotUnusable("it was written by a build with other records")
    if header["sizes"] != _sizes(state):
        raise SnapshotUnusable("it was written by an engine of another capacity")
    return header, _PREFIX.size + size


def _pages_of(raw: Bytes) -> Iterator[bytes | memoryview]:
    """A bitmap of the pages that are not all zero, these pages, and the rest that is no whole page."""
    whole = len(raw) // _PAGE_BYTES
    pages = raw[: whole * _PAGE_BYTES].reshape(whole, _PAGE_BYTES)
    used = pages.view(np.uint64).any(axis=1)
    yield np.packbits(used).tobytes()
    numbers = np.flatnonzero(used)
    for start in range(0, len(numbers), _PAGES_PER_WRITE):
        yield pages[numbers[start : start + _PAGES_PER_WRITE]].tobytes()
    yield raw[whole * _PAGE_BYTES :].tobytes()


def _load_pages(target: Bytes, body: Bytes, offset: int) -> int:
    """The inverse of `_pages_of`; returns where the next array begins in `body`."""
    whole = len(target) // _PAGE_BYTES
    pages = target[: whole * _PAGE_BYTES].reshape(whole, _PAGE_BYTES)
    bitmap_end = offset + (whole + 7) // 8
    used = np.unpackbits(body[offset:bitmap_end], count=whole).astype(bool)
    pages_end = bitmap_end + int(used.sum()) * _PAGE_BYTES
    end = pages_end + len(target) - whole * _PAGE_BYTES
    pages[used] = body[bitmap_end:pages_end].reshape(-1, _PAGE_BYTES)
    # New state is not zero everywhere. Only what must be written is, so that empty pages cost no memory.
    stale = pages.view(np.uint64).any(axis=1) & ~used
    pages[stale] = 0
    target[whole * _PAGE_BYTES :] = body[pages_end:end]
    return end


def _bytes_of(array: NDArray[Any]) -> Bytes:
    """The array's own memory, as bytes."""
    return array.view(np.uint8).reshape(-1)


def _sizes(state: State) -> dict[str, int]:
    """The sizes of the persistent state, which follow from the engine's capacity."""
    sizes = {name: len(getattr(state, name)) for name in PERSISTENT}
    return sizes | {"open_orders": int(state.firm[0]["open_orders_max"])}


def _dtypes() -> str:
    return fingerprint(*(DTYPES[name] for name in PERSISTENT)).hex()


def _clear(state: State, sizes: dict[str, int]) -> None:
    """Reset it to its state after `allocate`."""
    capacity = Capacity(
        accounts=sizes["accounts"],
        symbols=sizes["instruments"],
        orders=sizes["orders"],
        open_orders=sizes["open_orders"],
        fills=sizes["fills"],
        overrides=sizes["overrides"],
        limit_changes=sizes["limit_changes"],
        repeats=sizes["repeats"],
    )
    empty = allocate(capacity)
    for name in PERSISTENT:
        getattr(state, name)[:] = getattr(empty, name)
