"""A fault run as SARIF 2.1.0, for code hosts and editors: one result a finding, at the innermost frame that is known.

Owns the mapping. A finding without a stack (a crash, a leak) is placed at its scenario and point, as logical locations.
Source: OASIS, Static Analysis Results Interchange Format (SARIF) Version 2.1.0.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

from faultinj.record import Finding, Outcome
from faultinj.report.tables import replay_command
from faultinj.report.verdict import Verdict
from shmalloc.report.sarif import sarif_log, source_place

__all__ = ["as_sarif"]

_TEXTS = {
    "leak": "Something that was allocated before a fault was never given back.",
    "lock held": "A lock was still held after the operation had failed.",
    "operation open": "An operation was left with its op word still set: whoever stops the world waits for it.",
    "check": "An invariant of the arena is broken after a fault.",
    "witness": "The lock-order checker found something while a fault was handled.",
    "unclean error": "An operation failed with an error that says nothing useful, or the wrong thing.",
    "rerun failed": "The same operation fails without a fault, after one.",
    "fails counter": "The statistics count another number of failures than there were.",
    "hang": "An operation did not end after a fault.",
    "crash": "A process died of a fault that it should have survived.",
    "foreign error": "An exception that is none of the library's came out of an operation.",
}
_FRAME = re.compile(r"^\s*(?P<file>[^:]+):(?P<line>\d+)(?:[:\s]+(?P<function>.*))?$")
_Object = dict[str, Any]


def as_sarif(verdict: Verdict, *, root: Path | None = None) -> _Object:
    """The report as one SARIF log.

    Parameters: root: paths below it are given relative to it, as %SRCROOT%; the current directory if None.
    """
    root = (root or Path.cwd()).resolve()
    kinds = sorted(_TEXTS.keys() | {finding.kind for _, finding in verdict.found})
    rules = {_rule(kind): _TEXTS.get(kind, "Something is wrong after a fault.") for kind in kinds}
    results = [_result(outcome, finding, kinds.index(finding.kind), root) for outcome, finding in verdict.found]
    return sarif_log("faultinj", rules, results, root)


def _rule(kind: str) -> str:
    return kind.replace(" ", "-")


def _result(outcome: Outcome, finding: Finding, rule_index: int, root: Path) -> _Object:
    frames = [place for line in finding.stack if (place := _location(line, root)) is not None]
    logical = [{"name": outcome.trial.scenario, "kind": "function"}]
    logical += [{"name": injection.point, "kind": "member"} for injection in outcome.injected]
    first = {**(frames[0] if frames else {}), "logicalLocations": logical}
    # The number of the trial moves when code before the fault changes; point and detail stay.
    points = "+".join(injection.point for injection in outcome.injected)
    detail = re.sub(r"[0-9]+", "#", finding.detail)
    key = f"{finding.kind}|{outcome.trial.scenario}|{outcome.trial.kind}|{points}|{detail}"
    result: _Object = {
        "ruleId": _rule(finding.kind),
        "ruleIndex": rule_index,
        "level": "error",
        "message": {"text": f"{finding.detail} Again with: {replay_command(outcome)}"},
        "locations": [first],
        "partialFingerprints": {"faultinj/v1": hashlib.sha256(key.encode()).hexdigest()[:32]},
        "properties": {"trial": outcome.trial.id, "result": outcome.result},
    }
    if frames:
        result["stacks"] = [{"frames": [{"location": frame} for frame in frames]}]
    return result


def _location(line: str, root: Path) -> _Object | None:
    frame = _FRAME.match(line)
    if frame is None:
        return None
    physical = source_place(frame["file"], int(frame["line"]), root)
    return {"physicalLocation": physical, "message": {"text": (frame["function"] or line).strip()}}
