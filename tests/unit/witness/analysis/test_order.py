"""Against random graphs: shortest cycles, knots and the canonical order are what they claim to be."""

from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from lockgraphs import bank, of_pairs, refusal
from witness.analysis.order import canonical_order
from witness.analysis.ordergraph import OrderGraph, order_graph, stable_name
from witness.record import Frame, LockClassRecord

CLASSES = 8
ends = st.integers(1, CLASSES)
graphs = st.dictionaries(
    st.tuples(ends, ends).filter(lambda pair: pair[0] != pair[1]), st.integers(1, 50), max_size=30
).map(lambda pairs: order_graph(of_pairs(pairs, CLASSES)))


def steps_back(order: OrderGraph, first: int, second: int) -> int | None:
    """The fewest links from second back to first, by a breadth-first search of our own; None without a way."""
    seen, todo = {second: 0}, deque([second])
    while todo:
        here = todo.popleft()
        if here == first:
            return seen[here]
        for pair in order.links:
            if pair[0] == here and pair[1] not in seen:
                seen[pair[1]] = seen[here] + 1
                todo.append(pair[1])
    return None


@given(graphs)
def test_a_shortest_cycle_is_a_cycle_and_no_shorter_one_exists(order: OrderGraph) -> None:
    for first, second in order.links:
        cycle = order.shortest_cycle(first, second)
        back = steps_back(order, first, second)
        assert bool(cycle) == (back is not None)
        if cycle:
            assert cycle[:2] == (first, second)
            assert len(set(cycle)) == len(cycle) == 1 + back
            assert len(order.around(cycle)) == len(cycle)


@given(graphs)
def test_the_canonical_order_agrees_with_every_link_but_the_broken_ones(order: OrderGraph) -> None:
    found = canonical_order(order)
    assert sorted(found.classes) == sorted(order.classes)
    place = {one: at for at, one in enumerate(found.classes)}
    broken = {(link.first, link.second) for link in found.broken}
    assert all(place[first] < place[second] for first, second in order.links.keys() - broken)


@given(graphs)
def test_no_broken_link_could_have_stayed(order: OrderGraph) -> None:
    broken = {(link.first, link.second) for link in canonical_order(order).broken}
    kept = OrderGraph(
        order.classes, {pair: link for pair, link in order.links.items() if pair not in broken}, order.digraph
    )
    for first, second in broken:
        assert steps_back(kept, first, second) is not None


@given(graphs)
def test_two_classes_are_in_one_knot_when_each_leads_to_the_other(order: OrderGraph) -> None:
    knot = {one: number for number, group in enumerate(order.knots()) for one in group}
    for first in order.classes:
        for second in order.classes:
            if first != second:
                both = steps_back(order, first, second) is not None and steps_back(order, second, first) is not None
                assert both == (first in knot and knot.get(first) == knot.get(second))


@given(st.permutations(range(1, 6)))
@settings(max_examples=20)
def test_free_classes_stand_by_name_whatever_the_order_of_the_record(numbers: list[int]) -> None:
    graph = of_pairs({(3, 1): 1}, 5)
    by_id = {record.id: record for record in graph.classes}
    shuffled = replace(graph, classes=tuple(by_id[number] for number in numbers))
    assert canonical_order(order_graph(shuffled)).classes == (2, 3, 1, 4, 5)


def test_the_refused_order_is_broken_before_the_one_seen_less() -> None:
    graph = of_pairs({(1, 2): 1}, 2)
    refused = replace(graph, reversals=(refusal(1, 2, 1, count=99),))
    [link] = canonical_order(order_graph(refused)).broken
    assert (link.first, link.second, link.attempted) == (2, 1, True)


def test_of_two_orders_seen_the_one_seen_less_is_broken() -> None:
    [link] = canonical_order(order_graph(of_pairs({(1, 2): 3, (2, 1): 7}, 2))).broken
    assert (link.first, link.second) == (1, 2)


def test_a_pair_declared_to_be_right_is_no_link() -> None:
    graph = of_pairs({(1, 2): 1}, 2)
    blessed = order_graph(replace(graph, reversals=(refusal(1, 2, 1, blessed=True),)))
    assert set(blessed.links) == {(1, 2)}


def test_a_refused_order_that_is_also_an_edge_is_known_as_refused() -> None:
    graph = replace(of_pairs({(1, 2): 1, (2, 1): 5}, 2), reversals=(refusal(1, 2, 1),))
    links = order_graph(graph).links
    assert [(links[pair].attempted, links[pair].count) for pair in ((1, 2), (2, 1))] == [(False, 1), (True, 5)]


def test_the_order_of_the_bank_is_the_one_its_design_has() -> None:
    order = order_graph(bank())
    assert order.names(canonical_order(order).classes) == ("accounts", "ledger", "vault", "cache", "audit")


def test_a_name_made_of_a_place_survives_another_line() -> None:
    record = LockClassRecord(1, "bank.py:12", "mutex", Frame("bank.py", 12, "open"))
    assert stable_name(record) == "bank.py:open"
    assert stable_name(replace(record, name="pkg/bank.py:12 RLock")) == "pkg/bank.py:open RLock"
    assert stable_name(replace(record, name="bank.py:121")) == "bank.py:121"
    assert stable_name(replace(record, name="ledger")) == "ledger"
