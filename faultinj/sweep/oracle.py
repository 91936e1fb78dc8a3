"""What has to hold after every run, fault or not: each check is a function from the evidence to findings.

Owns the checks and their order. A check may read the arena, empty what outlives its users, and reclaim; it must not run
the scenario (``trial`` does, for the last of the rules: it then runs cleanly).
"""

import contextlib
import fnmatch
import importlib.metadata
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from faultinj.record import Finding
from faultinj.sweep.context import own_objects
from faultinj.sweep.evidence import Evidence, expected_codes
from shmalloc import RECLAIM_DRAIN_CPU, Arena, _native
from shmalloc.errors import ArenaError, InvalidArgument, ShmallocError, ZoneError
from shmalloc.stats import ZoneStatistics

__all__ = [
    "CHECKS",
    "ORACLES",
    "Companion",
    "clean_error",
    "companions",
    "core_locks",
    "drained",
    "exact_fails",
    "invariants",
    "judge",
    "leftovers",
    "no_leak",
    "pages_back",
    "promises",
    "settled",
    "stuck_inside",
    "user_locks",
]

ORACLES = "faultinj.oracles"
"""Entry points of this group are further oracles: a callable that returns a Companion."""

_OFFERED = _native.offered()
_NOFREE = _OFFERED["ZONE_NOFREE"]
_MBUFS = "mbuf"  # names of the zones of mbufs begin so; they have clusters of each other in their caches
_PAGE_BYTES, _PLACE_BYTES = 4096, 16  # a queue's ring has places for its depth, in whole pages
_SHARED = _OFFERED["ZONE_MALLOC"] | _OFFERED["ZONE_RUNS"] | _OFFERED["ZONE_MBUF"] | _OFFERED["ZONE_INTERNAL"]
_MESSAGE_LEAST = 20  # characters; shorter than that no sentence says what happened and what to do


class Companion(Protocol):
    """A further oracle, cheap enough to be asked after each of thousands of runs."""

    def begin(self, arena: Arena) -> None:
        """Called when a scenario has opened its arena, before anything fails."""

    def findings(self, arena: Arena) -> Iterable[str]:
        """Called after the run: a sentence for each thing that is wrong."""


def companions(names: Iterable[str] | None = None) -> dict[str, Companion]:
    """The further oracles by name; all that are installed, or these. Raises: LookupError: there is none of a name."""
    points = {point.name: point for point in importlib.metadata.entry_points(group=ORACLES)}
    wanted = list(points) if names is None else list(names)
    for name in wanted:
        if name not in points:
            raise LookupError(f"there is no oracle {name!r}; installed are: {', '.join(sorted(points)) or 'none'}")
    return {name: points[name].load()() for name in wanted}


# ---------------------------------------------------------------- the checks


def clean_error(evidence: Evidence) -> Iterator[Finding]:
    """The scenario succeeded, or raised an error of the package that is the injected point's and says what to do; or
    what a point raised that Python declares, or an error from it."""
    error = evidence.error
    if error is None or _declared(error, evidence):
        return
    name = type(error).__name__
    if not isinstance(error, ShmallocError):
        yield Finding(kind="foreign error", detail=f"{name}: {error}", stack=_stack(error))
        return
    expected = expected_codes(evidence)
    wanted = ", ".join(sorted(expected)) or "nothing"
    if error.code not in expected and type(error).__name__ not in evidence.scenario.errors:
        yield Finding(
            kind="unclean error",
            detail=f"{name} has the code {error.code or 'none'}, injected was {wanted}: {error}",
            stack=_stack(error),
        )
    yield from _unclean(error, evidence.name)


def _declared(error: BaseException, evidence: Evidence) -> bool:
    chain: BaseException | None = error
    while chain is not None:
        if any(chain is one for one in evidence.raised):
            return True
        chain = chain.__cause__
    return False


def _unclean(error: ShmallocError, arena: str) -> Iterator[Finding]:
    text, name = str(error), type(error).__name__
    why = None
    if type(error) in (ShmallocError, ArenaError, ZoneError) or "the core reports" in text:
        why = "has no class of its own"
    elif not error.arena.startswith(arena) and not isinstance(error, InvalidArgument):
        why = f"names the arena {error.arena!r}, not {arena!r}"
    elif len(text) < _MESSAGE_LEAST or text == f"{error.code} in arena {error.arena!r}":
        why = "says nothing"
    elif not any(mark in text for mark in (";", ",", ": ")):
        why = "does not say what to do"
    if why is not None:
        yield Finding(kind="unclean error", detail=f"{name} {why}: {text}", stack=_stack(error))


def unraisables(evidence: Evidence) -> Iterator[Finding]:
    """What could not be raised (a drop, a dtor) is an error of the package, too."""
    for error in evidence.unraisable:
        if not isinstance(error, ShmallocError):
            yield Finding(
                kind="foreign error", detail=f"not raised: {type(error).__name__}: {error}", stack=_stack(error)
            )


def user_locks(evidence: Evidence) -> Iterator[Finding]:
    """Nobody holds a user's lock, or waits for one."""
    if evidence.arena is None:
        return
    for lock in evidence.arena.lock_statistics():
        held = lock.holds if lock.kind != "condition" else 0
        if held or lock.owner is not None or lock.waiters:
            who = "somebody" if lock.owner is None else f"CPU {lock.owner}"
            yield Finding(
                kind="lock held",
                detail=f"{lock.kind} {lock.name!r} is held {held} times by {who}, {lock.waiters} wait for it",
            )


def core_locks(evidence: Evidence) -> Iterator[Finding]:
    """None of the allocator's own locks is held, or waits to be rebuilt."""
    if evidence.arena is None:
        return
    for cls, instance, cpu, dirty in _native.core_locks(evidence.arena):
        which = f"{cls} {instance}" if instance else cls
        state = "dirty" if cpu is None else f"held by CPU {cpu}{' and dirty' if dirty else ''}"
        yield Finding(kind="lock held", detail=f"the allocator's lock {which} is {state}")


def stuck_inside(arena: Arena | None) -> tuple[Finding, ...]:
    """What this process has left open in the core although it is in no call of it: a lock, an operation.

    To be asked before anything else is done with the arena: the next operation closes the last one, and one that needs
    the lock waits for it until it gives up.
    """
    if arena is None:
        return ()
    own = {cpu.id: cpu.op for cpu in arena.cpus() if cpu.pid == os.getpid()}
    found = [
        Finding(
            kind="lock held", detail=f"the allocator's lock {cls} {instance} is held by CPU {cpu}, outside of any call"
        )
        for cls, instance, cpu, _ in _native.core_locks(arena)
        if cpu in own
    ]
    found += [
        Finding(kind="operation open", detail=f"CPU {cpu} says {op:#x} in its op word, outside of any call")
        for cpu, op in own.items()
        if op
    ]
    return tuple(found)


def drained(evidence: Evidence) -> Iterator[Finding]:
    """Queues are empty: what a scenario puts in it takes out, unless it was killed."""
    if evidence.arena is None:
        return
    for queue in evidence.arena.queue_statistics():
        if queue.length or queue.item_waiters or queue.space_waiters:
            waiters = queue.item_waiters + queue.space_waiters
            yield Finding(kind="leak", detail=f"queue {queue.name!r} has {queue.length} items and {waiters} waiters")


def no_leak(evidence: Evidence) -> Iterator[Finding]:
    """No item is out, in whatever state, and the zones' own counts say so."""
    arena = evidence.arena
    if arena is None:
        return
    for group in arena.who():
        where = f" by CPU {group.cpu}" if group.cpu is not None else ""
        yield Finding(
            kind="leak",
            detail=f"{group.count} items ({group.bytes} bytes) of zone {group.zone!r} are {group.state}{where}"
            + (f", allocated at {group.site}" if group.site else ""),
        )
    for zone in arena.zone_statistics(internal=True):
        if (zone.used and not zone.name.startswith(_MBUFS)) or zone.waiters:
            detail = f"zone {zone.name!r} counts {zone.used} items in use and {zone.waiters} waiters"
            yield Finding(kind="leak", detail=detail)
    for kind in arena.malloc_types():
        if kind.in_use or kind.bytes:
            yield Finding(kind="leak", detail=f"malloc type {kind.name!r} counts {kind.in_use} ({kind.bytes} bytes)")


def exact_fails(evidence: Evidence) -> Iterator[Finding]:
    """Each zone counted as many fails as the scenario saw; one that it did not allocate from counted none.

    Malloc's zones serve many types, and mbufs stand on several zones: there the types and no zone are compared. Not
    after a kill: an allocation that was cut off has not failed.
    """
    if evidence.arena is None or evidence.died:
        return
    for zone in evidence.arena.zone_statistics(internal=True):
        want = evidence.failed.get(zone.name, 0)
        if zone.fails != want and zone.name not in evidence.uncounted and not _shared(zone):
            detail = f"zone {zone.name!r} counted {zone.fails} fails, the scenario saw {want}"
            yield Finding(kind="fails counter", detail=detail)
    for kind in evidence.arena.malloc_types():
        want = evidence.failed_types.get(kind.name, 0)
        if kind.fails != want and kind.name not in evidence.uncounted:
            detail = f"malloc type {kind.name!r} counted {kind.fails} fails, the scenario saw {want}"
            yield Finding(kind="fails counter", detail=detail)


def _shared(zone: ZoneStatistics) -> bool:
    return bool(zone.flags & _SHARED) or zone.name.startswith(_MBUFS)


def invariants(evidence: Evidence) -> Iterator[Finding]:
    """``check`` finds nothing."""
    if evidence.arena is None:
        return
    for found in evidence.arena.check().findings:
        yield Finding(kind="check", detail=f"I{found.invariant} ({found.title}): {found.detail}")


def pages_back(evidence: Evidence) -> Iterator[Finding]:
    """Reclaiming gives every slab back that need not stay."""
    arena = evidence.arena
    if arena is None:
        return
    arena.reclaim(RECLAIM_DRAIN_CPU)
    stay = sum(_ring_pages(queue.depth) for queue in arena.queue_statistics())
    for zone in arena.zone_statistics(internal=True):
        if zone.used:
            detail = f"zone {zone.name!r} counts {zone.used} items in use after everything was reclaimed"
            yield Finding(kind="leak", detail=detail)
        if zone.flags & _NOFREE or zone.reserve:
            stay += zone.pages if zone.master in ("", zone.name) else 0
        elif zone.slabs and zone.master in ("", zone.name):
            pages = f"{zone.slabs} slabs ({zone.pages} pages)"
            yield Finding(kind="leak", detail=f"zone {zone.name!r} keeps {pages} after everything was reclaimed")
            stay += zone.pages
    used = arena.statistics().used_pages
    if used > stay:
        yield Finding(kind="leak", detail=f"{used - stay} pages are in use that belong to no slab and no queue")


def _ring_pages(depth: int) -> int:
    places = 1 << max(0, depth - 1).bit_length()
    return -(-places * _PLACE_BYTES // _PAGE_BYTES)


def promises(evidence: Evidence) -> Iterator[Finding]:
    """What the scenario promised of itself, such as that every init had its fini. The promises of the dead are void."""
    if evidence.died:
        return
    for kept in evidence.promises:
        if (wrong := kept()) is not None:
            yield Finding(kind="leak", detail=wrong)


def leftovers(evidence: Evidence) -> Iterator[Finding]:
    """In /dev/shm is the scenario's arena, and no other object of its name."""
    for name in own_objects(evidence.name):
        if name != evidence.name:
            yield Finding(kind="leak", detail=f"the arena {name!r} is left in /dev/shm")


CHECKS: tuple[Callable[[Evidence], Iterator[Finding]], ...] = (
    clean_error,
    unraisables,
    core_locks,
    user_locks,
    drained,
    no_leak,
    exact_fails,
    invariants,
    pages_back,
    promises,
    leftovers,
)
"""All of them, in the order in which they are asked: those that change something come last."""


def judge(evidence: Evidence, more: dict[str, Companion] | None = None) -> tuple[Finding, ...]:
    """Ask every check, and the further oracles. A check that cannot be made is a finding, too."""
    found: list[Finding] = []
    for check in CHECKS:
        with _told(found, check.__name__):
            found.extend(check(evidence))
    for name, companion in (more or {}).items():
        if evidence.arena is not None:
            with _told(found, name):
                texts = companion.findings(evidence.arena)
                found.extend(Finding(kind=name, detail=text) for text in texts if not _meant(text, evidence))
    return tuple(found)


def _meant(text: str, evidence: Evidence) -> bool:
    return any(fnmatch.fnmatchcase(text, pattern) for pattern in evidence.scenario.meant)


@contextlib.contextmanager
def _told(found: list[Finding], what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever an oracle meets in a damaged arena is what it was to find
        found.append(
            Finding(kind="check", detail=f"{what} raised {type(error).__name__}: {error}", stack=_stack(error))
        )


# ---------------------------------------------------------------- after a death


def settled(arena: Arena) -> None:
    """Empty what outlives its users by design: queues, items in transit or kept, the marks of locks.

    Sockbufs have no list of their names: a scenario that uses one empties it in its ``settle``.
    """
    for row in arena.queue_statistics():
        queue = arena.queue(row.name)
        while len(queue):
            queue.get(timeout=0).free()
    for item in arena.who_items():
        if item.holding.state == "in transit" or (item.holding.state == "held" and item.holding.cpu is None):
            arena.adopt(item.handle).free()
    for lock in arena.lock_statistics():
        if lock.died:
            _repair(arena, lock.name)


def _repair(arena: Arena, name: str) -> None:
    from shmalloc.errors import OwnerDied

    lock = _native.lock_reopen(arena, name)
    acquire, release = {
        "rwlock": ("acquire_write", "release_write"),
        "sx": ("acquire_exclusive", "release_exclusive"),
    }.get(lock.kind, ("acquire", "release"))
    if not hasattr(lock, acquire):
        return
    with contextlib.suppress(OwnerDied):
        getattr(lock, acquire)(timeout=5)
    lock.repaired()
    getattr(lock, release)()


def _stack(error: BaseException) -> tuple[str, ...]:
    import traceback

    return tuple(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__))
