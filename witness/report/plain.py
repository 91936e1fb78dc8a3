"""A verdict as plain JSON values, for programs: classes, edges, reversals with cycle, stacks and processes, sleeps.

Owns the form of `--json`. Classes are named in it, so that it can be read without the record.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from witness.analysis.findings import Finding
from witness.record import Misuse, Reversal, Side, Sleep
from witness.report.verdict import Verdict

__all__ = ["as_plain"]

REPORT_VERSION = 1
_ORDER_RULES = (
    "lock-order-reversal",
    "sleepable-after-non-sleepable",
    "duplicate-lock",
    "recursion",
    "lock-order-cycle",
)


def as_plain(verdict: Verdict) -> dict[str, object]:
    """The whole report as values that JSON has.

    Returns: an object; `reversals` and `sleeps` carry `state` (new, known, suppressed) and `level`; `stacks` are the
    sides with their frames, the innermost first, the offending side first.
    """
    analysis = verdict.analysis
    graph, order = analysis.graph, analysis.order

    def told(rules: Iterable[str]) -> list[dict[str, object]]:
        return [_finding(finding, verdict) for rule in rules for finding in analysis.findings if finding.rule == rule]

    return {
        "version": REPORT_VERSION,
        "program": graph.program,
        "off_reason": graph.off_reason,
        "processes": msgspec.to_builtins(graph.processes),
        "classes": msgspec.to_builtins(graph.classes),
        "edges": [
            {
                "first": order.classes[edge.first].name,
                "second": order.classes[edge.second].name,
                "count": edge.count,
                "gates": order.names(edge.gates),
                "threads": edge.threads,
                "stacks": [_side(side) for side in edge.established],
            }
            for edge in graph.edges
        ],
        "reversals": told(_ORDER_RULES),
        "deadlocks": [_finding(f, verdict) for f in analysis.findings if f.deadlock is not None],
        "sleeps": told(("sleep-under-lock",)),
        "misuses": told(("lock-misuse",)),
        "knots": [order.names(knot) for knot in analysis.knots],
        "order": {
            "classes": order.names(analysis.canonical.classes),
            "broken": [order.names((link.first, link.second)) for link in analysis.canonical.broken],
        },
        "gone": [{"key": known.key, "title": known.title} for known in verdict.gone],
        "suppressions": {
            "expired": [{"line": rule.line, "reason": rule.reason} for rule in verdict.expired],
            "unused": [{"line": rule.line, "reason": rule.reason} for rule in verdict.unused],
        },
        "cycles_left_out": analysis.left_out,
    }


def _finding(finding: Finding, verdict: Verdict) -> dict[str, object]:
    order = verdict.analysis.order
    record = finding.record
    value: dict[str, object] = {
        "key": finding.key,
        "rule": finding.rule,
        "level": finding.level,
        "state": verdict.state(finding),
        "title": finding.title,
        "why": finding.why,
        "count": finding.count,
        "processes": list(finding.processes),
        "stacks": [_side(side) for side in finding.sides],
    }
    if isinstance(record, Reversal):
        value |= {"first": order.classes[record.first].name, "second": order.classes[record.second].name}
    elif finding.links:
        value |= dict(
            zip(("first", "second"), order.names((finding.links[0].first, finding.links[0].second)), strict=True)
        )
    if finding.cycle or isinstance(record, Reversal):
        value["cycle"] = list(order.names(finding.cycle))
    if isinstance(record, Sleep):
        value |= {
            "what": record.what,
            "zone": record.zone,
            "action": record.action,
            "held": msgspec.to_builtins(record.held),
        }
    if isinstance(record, Misuse):
        value |= {"class": order.classes[record.class_id].name, "what": record.what, "detail": record.detail}
    if finding.deadlock is not None:
        value["waits"] = [
            {
                "class": order.classes[wait.class_id].name,
                "instance": wait.instance,
                "waiter": _side(wait.side),
                "holders": [_side(holder) for holder in wait.holders],
            }
            for wait in finding.deadlock.waits
        ]
    return value


def _side(side: Side) -> dict[str, object]:
    value: dict[str, object] = msgspec.to_builtins(side)
    return value
