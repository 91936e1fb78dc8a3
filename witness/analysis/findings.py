"""The findings of a record: every reversal with its shortest cycle, cycles that no run saw whole, deadlocks, misuse.

Owns what counts as one finding, how bad it is, and the key by which it is known again in another run. Must not know of
baselines, suppressions or any way to print.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from msgspec import structs

from witness.analysis.cycles import worst_cycle
from witness.analysis.order import CanonicalOrder, canonical_order
from witness.analysis.ordergraph import Link, OrderGraph, order_graph, stable_name
from witness.analysis.waiting import Deadlock, deadlocks
from witness.record import Frame, Graph, HeldLock, Misuse, Reversal, Side, Sleep

__all__ = ["Analysis", "Finding", "Level", "Rule", "analyse"]

Level = Literal["happening", "happened", "possible", "unlikely"]
Rule = Literal[
    "deadlock",
    "lock-order-reversal",
    "sleepable-after-non-sleepable",
    "duplicate-lock",
    "recursion",
    "lock-order-cycle",
    "sleep-under-lock",
    "lock-misuse",
]

_LEVELS: tuple[Level, ...] = ("happening", "possible", "happened", "unlikely")
_RULES: dict[str, Rule] = {
    "reversal": "lock-order-reversal",
    "sleepable after non-sleepable": "sleepable-after-non-sleepable",
    "duplicate": "duplicate-lock",
    "recursion": "recursion",
}
_MOST_CYCLES = 200  # cycles seen by no run that are told; repairing one usually ends many


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to repair.

    `key` is the same in every run that finds it. `classes` are the classes concerned; `cycle` is the shortest closed
    path of orders, empty where orders are not the matter, and `links` its orders. `sides` are the places, the one to
    look at first in front. `why` explains the level; `count` is how often it was seen.
    """

    key: str
    rule: Rule
    level: Level
    title: str
    classes: tuple[int, ...]
    sides: tuple[Side, ...]
    why: str = ""
    cycle: tuple[int, ...] = ()
    links: tuple[Link, ...] = ()
    record: Reversal | Sleep | Misuse | None = None
    deadlock: Deadlock | None = None
    count: int = 1

    @property
    def site(self) -> Frame | None:
        """Where the offending acquisition stands; None when no stack was recorded."""
        return next((side.stack[0] for side in self.sides if side.stack), None)

    @property
    def processes(self) -> tuple[int, ...]:
        """The pids that took part, each once, in the order of the sides."""
        return tuple(dict.fromkeys(side.pid for side in self.sides))


@dataclass(frozen=True)
class Analysis:
    """A record and what follows from it. `left_out` counts cycles beyond the most that are told."""

    graph: Graph
    order: OrderGraph
    knots: tuple[tuple[int, ...], ...]
    canonical: CanonicalOrder
    findings: tuple[Finding, ...]
    left_out: int = 0


def analyse(graph: Graph) -> Analysis:
    """Work out everything that a record says.

    Returns: findings with the worst first; what is equally bad stands by title. Pairs declared to be right are no
    findings.
    """
    order = order_graph(graph)
    canonical = canonical_order(order)
    stuck = deadlocks(graph)
    found: dict[str, Finding] = {}
    for finding in (
        *(_of_reversal(order, reversal) for reversal in graph.reversals if not reversal.blessed),
        *_unseen_cycles(order, canonical),
        *_of_sleeps(order, graph.sleeps),
        *(_of_misuse(order, misuse) for misuse in graph.misuses),
    ):
        known = found.get(finding.key)
        found[finding.key] = replace(known, count=known.count + finding.count) if known else finding
    findings = _with_deadlocks(order, list(found.values()), stuck)
    cycles = [finding for finding in findings if finding.rule == "lock-order-cycle"]
    dropped = {finding.key for finding in cycles[_MOST_CYCLES:]}
    findings = [finding for finding in findings if finding.key not in dropped]
    findings.sort(key=lambda finding: (_LEVELS.index(finding.level), finding.title, finding.key))
    return Analysis(graph, order, order.knots(), canonical, tuple(findings), len(dropped))


def _key(rule: Rule, *parts: str) -> str:
    return "|".join((rule, *parts))


def _cycle_key(order: OrderGraph, rule: Rule, cycle: tuple[int, ...]) -> str:
    """Which of the orders came first is chance, so a cycle's key begins at the class that is first by name."""
    names = [stable_name(order.classes[one]) for one in cycle]
    start = min(range(len(names)), key=lambda at: names[at:] + names[:at])
    return _key(rule, *names[start:], *names[:start])


def _function(side: Side) -> str:
    return side.stack[0].function if side.stack else "?"


def _of_reversal(order: OrderGraph, reversal: Reversal) -> Finding:
    rule = _RULES[reversal.kind]
    first, second = order.names((reversal.first, reversal.second))
    held, wanted = reversal.attempted
    older = reversal.established or ()
    finding = Finding(
        key=_key(rule, *(stable_name(order.classes[one]) for one in (reversal.first, reversal.second))),
        rule=rule,
        level="happened",
        title=f'"{second}" was taken while "{first}" was held',
        classes=tuple(dict.fromkeys((reversal.first, reversal.second))),
        sides=(wanted, held, *reversed(older)),
        record=reversal,
        count=reversal.count,
    )
    if rule == "duplicate-lock":
        return replace(finding, title=f'two locks of the type "{second}" were held at once', level="possible")
    if rule == "recursion":
        return replace(finding, title=f'"{second}" was taken by a thread that holds it', key=finding.key)
    if reversal.first == reversal.second:
        return _inside_a_class(order, finding, reversal)
    cycle, judgement = worst_cycle(order, reversal.first, reversal.second)
    if rule == "sleepable-after-non-sleepable":
        return replace(finding, cycle=cycle, links=order.around(cycle), title=f"sleepable {finding.title}")
    cycle = cycle or reversal.cycle
    return replace(
        finding,
        key=_cycle_key(order, rule, cycle),
        level="possible" if judgement.feared else "unlikely",
        why=judgement.why,
        title=_round(order, cycle),
        classes=cycle,
        cycle=cycle,
        links=order.around(cycle),
    )


def _inside_a_class(order: OrderGraph, finding: Finding, reversal: Reversal) -> Finding:
    """Two locks of one class in both orders: the class has no order to itself in the graph."""
    alone = len(set(reversal.threads)) == 1
    [name] = order.names(finding.classes)
    return replace(
        finding,
        key=_cycle_key(order, finding.rule, finding.classes),
        level="unlikely" if alone else "possible",
        why=f"one thread only: {reversal.threads[0]} made every order of the cycle" if alone else "",
        title=f'locks of the type "{name}" were taken in contrary orders',
        cycle=finding.classes,
    )


def _round(order: OrderGraph, cycle: tuple[int, ...]) -> str:
    return " -> ".join(order.names((*cycle, *cycle[:1])))


def _unseen_cycles(order: OrderGraph, canonical: CanonicalOrder) -> Iterator[Finding]:
    """Cycles that no checker reported: of several records together, or of orders that were made while it was off."""
    adopted = order.adopted()
    for link in canonical.broken:
        if link.attempted:
            continue
        cycle, judgement = worst_cycle(adopted, link.first, link.second)
        links = order.around(cycle)
        yield Finding(
            key=_cycle_key(order, "lock-order-cycle", cycle),
            rule="lock-order-cycle",
            level="possible" if judgement.feared else "unlikely",
            title=_round(order, cycle),
            classes=cycle,
            sides=tuple(side for one in links for side in reversed(one.sides)),
            why=judgement.why or "no run made all of these orders against each other, but together they close a cycle",
            cycle=cycle,
            links=links,
        )


def _of_sleeps(order: OrderGraph, sleeps: Iterable[Sleep]) -> Iterator[Finding]:
    """One finding for a function that sleeps under the same locks, however often and whatever was done about it."""
    alike: dict[str, list[Sleep]] = {}
    for sleep in sleeps:
        names = order.names(_held(sleep))
        alike.setdefault(_key("sleep-under-lock", _sleeper(sleep), *sorted(names), _function(sleep.side)), []).append(
            sleep
        )
    for key, group in alike.items():
        actions = Counter[str]()
        for sleep in group:
            actions[sleep.action] += sleep.count
        # What the checker did something about says more than what it let be.
        shown = next((sleep for sleep in group if sleep.action != "reported"), group[0])
        held = _held(shown)
        locks = ", ".join(f'"{name}"' for name in order.names(held))
        yield Finding(
            key=key,
            rule="sleep-under-lock",
            level="happened",
            title=f"{_sleeper(shown)} may sleep while {locks} is held",
            classes=held,
            sides=(shown.side, *(_holding(shown.side, lock) for lock in shown.held)),
            why=shown.action
            if len(actions) == 1
            else ", ".join(f"{action} {count} times" for action, count in sorted(actions.items())),
            record=shown,
            count=actions.total(),
        )


def _sleeper(sleep: Sleep) -> str:
    return f'malloc(M_WAITOK) of "{sleep.zone}"' if sleep.zone is not None else sleep.what


def _held(sleep: Sleep) -> tuple[int, ...]:
    return tuple(dict.fromkeys(lock.class_id for lock in sleep.held))


def _holding(sleeper: Side, lock: HeldLock) -> Side:
    """Where the sleeper had taken a lock that it holds."""
    stack = lock.stack or ((lock.site,) if lock.site is not None else ())
    return structs.replace(sleeper, stack=stack, mode=lock.mode, lock=lock.name, instance=lock.instance)


def _of_misuse(order: OrderGraph, misuse: Misuse) -> Finding:
    record = order.classes[misuse.class_id]
    return Finding(
        key=_key("lock-misuse", misuse.what, stable_name(record), _function(misuse.side)),
        rule="lock-misuse",
        level="happened",
        title=f'"{record.name}": {misuse.what}',
        classes=(misuse.class_id,),
        sides=(misuse.side,),
        why=misuse.detail,
        record=misuse,
    )


def _with_deadlocks(order: OrderGraph, findings: list[Finding], stuck: tuple[Deadlock, ...]) -> list[Finding]:
    """Tell each deadlock once: on the reversal that foretold it, or as a finding of its own."""
    for deadlock in stuck:
        classes = set(deadlock.classes)
        why = f"the wait-for graph has a ring of {len(deadlock.waits)} threads now"
        for at, finding in enumerate(findings):
            if finding.cycle and set(finding.cycle) == classes:
                findings[at] = replace(finding, level="happening", why=why, deadlock=deadlock)
                break
        else:
            ring = tuple(dict.fromkeys(deadlock.classes))
            findings.append(
                Finding(
                    key=_cycle_key(order, "deadlock", ring),
                    rule="deadlock",
                    level="happening",
                    title=f"{_round(order, ring)}: {len(deadlock.waits)} threads wait for each other",
                    classes=ring,
                    sides=tuple(wait.side for wait in deadlock.waits),
                    why=why,
                    deadlock=deadlock,
                )
            )
    return findings
