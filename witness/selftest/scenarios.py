"""The table: what is taken in which order, and what has to be said of it. Data only; it runs nothing.

A scenario has halves that are run one after the other, each by itself: in one process, or each in another process than
the one before. A half is a text of steps: `A` takes lock A, `a` gives it back. In scenarios about readers `rA` takes it
shared and `wA` alone; what a half still holds at its end is given back, the last taken first.
Source: Linux lib/locking-selftest.c, FreeBSD subr_witness.c.
"""

from dataclasses import dataclass, field
from typing import Literal

__all__ = ["ALONE", "FAIR", "FOREIGN", "KINDS", "READERS", "SCENARIOS", "SHARED", "Outcome", "Scenario"]

Outcome = Literal["ok", "reversal", "duplicate", "recursion", "sleepable after non-sleepable", "sleep", "misuse"]
"""What is to be reported: nothing, a kind of reversal, sleeping with a lock held, misuse."""

ALONE = ("mutex", "recursive mutex", "rwlock write", "sx exclusive", "semaphore", "spin", "fair write")
SHARED = ("rwlock read", "sx shared")
FAIR = ("fair read",)
KINDS = ALONE + SHARED + FAIR
"""The first of `kind mode` is the lock, the second how plain steps take it. Of spin and fair locks the arena has none:
they are reported by hand, as foreign locks are."""
FOREIGN = ("multiprocessing", "posix_ipc", "flock", "asyncio")
"""Locks of the interpreter and of the system, through what stands for them in watched programs."""
READERS = ("rwlock", "sx", "fair")
"""Kinds for scenarios whose steps say how they take a lock."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row: halves, and the outcome by kind. A kind that is not in `expected` has no such case."""

    name: str
    halves: tuple[str, ...]
    expected: dict[str, Outcome] = field(default_factory=dict)

    def foreign(self, kind: str) -> bool:
        """Whether a lock of this field is one of the interpreter or the system."""
        return kind in FOREIGN or any(letter in half for half in self.halves for letter in "TF")


def _all(outcome: Outcome, *, shared: Outcome = "ok") -> dict[str, Outcome]:
    """Readers that never wait for readers close no cycle; all the others do."""
    return {kind: shared if kind in SHARED else outcome for kind in (*KINDS, *FOREIGN)}


def _readers(recursive: Outcome, fair: Outcome) -> dict[str, Outcome]:
    return {"rwlock": recursive, "sx": recursive, "fair": fair}


def _cycle(name: str, *halves: str) -> Scenario:
    return Scenario(name, halves, _all("reversal"))


SCENARIOS: tuple[Scenario, ...] = (
    Scenario("AB AB", ("AB", "AB"), _all("ok")),
    # flock through one descriptor turns the lock that it has into what is asked for.
    Scenario("AA", ("AA",), {**_all("recursion"), "recursive mutex": "ok", "flock": "ok"}),
    Scenario("AA', one class", ("AA'",), {"spin": "duplicate", "fair write": "duplicate", "fair read": "duplicate"}),
    Scenario("AA' A'A, one class", ("AA'", "A'A"), {"multiprocessing": "reversal"}),
    _cycle("ABBA", "AB", "BA"),
    _cycle("ABBCCA", "AB", "BC", "CA"),
    _cycle("ABCABC", "AB", "CA", "BC"),
    _cycle("ABBCCDDA", "AB", "BC", "CD", "DA"),
    _cycle("ABCDBDDA", "AB", "CD", "BD", "DA"),
    _cycle("ABCDBCDA", "AB", "CD", "BC", "DA"),
    Scenario("ABBA, not nested", ("Aa", "BbAa"), _all("ok")),
    Scenario("ABBA, tried", ("AB", "B?A"), {k: v for k, v in _all("ok").items() if k != "asyncio"}),  # it has no try
    # A semaphore may be given by anybody, and a file lock that is not there may be given back.
    Scenario("double unlock", ("Aaa",), {**_all("misuse", shared="misuse"), "posix_ipc": "ok", "flock": "ok"}),
    Scenario(
        "initialising a held lock",
        ("A!A",),
        dict.fromkeys(("spin", "fair write", "fair read", "multiprocessing", "asyncio"), "misuse"),
    ),
    Scenario("read, read of one", ("rArA",), _readers("ok", "recursion")),
    Scenario("read, write of one", ("rAwA",), _readers("recursion", "recursion")),
    Scenario("write, read of one", ("wArA",), _readers("recursion", "recursion")),
    Scenario("R1R2_R2R1", ("rArB", "rBrA"), _readers("ok", "reversal")),
    Scenario("W1R2_W2R1", ("wArB", "wBrA"), _readers("reversal", "reversal")),
    Scenario("R1W2_R2W1", ("rAwB", "rBwA"), _readers("reversal", "reversal")),
    Scenario("W1R2_W2R3_W3R1", ("wArB", "wBrC", "wCrA"), _readers("reversal", "reversal")),
    Scenario("W1W2_R2R3_W3R1", ("wAwB", "rBrC", "wCrA"), _readers("reversal", "reversal")),
    Scenario("W1W2_R2R3_R3W1", ("wAwB", "rBrC", "rCwA"), _readers("ok", "reversal")),
    Scenario("W1R2_R2R3_W3W1", ("wArB", "rBrC", "wCwA"), _readers("ok", "reversal")),
    Scenario("subclasses, nested", ("AA1", "AA1"), {"spin": "ok", "fair write": "ok", "fair read": "ok"}),
    Scenario("subclasses, both ways", ("AA1", "A1A"), {"spin": "reversal", "fair write": "reversal"}),
    Scenario(
        "sx under it",
        ("AS",),
        {
            "mutex": "sleepable after non-sleepable",
            "rwlock write": "sleepable after non-sleepable",
            "rwlock read": "sleepable after non-sleepable",
            "sx exclusive": "ok",
            "semaphore": "ok",
        },
    ),
    Scenario("it under sx", ("SA",), dict.fromkeys(("mutex", "rwlock write", "rwlock read", "sx exclusive"), "ok")),
    Scenario("asyncio under it", ("AT",), {"mutex": "sleepable after non-sleepable", "sx exclusive": "ok"}),
    Scenario(
        "flock under it", ("AF",), dict.fromkeys(("mutex", "rwlock write", "sx exclusive", "multiprocessing"), "ok")
    ),
    Scenario("mutex under it", ("AM",), {"spin": "misuse", "mutex": "ok", "rwlock write": "ok", "sx exclusive": "ok"}),
    Scenario(
        "M_WAITOK under it",
        ("A~",),
        {
            "mutex": "sleep",
            "recursive mutex": "sleep",
            "rwlock write": "sleep",
            "rwlock read": "sleep",
            "spin": "sleep",
            "sx exclusive": "ok",
            "sx shared": "ok",
            "semaphore": "ok",
            "multiprocessing": "sleep",
            "flock": "ok",
        },
    ),
)
