"""A packet as something to seal and to verify: a chain of mbufs with the direct reads and writes of an item.

Owns the bytes' way through m_copydata and m_copyback, and the checksum over a chain, which copies nothing. Must not
free the packet.
"""

from __future__ import annotations

import zlib

import shmalloc


class SealedPacket:
    """Bytes of a packet from `at` on. room: bytes that a seal may fill, where the chain is to become longer."""

    __slots__ = ("_at", "_packet", "_room")

    def __init__(self, packet: shmalloc.Mbuf, room: int = 0, at: int = 0) -> None:
        self._packet = packet
        self._room = room
        self._at = at

    def __len__(self) -> int:
        return max(self._room, len(self._packet) - self._at)

    def read(self, n: int = -1, offset: int = 0) -> bytes:
        """Copy bytes out of the chain, fewer than n at its end."""
        left = len(self._packet) - self._at - offset
        return self._packet.m_copydata(self._at + offset, left if n < 0 else min(n, left))

    def write(self, data: bytes, offset: int = 0) -> int:
        """Copy bytes into the chain, which grows where it has to."""
        self._packet.m_copyback(self._at + offset, data)
        return len(data)


def packet_crc(packet: shmalloc.Mbuf, off: int = 0) -> int:
    """CRC-32 of a packet's bytes from off on, mbuf by mbuf."""
    crc = 0

    def add(piece: memoryview) -> None:
        nonlocal crc
        crc = zlib.crc32(piece, crc)

    packet.m_apply(off, len(packet) - off, add)
    return crc
