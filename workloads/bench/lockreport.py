"""A lock-order report of a large program: 1,000 lock classes, 20,000 orders, some of them against the rest.

Owns the made-up program and the two figures. The program's orders go through a witness block of this process, so that
the record is what a run would have left; making it is not timed.
"""

from __future__ import annotations

import mmap
import random
import time
from concurrent.futures import ThreadPoolExecutor

import msgspec

from witness import _witness
from witness.analysis import analyse
from witness.graph import graph_of_block
from witness.record import Graph, from_json, to_json
from witness.report.page import lock_order_page
from witness.report.plain import as_plain
from witness.report.text import finding_lines, order_lines
from witness.report.verdict import Verdict
from workloads.bench.catalogue import wanted
from workloads.bench.round import Progress, Tableau
from workloads.bench.targets import REPORTED

CASE = "witness.report"
READING = "shmalloc, the record out of a block"
CLASSES, ORDERS = 1000, 20_000
BLOCK_BYTES = 32 << 20
TURNS_MOST = 3


def large_block(classes: int = CLASSES, orders: int = ORDERS, *, seed: int = 1) -> memoryview:
    """A block that saw so many orders of so many classes, by two threads of this process, every 500th the other way."""
    memory = mmap.mmap(-1, BLOCK_BYTES)
    watch = _witness.Watch.of_memory(memory, b"bench:none", (0,) * 7, lambda _: False, lambda _: None)
    ids = [watch.class_get(f"class {number}", "mutex") for number in range(classes)]
    draw = random.Random(seed)
    pairs: dict[tuple[int, int], None] = {}
    while len(pairs) < min(orders, classes * (classes - 1) // 2):
        first, second = sorted(draw.sample(range(classes), 2))
        pairs[first, second] = None

    def take(pair: tuple[int, int]) -> None:
        for number in pair:
            watch.acquired(ids[number], number)
        for number in reversed(pair):
            watch.released(ids[number], number)

    with ThreadPoolExecutor(1) as other:
        for place, (first, second) in enumerate(pairs):
            pair = (second, first) if place % 500 == 499 else (first, second)
            if place % 7:
                take(pair)
            else:
                other.submit(take, pair).result()
    watch.detached()
    return memoryview(memory)


def report_of(record: bytes) -> tuple[int, int, int]:
    """From a graph record to text, JSON and page. Returns: the characters of each."""
    analysis = analyse(from_json(record))
    verdict = Verdict(analysis, analysis.findings, (), (), (), (), ())
    told = [line for finding in verdict.new for line in finding_lines(finding, analysis.order)]
    text = "\n".join((*told, *order_lines(analysis)))
    plain = msgspec.json.format(msgspec.json.encode(as_plain(verdict)), indent=2)
    return len(text), len(plain), len(lock_order_page(verdict))


def measure_lock_report(tableau: Tableau, *, only: str | None, repeat: int, progress: Progress) -> None:
    """Reads the block and reports on it, at most TURNS_MOST times."""
    if not wanted(only, CASE):
        return
    block = large_block()
    turns = min(repeat, TURNS_MOST)
    for turn in range(turns):
        start = time.perf_counter()
        graph: Graph = graph_of_block(block, program="bench")
        read = time.perf_counter()
        record = to_json(graph)
        begin = time.perf_counter()
        sizes = report_of(record)
        end = time.perf_counter()
        note = f"{len(graph.classes):,} classes, {len(graph.edges):,} orders, {len(graph.reversals)} reversals"
        tableau.add(CASE, REPORTED, (end - begin) * 1e6, note=f"{note}; a page of {sizes[2] / 1e6:.1f} MB")
        tableau.add(CASE, READING, (read - start) * 1e6)
        progress(f"lock report, run {turn + 1} of {turns}")
