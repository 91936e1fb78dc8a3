"""Running the table: an arena for each cell, halves here or each in another process, what was reported against what had
to be. Owns the processes of the self-test.
"""

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

from shmalloc import Arena
from witness.checker import arm
from witness.graph import read_graph
from witness.record import Graph
from witness.selftest.foreign import remove
from witness.selftest.locks import run_half
from witness.selftest.scenarios import SCENARIOS, Outcome, Scenario

__all__ = ["Cell", "run_cell", "run_table", "workers"]

_WORKERS = 2
Half = Callable[[int, Arena, str, str], None]


@dataclass(frozen=True, slots=True)
class Cell:
    """One field of the table: what was to be reported, and what was. processes: the halves ran in different ones."""

    scenario: str
    kind: str
    processes: bool
    expected: Outcome
    seen: tuple[str, ...]

    @property
    def right(self) -> bool:
        """Whether just the expected was reported."""
        return self.seen == (() if self.expected == "ok" else (self.expected,))


def run_cell(scenario: Scenario, kind: str, *, half: Half | None = None) -> Cell:
    """Run one cell in an arena of its own. half(number, arena, kind, steps): how one is run; None: here."""
    name = f"selftest-{os.getpid()}"
    with Arena.create(name, max_size="64M", unlink_on_last_close=True) as arena:
        arm(arena, output=None, classes=64, edges=256, stacks=256, frames=256, reports=64, threads=16, processes=16)
        for number, steps in enumerate(scenario.halves):
            if half is None:
                run_half(arena, kind, steps)
            else:
                half(number, arena, kind, steps)
        seen = tuple(sorted(_told(read_graph(arena))))
    if scenario.foreign(kind):
        remove(name)
    return Cell(scenario.name, kind, half is not None, scenario.expected[kind], seen)


def _told(graph: Graph) -> set[str]:
    return {
        *(reversal.kind for reversal in graph.reversals),
        *("sleep" for _ in graph.sleeps),
        *("misuse" for _ in graph.misuses),
    }


def _attached_half(name: str, kind: str, steps: str) -> int:
    """In a worker: attach, which arms, and run. Returns: its pid."""
    with Arena.attach(name) as arena:
        arm(arena).output = None  # attaching armed it already, with reports to stderr
        run_half(arena, kind, steps)
    return os.getpid()


def workers(stack: ExitStack) -> Half:
    """Start the processes of the self-test; returns what runs a half in another one than the half before."""
    context = multiprocessing.get_context("spawn")
    pools = [stack.enter_context(ProcessPoolExecutor(1, mp_context=context)) for _ in range(_WORKERS)]
    for pool in pools:
        pool.submit(os.getpid).result(timeout=60)  # they start now, not in the first cell

    def run(number: int, arena: Arena, kind: str, steps: str) -> None:
        pools[number % _WORKERS].submit(_attached_half, arena.name, kind, steps).result(timeout=60)

    return run


def run_table(scenarios: Iterable[Scenario] = SCENARIOS, *, processes: bool = True) -> Iterator[Cell]:
    """Run every scenario with every kind it has, then those of two and more halves once more in different processes."""
    with ExitStack() as stack:
        half = workers(stack) if processes else None
        for scenario in scenarios:
            for kind in scenario.expected:
                yield run_cell(scenario, kind)
                if half is not None and len(scenario.halves) > 1:
                    yield run_cell(scenario, kind, half=half)
