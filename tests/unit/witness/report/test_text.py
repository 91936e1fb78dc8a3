"""Findings as text have WITNESS's lines, word for word; what is added stands after them."""

import re

import pytest
from msgspec.structs import replace

from lockgraphs import bank, classes, deadlocked, edge, of_pairs, refusal
from witness.analysis.findings import analyse
from witness.record import VERSION, Frame, Graph
from witness.report.text import finding_lines, order_lines


def told(graph: Graph, rule: str, level: str | None = None) -> list[str]:
    """The lines of the first finding of a rule."""
    analysis = analyse(graph)
    finding = next(one for one in analysis.findings if one.rule == rule and level in (None, one.level))
    return list(finding_lines(finding, analysis.order))


def test_a_reversal_reads_as_witness_writes_it() -> None:
    assert told(bank(), "lock-order-reversal") == [
        "lock order reversal:",
        " 1st 0x1015 ledger (ledger, sx) @ bank.py:21",
        " 2nd 0x1016 accounts (accounts, sleep mutex) @ bank.py:22",
        "lock order accounts -> ledger established at:",
        "#0 transfer at bank.py:12",
        "#1 main at bank.py:912",
        "by teller (pid 100, thread MainThread, tid 100, cpu 1)",
        "lock order ledger -> accounts attempted at:",
        "#0 book_interest at bank.py:22",
        "#1 main at bank.py:922",
        "by auditor (pid 200, thread MainThread, tid 200, cpu 2)",
        "shortest cycle: ledger -> accounts -> ledger",
        "possible",
    ]


@pytest.mark.parametrize(
    ("rule", "first_lines"),
    [
        (
            "duplicate-lock",
            ['acquiring duplicate lock of same type: "vault"', " 1st vault @ bank.py:3", " 2nd vault @ bank.py:33"],
        ),
        (
            "recursion",
            ["recursed on non-recursive lock (sleep mutex) cache @ bank.py:55", "first acquired @ bank.py:5"],
        ),
        (
            "sleepable-after-non-sleepable",
            [
                "lock order reversal: (sleepable after non-sleepable)",
                " 1st 0x1003 vault (vault, sleep mutex) @ bank.py:3",
            ],
        ),
        (
            "sleep-under-lock",
            [
                'malloc(M_WAITOK) of "frame", forcing M_NOWAIT with the following non-sleepable locks held:',
                "exclusive sleep mutex accounts (accounts) r = 0 (0x0) locked @ bank.py:30",
                "stack backtrace:",
                "#0 fetch at bank.py:31",
            ],
        ),
        ("lock-misuse", ["released without being held: vault (vault, sleep mutex) @ bank.py:41"]),
    ],
)
def test_the_other_findings_begin_as_witness_begins_them(rule: str, first_lines: list[str]) -> None:
    assert told(bank(), rule)[: len(first_lines)] == first_lines


def test_a_longer_cycle_is_told_with_every_stack() -> None:
    graph = replace(of_pairs({(1, 2): 1, (2, 3): 1}, 3), reversals=(refusal(1, 3, 1),))
    lines = told(graph, "lock-order-reversal")
    assert "shortest cycle: c3 -> c1 -> c2 -> c3" in lines
    assert lines.count("lock order c1 -> c2 established at:") == 1
    assert lines.count("lock order c2 -> c3 established at:") == 1
    assert "#0 take_3_under_2 at bank.py:23" in lines


def test_an_unlikely_cycle_says_why() -> None:
    last = told(bank(), "lock-order-reversal", "unlikely")[-1]
    assert last == 'unlikely: gate-locked: "vault" was held around every order of the cycle'


def test_a_deadlock_says_who_waits_for_whom() -> None:
    lines = told(deadlocked(bank()), "lock-order-reversal", "happening")
    start = lines.index("DEADLOCK:")
    assert re.fullmatch(
        r"teller \(pid 100,.*\) waits for ledger#1 \(ledger\), held by auditor \(pid 200,.*\), at:", lines[start + 1]
    )
    assert lines[start + 2] == "#0 transfer at bank.py:12"


def test_a_cycle_of_two_records_tells_all_orders() -> None:
    graph = Graph(VERSION, "p", classes=classes("ab"), edges=(edge(1, 1, 2), edge(2, 2, 1, pid=200)))
    lines = told(graph, "lock-order-cycle")
    assert {"lock order a -> b established at:", "lock order b -> a established at:"} <= set(lines)


def test_the_order_to_paste_is_a_python_tuple_with_the_broken_orders_named() -> None:
    text = "\n".join(order_lines(analyse(bank())))
    found: dict[str, tuple[str, ...]] = {}
    exec(text, found)
    assert found["LOCK_ORDER"] == ("accounts", "ledger", "vault", "cache", "audit")
    assert "#   ledger -> accounts @ bank.py:22 (refused, 1 time), against accounts -> ledger" in text


def test_names_with_quotes_and_newlines_stay_inside_their_strings() -> None:
    names = ('a"b', "c'd", "e\nf")
    odd = tuple(replace(r, name=n, site=Frame("x.py", 1, "f")) for r, n in zip(classes("abc"), names, strict=True))
    found: dict[str, tuple[str, ...]] = {}
    exec("\n".join(order_lines(analyse(Graph(VERSION, "p", classes=odd)))), found)
    assert sorted(found["LOCK_ORDER"]) == sorted(names)
