"""Segments of frames: the journal's file format.

A segment is a file `journal-<first seq, 20 digits>.b4j`: a header of 64 bytes, then frames end to
end. A frame is a header of 32 bytes, its COMMAND records and the EVENT records they caused, as raw
bytes. It is atomic and made durable before the next one is written, so a crash can tear only the
very last one. All numbers are little-endian; frames start at multiples of 32, their records at
multiples of 8.
"""

import os
import re
import struct
import sys
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from app.engine.records import COMMAND, COMMAND_KINDS, EVENT

assert sys.byteorder == "little", "journals hold the records as they lie in memory"

FORMAT_VERSION = 1
SEGMENT_MAGIC = b"BOT4JNL\n"
FRAME_MAGIC = b"B4FR"

# magic, CRC of what follows it, version, first seq, fingerprints of the commands and of the events
SEGMENT_HEADER = struct.Struct("<8sIIq16s16s8x")
FRAME_PREFIX = struct.Struct("<4sI")  # magic, CRC of all the rest of the frame
FRAME_FIELDS = struct.Struct("<qqII")  # first seq, last seq, number of commands, number of events
FRAME_HEADER = struct.Struct("<4sIqqII")
FRAME_ALIGNMENT = 32

COMMAND_BYTES = COMMAND.itemsize
EVENT_BYTES = EVENT.itemsize

_SEGMENT_NAME = re.compile(r"journal-(\d{20})\.b4j")
_CRC_FROM = 12  # of the segment header: magic and CRC themselves are not in it


class JournalError(Exception):
    """The journal cannot be used as it is; the message names the file and the reason."""


class JournalCorrupt(JournalError):
    """Bytes that were durable have changed or are missing; nothing is repaired by guessing."""


class JournalIncompatible(JournalError):
    """Written by a build with another format or other records."""


def fingerprint(*dtypes: np.dtype[Any]) -> bytes:
    """16 bytes that differ when a field's name, type or place differs."""
    digest = blake2b(digest_size=16)
    for dtype in dtypes:
        fields: Mapping[str, Any] = dtype.fields or {}
        layout = [(name, str(field[0]), field[1]) for name, field in fields.items()]
        digest.update(repr((dtype.itemsize, layout or str(dtype))).encode())
    return digest.digest()


COMMANDS_FINGERPRINT = fingerprint(*COMMAND_KINDS)
EVENTS_FINGERPRINT = fingerprint(EVENT)


@dataclass(frozen=True)
class Segment:
    path: Path
    first_seq: int


def segment_path(folder: Path, first_seq: int) -> Path:
    return folder / f"journal-{first_seq:020d}.b4j"


def list_segments(folder: Path) -> list[Segment]:
    """In order of their sequence numbers; other files, and folders of such a name, are left out."""
    if not folder.is_dir():
        return []
    matches = [(path, _SEGMENT_NAME.fullmatch(path.name)) for path in folder.iterdir() if path.is_file()]
    segments = [Segment(path, int(match[1])) for path, match in matches if match]
    return sorted(segments, key=lambda segment: segment.first_seq)


def encode_segment_header(first_seq: int) -> bytes:
    fields = (FORMAT_VERSION, first_seq, COMMANDS_FINGERPRINT, EVENTS_FINGERPRINT)
    unsigned = SEGMENT_HEADER.pack(SEGMENT_MAGIC, 0, *fields)
    return SEGMENT_HEADER.pack(SEGMENT_MAGIC, zlib.crc32(unsigned[_CRC_FROM:]), *fields)


def check_segment_header(segment: Segment, header: bytes) -> None:
    """Raises JournalCorrupt or JournalIncompatible if this build cannot read the segment."""
    if len(header) < SEGMENT_HEADER.size:
        raise JournalCorrupt(f"{segment.path}: header incomplete ({len(header)} bytes)")
    magic, crc, version, first_seq, commands, events = SEGMENT_HEADER.unpack_from(header)
    if magic != SEGMENT_MAGIC:
        raise JournalCorrupt(f"{segment.path}: no journal header at offset 0")
    if zlib.crc32(header[_CRC_FROM : SEGMENT_HEADER.size]) != crc:
        raise JournalCorrupt(f"{segment.path}: header damaged at offset 0")
    if version != FORMAT_VERSION:
        raise JournalIncompatible(
            f"{segment.path}: journal format {version}, this build reads format {FORMAT_VERSION}"
        )
    if (commands, events) != (COMMANDS_FINGERPRINT, EVENTS_FINGERPRINT):
        what = "COMMAND" if commands != COMMANDS_FINGERPRINT else "EVENT"
        raise JournalIncompatible(
            f"{segment.path}: its {what} records differ from this build's; "
            "recover it with the build that wrote it"
        )
    if first_seq != segment.first_seq:
        raise JournalCorrupt(f"{segment.path}: header says first seq {first_seq}")


# macOS has no fdatasync.
sync_data: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)


def sync_folder(folder: Path) -> None:
    """Make creations, renames and removals in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
