"""The worst cycle through an order is found without looking at every cycle: held against looking at every one."""

from __future__ import annotations

import random

import pytest

from witness.analysis.cycles import judge, worst_cycle
from witness.analysis.ordergraph import OrderGraph, order_graph
from witness.record import VERSION, Edge, Graph, LockClassRecord, Side

SIDE = Side(pid=1, process="p", thread="t")


def graph_of(edges: list[Edge], classes: int) -> OrderGraph:
    records = tuple(LockClassRecord(id=one, name=f"class {one}", kind="mutex") for one in range(classes))
    return order_graph(Graph(version=VERSION, program="test", classes=records, edges=tuple(edges)))


def edge(number: int, first: int, second: int, **more: object) -> Edge:
    facts: dict[str, object] = {"threads": ("1/1",), **more}
    return Edge(number, first, second, 1, (SIDE, SIDE), **facts)  # type: ignore[arg-type]


def random_graph(seed: int) -> OrderGraph:
    draw = random.Random(seed)
    classes = draw.randint(3, 7)
    pairs = [(a, b) for a in range(classes) for b in range(classes) if a != b and draw.random() < 0.4]
    return graph_of(
        [
            edge(
                number,
                *pair,
                threads=draw.choice((("1/1",), ("1/1",), ("1/1",), ("1/1", "1/2"), ("1/2",))),
                gates=tuple(sorted(draw.sample(range(classes), draw.choice((0, 1, 1, 2))))),
                strong=draw.random() < 0.4,
            )
            for number, pair in enumerate(pairs, 1)
        ],
        classes,
    )


@pytest.mark.parametrize("seed", range(150))
def test_worst_cycle_is_what_looking_at_every_cycle_finds(seed: int) -> None:
    order = random_graph(seed)
    for first, second in order.links:
        every = list(order.cycles_through(first, second))
        feared = [cycle for cycle in every if judge(order, cycle).feared]
        cycle, judgement = worst_cycle(order, first, second)
        if not every:
            assert cycle == ()
            continue
        assert cycle in every
        assert judgement.feared == bool(feared)
        assert judgement == judge(order, cycle)
        assert len(cycle) == len(min(feared or every, key=len))


def test_the_one_thread_of_a_large_knot_is_seen_without_a_search() -> None:
    size = 60
    edges = [edge(a * size + b + 1, a, b) for a in range(size) for b in range(size) if a != b]
    order = graph_of(edges, size)
    cycle, judgement = worst_cycle(order, 0, 1)
    assert (cycle, judgement.feared) == ((0, 1), False)
    assert "one thread only" in judgement.why
    assert order.excused(0, 1)


def test_one_order_of_another_thread_far_away_makes_a_long_cycle_feared() -> None:
    # 0 -> 1 -> 0 is one thread's; 0 -> 1 -> 2 -> 3 -> 0 has an order of another.
    order = graph_of(
        [
            edge(1, 0, 1),
            edge(2, 1, 0),
            edge(3, 1, 2),
            edge(4, 2, 3, threads=("1/2",)),
            edge(5, 3, 0),
        ],
        4,
    )
    assert not order.excused(0, 1)
    assert worst_cycle(order, 0, 1)[0] == (0, 1, 2, 3)
    assert worst_cycle(order, 0, 1)[1].feared
