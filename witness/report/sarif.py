"""A verdict as SARIF 2.1.0, for code hosts and editors: one result a finding, where the offending lock is acquired.

Owns the mapping. Other places of a finding are related locations; each side's stack is a SARIF stack. The fingerprint
is the finding's key. Source: OASIS, Static Analysis Results Interchange Format (SARIF) Version 2.1.0.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

from shmalloc.report.sarif import sarif_log, source_place
from witness.analysis.findings import Finding, Level, Rule
from witness.record import Frame, Side
from witness.report.verdict import Verdict
from witness.report.words import at, who

__all__ = ["as_sarif"]

_LEVELS: dict[Level, str] = {"happening": "error", "happened": "error", "possible": "error", "unlikely": "note"}
_TEXTS: dict[Rule, str] = {
    "deadlock": "Threads wait for each other and none can go on.",
    "lock-order-reversal": "Two locks are taken in both orders; two threads doing so at once block for ever.",
    "sleepable-after-non-sleepable": "A lock whose holder may sleep is taken under one whose holder must not.",
    "duplicate-lock": "Two locks of one type are held at once, and nothing says in which order.",
    "recursion": "A lock that is not recursive is taken again by its holder.",
    "lock-order-cycle": "Lock orders that were seen apart close a cycle together.",
    "sleep-under-lock": "Something that may sleep is called while a lock is held that forbids it.",
    "lock-misuse": "A lock is used against its rules.",
}
_Object = dict[str, Any]


def as_sarif(verdict: Verdict, *, root: Path | None = None) -> _Object:
    """The report as one SARIF log.

    Parameters: root: paths below it are given relative to it, as %SRCROOT%; the current directory if None.
    """
    root = (root or Path.cwd()).resolve()
    rules = list(get_args(Rule))
    reasons = {finding.key: rule.reason for finding, rule in verdict.suppressed}
    states = {finding.key: "unchanged" for finding in verdict.known}
    results = [
        _result(finding, rules.index(finding.rule), states.get(finding.key, "new"), reasons.get(finding.key), root)
        for finding in verdict.analysis.findings
    ]
    return sarif_log("witness", {rule: _TEXTS[rule] for rule in rules}, results, root)


def _result(finding: Finding, rule_index: int, state: str, reason: str | None, root: Path) -> _Object:
    with_stack = [side for side in finding.sides if side.stack]
    result: _Object = {
        "ruleId": finding.rule,
        "ruleIndex": rule_index,
        "level": _LEVELS[finding.level],
        "message": {"text": finding.title + (f" ({finding.level}: {finding.why})" if finding.why else "")},
        "locations": [_location(with_stack[0].stack[0], root)] if with_stack else [],
        "relatedLocations": [
            {**_location(side.stack[0], root), "id": number, "message": {"text": who(side)}}
            for number, side in enumerate(with_stack[1:], 1)
        ],
        "stacks": [_stack(side, root) for side in with_stack],
        "partialFingerprints": {"witness/v1": finding.key},
        "baselineState": state,
        "occurrenceCount": finding.count,
        "properties": {"likelihood": finding.level, "processes": list(finding.processes)},
    }
    if reason is not None:
        result["suppressions"] = [{"kind": "external", "justification": reason}]
    return result


def _stack(side: Side, root: Path) -> _Object:
    return {
        "message": {"text": who(side)},
        "frames": [{"location": _location(frame, root)} for frame in side.stack],
    }


def _location(frame: Frame, root: Path) -> _Object:
    return {
        "physicalLocation": source_place(frame.file, frame.line, root),
        "logicalLocations": [{"name": frame.function, "kind": "function"}],
        "message": {"text": f"{frame.function} at {at(frame)}"},
    }
