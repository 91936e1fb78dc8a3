"""The self-test's locks: those of the arena, really taken; others told of by hand. Owns how a step takes a lock."""

from collections.abc import Callable
from functools import partial
from typing import Any

from shmalloc import M_WAITOK, Arena
from shmalloc.errors import ShmallocError
from witness import flags
from witness.checker import arm
from witness.selftest.foreign import FOREIGN, REFUSALS, ForeignLocks

__all__ = ["run_half"]

_WAIT = 0.01  # seconds; nobody else holds a lock of the self-test, so whoever waits, waits for itself
_NAMED = {"S": "sx", "M": "mutex", "T": "asyncio", "F": "flock"}  # letters that are one kind of lock in every scenario
_MODES = {"write": "w", "exclusive": "w", "read": "r", "shared": "r"}


class _Lock:
    """One lock: take(mode, tried) and give(mode), mode is `w` or `r`."""

    def __init__(self, take: Callable[[str, bool], object], give: Callable[[str], object]) -> None:
        self.take = take
        self.give = give
        self.again: Callable[[], object] = lambda: None


def run_half(arena: Arena, kind: str, steps: str) -> None:
    """Run the steps of one half with locks of this kind; locks are found by their names, so halves share them."""
    foreign = ForeignLocks(arm(arena).native, arena.name)
    try:
        _run(arena, kind, steps, foreign)
    finally:
        foreign.close()


def _run(arena: Arena, kind: str, steps: str, foreign: ForeignLocks) -> None:
    lock, _, plain = kind.partition(" ") if kind != "recursive mutex" else (kind, "", "")
    held: list[tuple[str, str]] = []
    locks: dict[str, _Lock] = {}
    at = 0
    while at < len(steps):
        mode, tried = _MODES.get(plain, "w"), False
        if steps[at] == "~":
            _sleep(arena, lock)
            at += 1
            continue
        if steps[at] in "rw":
            mode, at = steps[at], at + 1
        elif steps[at] in "?!":
            tried, at = steps[at] == "?", at + 1
            if steps[at - 1] == "!":
                locks[steps[at]].again()
                at += 1
                continue
        letter = steps[at]
        at += 1
        if letter.islower():
            held = [one for one in held if one[0] != letter.upper()]
            _quietly(partial(locks[letter.upper()].give, mode))
            continue
        if at < len(steps) and steps[at] in "1'":
            letter, at = letter + steps[at], at + 1
        if letter not in locks:
            locks[letter] = _made(arena, _NAMED.get(letter, lock), letter, foreign)
        if _quietly(partial(locks[letter].take, mode, tried)) is not False:
            held.append((letter, mode))
    for letter, mode in reversed(held):
        locks[letter].give(mode)


def _quietly(call: Callable[[], object]) -> object:
    """The arena's locks refuse what would never end; the report is what is looked at."""
    try:
        return call()
    except (ShmallocError, *REFUSALS):
        return False


def _sleep(arena: Arena, lock: str) -> None:
    if lock in ("spin", "fair"):
        arm(arena).native.may_sleep("M_WAITOK", "selftest")
        return
    arena.zone("selftest", size=64).alloc(M_WAITOK).free()


def _made(arena: Arena, kind: str, name: str, foreign: ForeignLocks) -> _Lock:
    lock: Any
    if kind in FOREIGN:
        take, give, again = foreign.made(kind, name)
        lock = _Lock(lambda _, tried: take(tried), lambda _: give())
        lock.again = again
        return lock  # type: ignore[no-any-return]
    if kind in ("mutex", "recursive mutex"):
        lock = arena.mutex(name, recursive=kind != "mutex")
        return _Lock(lambda _, tried: lock.acquire(_WAIT, blocking=not tried), lambda _: lock.release())
    if kind == "semaphore":
        lock = arena.semaphore(name, 1)
        return _Lock(lambda _, tried: lock.acquire(_WAIT, blocking=not tried), lambda _: lock.release())
    if kind in ("rwlock", "sx"):
        lock = arena.rwlock(name) if kind == "rwlock" else arena.sx(name)
        words = {"w": "write", "r": "read"} if kind == "rwlock" else {"w": "exclusive", "r": "shared"}
        return _Lock(
            lambda mode, tried: getattr(lock, f"acquire_{words[mode]}")(_WAIT, blocking=not tried),
            lambda mode: getattr(lock, f"release_{words[mode]}")(),
        )
    return _by_hand(arena, kind, name)


def _by_hand(arena: Arena, kind: str, name: str) -> _Lock:
    """A lock that is only told of: spin locks, and rwlocks whose readers wait behind writers."""
    native = arm(arena).native
    number = native.class_get(name[0], kind, int(name[1:] == "1"), flags.SPIN if kind == "spin" else 0)
    instance = 1 + "ABCD".index(name[0]) + 16 * (name[1:] == "'") + 32 * (name[1:] == "1")
    modes = {"w": flags.EXCLUSIVE, "r": flags.SHARED}
    lock = _Lock(
        lambda mode, tried: native.acquired(number, instance, modes[mode], flags.TRY if tried else 0),
        lambda _: native.released(number, instance, True),
    )
    lock.again = lambda: native.destroyed(number, instance)
    return lock
