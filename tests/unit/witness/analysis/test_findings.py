"""What counts as a finding, how bad it is, and by which key another run knows it again."""

import pytest
from msgspec.structs import replace

from lockgraphs import bank, classes, deadlocked, edge, of_pairs, refusal, side
from witness.analysis.findings import Finding, analyse
from witness.analysis.merge import merge
from witness.analysis.neighbourhood import neighbourhood
from witness.record import VERSION, Edge, Graph, Wait, from_json, to_json


def cycle_of(first: Edge, second: Edge, *, kinds: str = "mutex") -> Finding:
    """The one finding of a graph with two edges against each other and a third class, a gate perhaps."""
    three = tuple(replace(record, kind=kinds) for record in classes(("a", "b", "gate")))
    [finding] = analyse(Graph(VERSION, "p", classes=three, edges=(first, second))).findings
    return finding


def test_the_bank_has_one_finding_of_every_rule_but_deadlocks_and_unseen_cycles() -> None:
    found = {(finding.rule, finding.level) for finding in analyse(bank()).findings}
    assert found == {
        ("lock-order-reversal", "possible"),
        ("lock-order-reversal", "unlikely"),
        ("duplicate-lock", "possible"),
        ("recursion", "happened"),
        ("sleepable-after-non-sleepable", "happened"),
        ("sleep-under-lock", "happened"),
        ("lock-misuse", "happened"),
    }


def test_a_reversal_between_processes_names_both_and_its_cycle() -> None:
    analysis = analyse(bank())
    finding = next(one for one in analysis.findings if one.rule == "lock-order-reversal")
    assert analysis.order.names(finding.cycle) == ("ledger", "accounts")
    assert finding.processes == (200, 100)
    assert finding.site is not None
    assert (finding.site.function, finding.site.line) == ("book_interest", 22)


def test_a_cycle_under_a_common_lock_is_unlikely() -> None:
    finding = cycle_of(edge(1, 1, 2, gates=(3,)), edge(2, 2, 1, pid=200, gates=(3,)))
    assert (finding.level, finding.why) == (
        "unlikely",
        'gate-locked: "gate" was held around every order of the cycle',
    )


@pytest.mark.parametrize("gates", [((3,), ()), ((), (3,)), ((1,), (1,)), ((2,), (1,))])
def test_a_lock_that_is_not_around_all_of_it_is_no_gate(gates: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    finding = cycle_of(edge(1, 1, 2, gates=gates[0]), edge(2, 2, 1, pid=200, gates=gates[1]))
    assert finding.level == "possible"


def test_a_cycle_that_one_thread_made_is_unlikely() -> None:
    finding = cycle_of(edge(1, 1, 2), edge(2, 2, 1))
    assert (finding.level, finding.why) == ("unlikely", "one thread only: 100/100 made every order of the cycle")
    assert cycle_of(edge(1, 1, 2), edge(2, 2, 1, threads=("100/100", "100/101"))).level == "possible"
    assert cycle_of(edge(1, 1, 2, threads=()), edge(2, 2, 1)).level == "possible"


def test_a_cycle_of_readers_is_unlikely_until_one_of_them_is_strong() -> None:
    weak = {"strong": False}
    assert cycle_of(edge(1, 1, 2, **weak), edge(2, 2, 1, pid=200, **weak)).level == "unlikely"
    assert cycle_of(edge(1, 1, 2, **weak), edge(2, 2, 1, pid=200)).level == "possible"


def test_a_harmless_short_cycle_does_not_hide_a_longer_one_that_blocks() -> None:
    gated = {(1, 2), (2, 1)}
    pairs = [(1, 2), (2, 3), (3, 1), (2, 1)]
    edges = [edge(n, *p, pid=100 * n, gates=(4,) if p in gated else ()) for n, p in enumerate(pairs[:3], 1)]
    graph = Graph(
        VERSION,
        "p",
        classes=classes("abcg"),
        edges=(*edges, edge(4, 2, 1, pid=400, gates=(4,))),
        reversals=(refusal(1, 1, 2, pid=100, gates=(4,)),),
    )
    [finding] = [one for one in analyse(graph).findings if one.rule == "lock-order-reversal"]
    assert finding.cycle == (1, 2, 3)
    assert finding.level == "possible"


def test_a_ring_in_the_wait_for_graph_is_happening() -> None:
    finding = analyse(deadlocked(bank())).findings[0]
    assert (finding.level, finding.rule) == ("happening", "lock-order-reversal")
    assert finding.deadlock is not None
    assert [wait.side.pid for wait in finding.deadlock.waits] == [100, 200]


def test_a_deadlock_that_no_order_foretold_is_a_finding_of_its_own() -> None:
    graph = deadlocked(Graph(VERSION, "p", classes=bank().classes))
    [finding] = analyse(graph).findings
    assert (finding.rule, finding.level) == ("deadlock", "happening")


def waiting(kind: str, *holders: int) -> Graph:
    """Pid 1 waits for a lock that `holders` have; pid 2 waits for another one that pid 1 has."""
    first, second = (replace(record, kind=kind) for record in classes("ab"))
    waits = (
        Wait(side("f", 1, pid=1), 1, "a#1", tuple(side("h", 1, pid=pid) for pid in holders)),
        Wait(side("g", 2, pid=2), 2, "b#1", (side("h", 2, pid=1),)),
    )
    return Graph(VERSION, "p", classes=(first, second), waits=waits)


@pytest.mark.parametrize(
    ("kind", "holders", "stuck"),
    [
        ("rwlock", (2,), True),
        ("rwlock", (2, 3), True),  # a writer waits for every reader
        ("rwlock", (3,), False),
        ("semaphore", (2,), True),
        ("semaphore", (2, 3), False),  # one permit is enough
        ("mutex", (), False),  # nobody is known to hold it
        ("mutex", (1,), True),  # its own
    ],
)
def test_a_wait_is_a_deadlock_when_nobody_in_it_can_go_on(kind: str, holders: tuple[int, ...], stuck: bool) -> None:
    assert bool(analyse(waiting(kind, *holders)).findings) == stuck


def test_a_pair_declared_to_be_right_is_no_finding() -> None:
    graph = replace(of_pairs({(1, 2): 1}, 2), reversals=(refusal(1, 2, 1, blessed=True),))
    assert analyse(graph).findings == ()


def test_two_records_together_show_the_cycle_that_neither_has() -> None:
    there = replace(of_pairs({(1, 2): 1}, 2), program="one")
    back = of_pairs({(1, 2): 1}, 2)
    back = replace(back, program="two", classes=tuple(replace(r, id=3 - r.id) for r in back.classes))
    back = replace(back, edges=(edge(1, 1, 2, pid=200),))
    assert analyse(there).findings == analyse(back).findings == ()
    both = merge([there, back])
    assert from_json(to_json(both)) == both
    assert both.program == "one + two"
    [finding] = analyse(both).findings
    assert (finding.rule, finding.level) == ("lock-order-cycle", "possible")
    assert "together they close a cycle" in finding.why


def test_merging_a_record_with_itself_doubles_the_counts_and_adds_no_finding() -> None:
    once, twice = bank(), merge([bank(), bank()])
    assert [record.acquires for record in twice.classes] == [2 * record.acquires for record in once.classes]
    assert twice.classes[0].points[0].count == 4
    assert twice.classes[0].wait.total_ns == 30_000
    assert [one.count for one in twice.edges] == [2 * one.count for one in once.edges]
    assert twice.edges[3].gates == (3,)
    assert {one.key for one in analyse(twice).findings} == {one.key for one in analyse(once).findings}
    with pytest.raises(ValueError, match="name at least one"):
        merge([])


def test_the_same_cycle_has_the_same_key_whichever_order_came_first_and_on_any_line() -> None:
    one = replace(of_pairs({(1, 2): 1}, 2), reversals=(refusal(1, 2, 1, pid=300),))
    other = replace(of_pairs({(2, 1): 1}, 2), reversals=(refusal(1, 1, 2, pid=300),))
    [first], [second] = analyse(one).findings, analyse(other).findings
    assert first.key == second.key == "lock-order-reversal|c1|c2"


def test_a_finding_seen_again_is_counted_not_repeated() -> None:
    graph = replace(of_pairs({(1, 2): 1}, 2), reversals=(refusal(1, 2, 1, count=2), refusal(2, 2, 1)))
    [finding] = analyse(graph).findings
    assert finding.count == 3


def test_the_neighbourhood_of_findings_has_their_classes_and_no_more_than_asked() -> None:
    graph = replace(of_pairs({(one, one + 1): one for one in range(1, 30)}, 30), reversals=(refusal(1, 20, 10),))
    analysis = analyse(graph)
    near = neighbourhood(analysis, most=14)
    assert len(near) == 14
    assert {10, 20} <= set(near)
    assert set(neighbourhood(analysis, most=3, around=[5])) == {4, 5, 6}
    assert len(neighbourhood(analysis, most=100)) == 30


def test_a_gate_of_one_record_only_is_none_of_both() -> None:
    gated = Graph(VERSION, "p", classes=classes("abg"), edges=(edge(1, 1, 2, gates=(3,)), edge(2, 2, 1, gates=(3,))))
    free = replace(gated, edges=(edge(1, 1, 2, pid=200), edge(2, 2, 1, pid=200)))
    assert [one.level for one in analyse(gated).findings] == ["unlikely"]
    assert [one.level for one in analyse(merge([gated, free])).findings] == ["possible"]


def test_a_cycle_of_orders_seen_is_not_told_by_way_of_a_refused_one() -> None:
    graph = of_pairs({(1, 2): 1, (2, 3): 5, (3, 1): 5}, 3)
    found = analyse(replace(graph, reversals=(refusal(1, 2, 1),))).findings
    assert {one.rule: set(one.cycle) for one in found} == {
        "lock-order-reversal": {1, 2},
        "lock-order-cycle": {1, 2, 3},
    }
