"""A packet is sealed and verified like an item, whatever its chain looks like."""

from __future__ import annotations

import zlib

import pytest

import shmalloc
from shmalloc import MLEN
from workloads.cookie import COOKIE_BYTES, CorruptItem, seal, verify
from workloads.stress.sealed_packet import SealedPacket, packet_crc

PAYLOAD = bytes(n % 251 for n in range(5000))


@pytest.fixture
def packet(arena: shmalloc.Arena) -> shmalloc.Mbuf:
    """A packet sealed while it was one small mbuf: the chain grew."""
    made = arena.mbufs().m_gethdr()
    seal(SealedPacket(made, COOKIE_BYTES + len(PAYLOAD)), 7, 9, PAYLOAD)
    return made


def test_the_chain_grows_as_far_as_the_seal_needs_and_reads_back(packet: shmalloc.Mbuf) -> None:
    assert len(packet) == COOKIE_BYTES + len(PAYLOAD)
    assert len(list(packet)) > 1
    found = verify(SealedPacket(packet))
    assert (found.owner, found.sequence, found.payload) == (7, 9, PAYLOAD)


def test_a_packet_is_verified_behind_what_was_put_in_front_of_it(packet: shmalloc.Mbuf) -> None:
    packet.m_prepend(MLEN // 2)
    assert verify(SealedPacket(packet, at=MLEN // 2)).payload == PAYLOAD


def test_one_byte_changed_in_a_late_mbuf_is_seen(packet: shmalloc.Mbuf) -> None:
    sealed = SealedPacket(packet)
    sealed.write(bytes([sealed.read(1, 4000)[0] ^ 1]), 4000)
    with pytest.raises(CorruptItem, match="checksum"):
        verify(sealed)


def test_the_checksum_of_a_chain_is_that_of_its_bytes(packet: shmalloc.Mbuf) -> None:
    assert packet_crc(packet) == zlib.crc32(packet.tobytes())
    assert packet_crc(packet, COOKIE_BYTES) == zlib.crc32(PAYLOAD)
