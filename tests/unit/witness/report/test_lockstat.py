"""The figures of lock_stat: averages, sorting, contention points."""

import pytest

from lockgraphs import bank
from witness.report.lockstat import as_plain_stat, lock_rows, lock_table, point_table


@pytest.mark.parametrize(
    ("sort", "first"),
    [("contentions", "accounts"), ("hold-max", "accounts"), ("wait-max", "accounts"), ("name", "accounts")],
)
def test_the_classes_are_sorted_with_the_largest_first(sort: str, first: str) -> None:
    names = [record.name for record in lock_rows(bank(), sort)]
    assert names[0] == first
    assert len(names) == 5
    if sort != "name":
        assert names[1:] == ["ledger", "audit", "cache", "vault"]
    else:
        assert names == sorted(names)


def test_a_row_has_lock_stats_columns_in_microseconds() -> None:
    table = lock_table(lock_rows(bank(), "contentions"))
    assert [column.head for column in table.columns] == [
        "class name",
        *("contentions", "wait-min", "wait-max", "wait-total", "wait-avg"),
        *("acquisitions", "hold-min", "hold-max", "hold-total", "hold-avg"),
    ]
    expected = ("accounts", "3", "1.00", "9.00", "15.00", "5.00", "12", "0.50", "40.00", "90.00", "7.50")
    assert table.rows[0] == expected
    assert table.rows[-1][1:6] == ("0", "-", "-", "-", "-")


def test_contention_points_name_the_places_that_waited() -> None:
    rows = point_table(lock_rows(bank(), "contentions")).rows
    assert rows == (
        ("accounts", "waits", "2", "bank.py:12", "transfer"),
        ("accounts", "waits", "1", "bank.py:21", "close_day"),
    )


def test_json_has_nanoseconds() -> None:
    value = as_plain_stat(bank().classes[0])
    expected = {"measured": 3, "min_ns": 1_000, "max_ns": 9_000, "total_ns": 15_000, "avg_ns": 5_000.0}
    assert value["wait"] == expected
    assert value["acquisitions"] == 12
