"""The marker's arguments, without a run."""

import pytest

from witness.testing.marker import ALLOWED, Wishes, wishes_of


def test_the_nearest_reason_counts_and_everything_else_adds_up() -> None:
    marks = [
        pytest.mark.witness(ignore="near", order=("a", "b")).mark,
        pytest.mark.witness(ignore="far", order=["c", "d", "e"], blocking=True).mark,
    ]
    assert wishes_of(marks) == Wishes(ignore="near", orders=(("a", "b"), ("c", "d", "e")), blocking=True)
    assert wishes_of([]) == Wishes()
    assert wishes_of([pytest.mark.witness(off=True).mark]) == Wishes(off=True)


@pytest.mark.parametrize("order", ["ab", ("a",), ("a", 1), ("a", ""), None])
def test_an_order_is_of_two_names_or_more(order: object) -> None:
    with pytest.raises(ValueError, match="is no tuple of two names or more") as caught:
        wishes_of([pytest.mark.witness(order=order).mark])
    assert ALLOWED in str(caught.value)
