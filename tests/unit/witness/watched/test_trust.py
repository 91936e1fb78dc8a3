"""A semaphore of one permit is told of where its taker gives it back, and is a signal once somebody else gave it."""

import pytest

from witness.watched.trust import Permit, Trust

HERE = (object(), 1)


def taken(permit: Permit, owner: str, *, free: int = 0, by_with: bool = False) -> bool:
    """Whether this taking is entered."""
    place = None if by_with else HERE
    return permit.taken(owner, place, permit.take(place), free=free)


def test_a_place_is_told_of_after_its_taker_gave_back_once() -> None:
    permit = Permit(Trust(), 7)
    assert not taken(permit, "one")
    assert not permit.give("one")
    assert taken(permit, "two")
    assert permit.give("two")


def test_with_is_told_of_at_once() -> None:
    permit = Permit(Trust(), 7)
    assert taken(permit, "one", by_with=True)
    assert permit.give("one")


@pytest.mark.parametrize(
    "how", ["by another", "of what nobody has", "two at once", "a permit left", "taken while held"]
)
def test_whatever_a_lock_would_not_do_makes_the_class_a_signal(how: str) -> None:
    trust = Trust()
    permit, sibling, stranger = Permit(trust, 7), Permit(trust, 7), Permit(trust, 8)
    if how == "of what nobody has":
        assert not permit.give("one")
    elif how == "a permit left":
        assert not taken(permit, "one", free=1, by_with=True)
    else:
        assert taken(permit, "one", by_with=True)
        if how == "taken while held":
            assert not taken(permit, "two", by_with=True)
        else:
            assert permit.give("two" if how == "by another" else "one", 2 if how == "two at once" else 1)
    assert not taken(sibling, "three", by_with=True)
    assert taken(stranger, "three", by_with=True)
