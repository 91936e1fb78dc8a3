"""Numbers as people read them."""

import pytest

from shmalloc.report.amounts import age, human_bytes, human_count, kilobytes


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0B"),
        (1023, "1023B"),
        (1024, "1K"),
        (1536, "1.5K"),
        (100 * 1024 + 512, "100K"),
        (1024 * 1024 - 1, "1M"),
        (64 << 30, "64G"),
        (-2048, "-2K"),
        (1 << 63, "8E"),
        (1 << 74, "16384E"),
    ],
)
def test_bytes_are_written_in_the_largest_unit_that_fits(count: int, text: str) -> None:
    assert human_bytes(count) == text


@pytest.mark.parametrize(
    ("count", "text"), [(999, "999"), (1000, "1k"), (1250, "1.2k"), (999_999, "1M"), (48_000_000, "48M")]
)
def test_counts_go_by_thousands(count: int, text: str) -> None:
    assert human_count(count) == text


def test_no_human_number_below_a_thousand_exabytes_is_longer_than_six_characters() -> None:
    numbers = [n for power in range(63) for n in (2**power - 1, 2**power, 2**power + 2**power // 3)]
    assert max(len(human_bytes(n)) for n in numbers) <= 6
    assert max(len(human_count(n)) for n in numbers) <= 6


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0s"), (7.9, "7s"), (200, "3m20s"), (5 * 3600 + 120, "5h02m"), (12 * 86400 + 4 * 3600 + 59, "12d4h")],
)
def test_an_age_is_told_in_its_two_largest_units(seconds: float, text: str) -> None:
    assert age(seconds) == text


def test_memory_in_use_is_rounded_up_to_whole_kilobytes() -> None:
    assert [kilobytes(n) for n in (0, 1, 1024, 1025)] == ["0K", "1K", "1K", "2K"]
