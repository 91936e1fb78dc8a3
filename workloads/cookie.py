"""The cookie that every live item carries: who wrote it, which one it is, how long, and a checksum of all its bytes.

Owns the layout of the cookie and its two operations. Must not know zones, queues or processes: it sees an item as
bytes that can be read and written. The owner of the item is the only writer, so no lock is taken.

    OFFSET  SIZE  FIELD
         0     4  magic      0x6b6f6f43: tells a sealed item from a fresh or spent one
         4     4  owner      rank of the process that sealed the item
         8     8  sequence   counts the items sealed by that owner, from 1
        16     4  length     payload bytes that follow the cookie
        20     4  checksum   CRC-32 of the payload, continued over bytes 0..19
        24     -  payload
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple, Protocol

MAGIC = 0x6B6F6F43
_HEAD = struct.Struct("<IIQI")
_WHOLE = struct.Struct("<IIQII")
HEAD_BYTES = _HEAD.size
COOKIE_BYTES = _WHOLE.size

_pack_head = _HEAD.pack
_unpack = _WHOLE.unpack_from
_crc32 = zlib.crc32


class Sealable(Protocol):
    """What an item must offer: direct reads and writes."""

    def __len__(self) -> int: ...
    def read(self, n: int = -1, offset: int = 0) -> bytes:
        """Copy bytes out, fewer than n at the end."""
        ...

    def write(self, data: bytes, offset: int = 0) -> int:
        """Copy bytes in; returns how many."""
        ...


class Cookie(NamedTuple):
    """What a verified item says of itself."""

    owner: int
    sequence: int
    length: int
    payload: bytes


class CorruptItem(Exception):
    """An item's bytes are not what was sealed into it.

    Fields: cause (magic, length or checksum), owner, sequence and length as read: they may be damaged themselves.
    """

    def __init__(self, cause: str, *, owner: int, sequence: int, length: int, detail: str) -> None:
        super().__init__(f"{cause}: item sealed by worker {owner} as number {sequence}, {length} bytes: {detail}")
        self.cause = cause
        self.owner = owner
        self.sequence = sequence
        self.length = length


def seal(item: Sealable, owner: int, sequence: int, payload: bytes, payload_crc: int | None = None) -> None:
    """Write the cookie and the payload into an item.

    Parameters: payload_crc: CRC-32 of the payload when the caller knows it already (replayed frames).
    Raises: ValueError: the item is too small for cookie and payload.
    """
    length = len(payload)
    if COOKIE_BYTES + length > len(item):
        raise ValueError(f"a payload of {length} bytes and its cookie do not fit an item of {len(item)} bytes")
    item.write(made(owner, sequence, length, _crc32(payload) if payload_crc is None else payload_crc) + payload)


def made(owner: int, sequence: int, length: int, payload_crc: int) -> bytes:
    """The cookie of a payload of so many bytes with that CRC-32, COOKIE_BYTES long."""
    head = _pack_head(MAGIC, owner, sequence, length)
    return head + _crc32(head, payload_crc).to_bytes(4, "little")


def verify(item: Sealable) -> Cookie:
    """Read an item back and compare it with its cookie.

    Returns: Cookie, with a private copy of the payload.
    Raises: CorruptItem: the magic, the length or the checksum is not what was sealed.
    """
    size = len(item)
    # One read for the common case: frames and small items fit; larger ones are read to their real length below.
    data = item.read(size if size < 4096 else 4096)
    magic, owner, sequence, length, crc = _unpack(data)
    if magic != MAGIC:
        raise CorruptItem(
            "magic", owner=owner, sequence=sequence, length=length, detail=f"found {magic:#010x}, sealed {MAGIC:#010x}"
        )
    end = COOKIE_BYTES + length
    if end > size:
        raise CorruptItem(
            "length", owner=owner, sequence=sequence, length=length, detail=f"longer than the item of {size} bytes"
        )
    payload = data[COOKIE_BYTES:end] if end <= len(data) else item.read(length, COOKIE_BYTES)
    computed = _crc32(data[:HEAD_BYTES], _crc32(payload))
    if computed != crc:
        raise CorruptItem(
            "checksum",
            owner=owner,
            sequence=sequence,
            length=length,
            detail=f"stored {crc:#010x}, found {computed:#010x}",
        )
    return Cookie(owner, sequence, length, payload)
