"""Whether a semaphore of one permit is used as a lock. Owns the rule; knows no kind of semaphore.

A semaphore may be a lock or a signal, and a signal has no order: whoever gives it need not have taken it. So a taking
is told of only where it is sure to be given back by its taker: by `with`, and by a call of acquire() at a place whose
taking was once given back by its taker. As soon as a semaphore is given by somebody else, or holds more than its one
permit, none of its class is told of any more. What is known is known in this process alone.
"""

from typing import Any

__all__ = ["Permit", "Trust"]

Place = tuple[Any, int]  # a code object and the instruction in it


class Trust:
    """What this process has learned: `proven`, takings that are those of a lock; `signals`, classes that are none."""

    def __init__(self) -> None:
        self.proven: set[tuple[int, Place]] = set()
        self.signals: set[int] = set()


class Permit:
    """The one permit of one semaphore.

    `take` before it is taken, `taken` after it was, `give` before it is given back; `owner` is whoever may hold it:
    any object that is equal to itself alone.
    """

    __slots__ = ("hold", "number", "trust")

    def __init__(self, trust: Trust, number: int) -> None:
        self.trust = trust
        self.number = number
        self.hold: tuple[object, Place | None, bool] | None = None

    def take(self, place: Place | None) -> bool:
        """Whether a taking at this place is told of; place: None if it is given back by `with`."""
        if self.number in self.trust.signals:
            return False
        return place is None or (self.number, place) in self.trust.proven

    def taken(self, owner: object, place: Place | None, told: bool, *, free: int) -> bool:
        """It was taken; free: the permits that are left. Returns: whether it is entered among what the owner holds."""
        if self.hold is not None or free > 0:
            self.trust.signals.add(self.number)
        told = told and self.number not in self.trust.signals
        self.hold = (owner, place, told)
        return told

    def give(self, owner: object, count: int = 1) -> bool:
        """It is given. Returns: whether its taking was entered."""
        hold, self.hold = self.hold, None
        if hold is None or hold[0] != owner or count != 1:
            self.trust.signals.add(self.number)
        elif hold[1] is not None and self.number not in self.trust.signals:
            self.trust.proven.add((self.number, hold[1]))
        return hold is not None and hold[2]
