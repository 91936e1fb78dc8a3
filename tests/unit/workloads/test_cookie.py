"""Any change of a sealed item's bytes is seen."""

from __future__ import annotations

import zlib
from typing import Any

import pytest

from workloads.cookie import COOKIE_BYTES, CorruptItem, seal, verify


def test_a_sealed_item_tells_who_sealed_it(item: Any) -> None:
    seal(item, 3, 2**40, b"payload")
    assert verify(item) == (3, 2**40, 7, b"payload")


@pytest.mark.parametrize("length", [0, 1, 2048 - COOKIE_BYTES])
def test_payloads_from_empty_to_full_survive(item: Any, length: int) -> None:
    payload = bytes(n % 251 for n in range(length))
    seal(item, 0, 1, payload)
    assert verify(item).payload == payload


def test_items_beyond_one_read_are_verified_whole() -> None:
    from .conftest import BytesItem

    item = BytesItem(20_000)
    seal(item, 1, 1, bytes(19_000))
    item[18_000] ^= 1
    with pytest.raises(CorruptItem, match="checksum"):
        verify(item)


def test_every_flipped_bit_is_found(item: Any) -> None:
    seal(item, 5, 77, bytes(range(40)))
    for at in range(COOKIE_BYTES + 40):
        for bit in range(8):
            item[at] ^= 1 << bit
            with pytest.raises(CorruptItem):
                verify(item)
            item[at] ^= 1 << bit
    assert verify(item).sequence == 77


def test_bytes_behind_the_payload_do_not_count(item: Any) -> None:
    seal(item, 5, 77, b"abc")
    item[COOKIE_BYTES + 3] = 9
    assert verify(item).payload == b"abc"


def test_the_cause_tells_what_is_wrong(item: Any) -> None:
    with pytest.raises(CorruptItem) as never_sealed:
        verify(item)
    assert never_sealed.value.cause == "magic"
    seal(item, 0, 1, b"x")
    item[16:20] = (2048).to_bytes(4, "little")
    with pytest.raises(CorruptItem) as too_long:
        verify(item)
    assert (too_long.value.cause, too_long.value.length) == ("length", 2048)


def test_a_known_checksum_of_the_payload_gives_the_same_cookie(item: Any) -> None:
    seal(item, 1, 2, b"frame")
    whole = bytes(item)
    seal(item, 1, 2, b"frame", zlib.crc32(b"frame"))
    assert bytes(item) == whole


def test_a_payload_that_does_not_fit_is_refused_before_anything_is_written(item: Any) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        seal(item, 0, 1, bytes(2048 - COOKIE_BYTES + 1))
    assert not any(item)
