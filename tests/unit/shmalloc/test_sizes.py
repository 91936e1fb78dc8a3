"""Sizes as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shmalloc.sizes import parse_bytes, show_bytes


@pytest.mark.parametrize(
    ("text", "count"),
    [("0", 0), ("4096", 4096), ("1K", 1024), ("1.5k", 1536), ("2 MiB", 2 << 20), ("64GB", 64 << 30), ("1T", 1 << 40)],
)
def test_units_are_powers_of_1024(text: str, count: int) -> None:
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "G", "-1", "1X", "1 2", "nan", "1e3", "0x10", "1GG"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        parse_bytes(text)


def test_negative_and_other_types_are_refused() -> None:
    with pytest.raises(ValueError, match="below zero"):
        parse_bytes(-1)
    with pytest.raises(TypeError):
        parse_bytes(True)
    with pytest.raises(TypeError):
        parse_bytes(1.5)  # type: ignore[arg-type]


@given(st.integers(0, 1 << 50))
def test_numbers_pass_and_everything_can_be_shown(count: int) -> None:
    assert parse_bytes(count) == count
    assert parse_bytes(str(count)) == count
    assert show_bytes(count).endswith(("B", "KiB", "MiB", "GiB", "TiB"))
