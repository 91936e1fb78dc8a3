"""Lock-order graphs for tests: a small builder of records, a bank with one of everything, and large ones by seed."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from witness.record import (
    VERSION,
    ContentionPoint,
    Edge,
    Frame,
    Graph,
    HeldLock,
    LockClassRecord,
    Misuse,
    Process,
    Reversal,
    Side,
    Sleep,
    Span,
    Wait,
)

BANK = "bank.py"


def side(function: str, line: int, *, pid: int = 100, tid: int = 0, file: str = BANK, **more: object) -> Side:
    """A side whose stack has two frames: the function, and `main` that called it."""
    stack = (Frame(file, line, function), Frame(file, 900 + line % 90, "main"))
    process = {100: "teller", 200: "auditor"}.get(pid, "worker")
    known: dict[str, object] = {"cpu": pid // 100, "instance": 0x1000 + line, **more}
    return Side(pid=pid, process=process, thread="MainThread", stack=stack, tid=tid or pid, **known)  # type: ignore[arg-type]


def edge(number: int, first: int, second: int, *, count: int = 1, pid: int = 100, **more: object) -> Edge:
    """An edge made by the main thread of one process, from a function that carries the edge's number."""
    pair = (side(f"hold_{first}", first, pid=pid), side(f"take_{second}_under_{first}", 10 * first + second, pid=pid))
    return Edge(number, first, second, count, pair, **{"threads": (f"{pid}/{pid}",), **more})  # type: ignore[arg-type]


def refusal(number: int, first: int, second: int, *, pid: int = 200, **more: object) -> Reversal:
    """A refused order, made by the main thread of one process; its older order is the test's business."""
    pair = (side(f"hold_{first}", first, pid=pid), side(f"reverse_{first}_{second}", 10 * first + second, pid=pid))
    known: dict[str, object] = {"cycle": (first, second), "threads": (f"{pid}/{pid}",), **more}
    return Reversal(number, first, second, attempted=pair, **known)  # type: ignore[arg-type]


def classes(names: Iterable[str], **more: object) -> tuple[LockClassRecord, ...]:
    """Mutex classes with ids from 1."""
    return tuple(
        LockClassRecord(one, name, "mutex", Frame(BANK, one, "open"), **more)  # type: ignore[arg-type]
        for one, name in enumerate(names, 1)
    )


def of_pairs(pairs: Mapping[tuple[int, int], int], number: int) -> Graph:
    """Classes c1 to c<number> and one edge for each pair, seen as often as the mapping says."""
    edges = (edge(at, *pair, count=count) for at, (pair, count) in enumerate(pairs.items(), 1))
    return Graph(VERSION, "pairs", classes=classes(f"c{one}" for one in range(1, number + 1)), edges=tuple(edges))


def bank() -> Graph:
    """Five classes, two processes, and one finding of every rule; `accounts` and `ledger` are reversed between them."""
    accounts, ledger, vault, audit, cache = classes(("accounts", "ledger", "vault", "audit", "cache"), acquires=12)
    accounts = replace(
        accounts,
        contended=3,
        wait=Span(1_000, 9_000, 15_000, 3),
        hold=Span(500, 40_000, 90_000, 12),
        points=(ContentionPoint(Frame(BANK, 12, "transfer"), 2), ContentionPoint(Frame(BANK, 21, "close_day"), 1)),
    )
    ledger = replace(ledger, kind="sx", contended=1, wait=Span(7_000, 7_000, 7_000, 1), hold=Span(100, 200, 1_800, 12))
    forward = (side("open_account", 11), side("transfer", 12))
    backward = (side("close_day", 21, pid=200), side("book_interest", 22, pid=200))
    edges = (
        Edge(1, 1, 2, 40, forward, threads=("100/100", "100/101")),
        edge(2, 2, 3, count=9),
        edge(3, 3, 4, count=4, pid=200),
        edge(4, 5, 4, count=3, gates=(3,)),
    )
    return Graph(
        VERSION,
        "bank.py",
        processes=(Process(100, "teller", 1_000), Process(200, "auditor", 2_000)),
        classes=(accounts, ledger, vault, audit, cache),
        edges=edges,
        reversals=(
            Reversal(1, 2, 1, (2, 1), backward, forward, time_ns=5, threads=("200/200",)),
            refusal(2, 4, 5, pid=200, gates=(3,), established=edge(9, 5, 4).established),
            refusal(3, 3, 3, kind="duplicate"),
            refusal(4, 5, 5, kind="recursion"),
            refusal(5, 3, 5, kind="sleepable after non-sleepable"),
        ),
        sleeps=(
            Sleep(
                1,
                "M_WAITOK",
                "frame",
                side("fetch", 31),
                (HeldLock(1, "accounts", site=Frame(BANK, 30, "fetch")),),
                "forced M_NOWAIT",
            ),
            Sleep(
                2, "time.sleep", None, side("nap", 33), (HeldLock(2, "ledger", "shared", Frame(BANK, 32, "nap"), 1),)
            ),
        ),
        misuses=(Misuse(1, "released without being held", 3, side("leave", 41), "by a thread that never took it"),),
    )


def deadlocked(graph: Graph) -> Graph:
    """The bank at the moment when its two processes wait for each other over `accounts` and `ledger`."""
    teller, auditor = side("transfer", 12), side("book_interest", 22, pid=200)
    waits = (Wait(teller, 2, "ledger#1", (auditor,)), Wait(auditor, 1, "accounts#7", (teller,)))
    return replace(graph, waits=waits)


def large(number: int = 1_000, edges: int = 20_000, reversals: int = 25, seed: int = 1) -> Graph:
    """A program with many classes: orders go from lower to higher numbers but for the reversals; ten processes."""
    chance = random.Random(seed)
    pairs: dict[tuple[int, int], int] = {}
    while len(pairs) < edges:
        first, second = sorted(chance.sample(range(1, number + 1), 2))
        pairs.setdefault((first, second), 1 + int(chance.paretovariate(0.8)))
    frames = [Frame(f"pkg{n % 40}/module{n % 40}.py", n + 1, f"function_{n}") for n in range(2_000)]

    def deep(pid: int, what: str) -> Side:
        taken = Frame("pkg0/locks.py", chance.randrange(1, 999), what)
        stack = (taken, *chance.sample(frames, 7))
        return Side(pid, f"worker-{pid}", "MainThread", stack=stack, tid=pid)

    made = []
    for at, ((first, second), count) in enumerate(pairs.items(), 1):
        pid = 100 + at % 10
        two = (deep(pid, "hold"), deep(pid, "take"))
        made.append(Edge(at, first, second, count, two, threads=(f"{pid}/{pid}",)))
    refused = []
    for at, (first, second) in enumerate(chance.sample(sorted(pairs), reversals), 1):
        two = (deep(150, "hold"), deep(150, "take"))
        refused.append(Reversal(at, second, first, (second, first), two, two, threads=("150/150",)))
    names = classes(f"subsystem{one % 37}.lock{one:04d}" for one in range(1, number + 1))
    processes = tuple(Process(pid, f"worker-{pid}") for pid in [*range(100, 110), 150])
    return Graph(VERSION, "large", processes, names, tuple(made), tuple(refused))
