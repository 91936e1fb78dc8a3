"""The coverage page: one self-contained HTML file with the matrix of points and outcomes, the sweeps and the findings.

Owns the data that the page's script reads. The page's parts (frame, dress, script) are in `coveragepage/`. Names come
from programs that were tested, so the data cannot end the script element, and the script sets text only.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from faultinj.record import Outcome
from faultinj.report.tables import replay_command, summary
from faultinj.report.verdict import Verdict, state_of
from shmalloc.report.table import printable

__all__ = ["coverage_page"]

_PARTS = Path(__file__).with_name("coveragepage")
_Object = dict[str, Any]


def coverage_page(verdict: Verdict) -> str:
    """The whole page as text; it needs no network and no file beside it."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["printable"] = printable
    template = environment.from_string(_part("page.html.j2"))
    # "<" is written as an escape: then no name can close the element or open a comment in it.
    data = json.dumps(_values(verdict), separators=(",", ":")).replace("<", "\\u003c")
    injected = sum(point.injected > 0 for point in verdict.reachable)
    return template.render(
        title=f"Fault coverage of {verdict.result.program}",
        lead=summary(verdict),
        good=not verdict.failed,
        failures=verdict.failures,
        injected=injected,
        reachable=len(verdict.reachable),
        coverage=f"{verdict.coverage:.1f}",
        started=verdict.result.started,
        version=verdict.result.version,
        seed=verdict.result.seed,
        style=Markup(_part("page.css")),
        script=Markup(_part("page.js")),
        data=Markup(data),
    )


def _part(name: str) -> str:
    return (_PARTS / name).read_text(encoding="utf-8")


def _values(verdict: Verdict) -> _Object:
    result = verdict.result
    return {
        "points": [
            {
                "name": printable(row.point),
                "error": printable(row.error),
                "counts": [row.reached, row.injected, row.success, row.clean_error, row.killed, row.findings],
                "state": state_of(row, result.argued),
                "why": printable(result.argued.get(row.point, "")),
            }
            for row in result.points
        ],
        "cells": [
            {
                "scenario": printable(cell.scenario),
                "kind": cell.kind,
                "trials": cell.trials,
                "injected": cell.injected,
                "findings": cell.findings,
                "exhausted": cell.exhausted,
                "empty": cell.scenario in result.empty,
            }
            for cell in result.cells
        ],
        "outcomes": [_outcome(outcome) for outcome in result.outcomes],
    }


def _outcome(outcome: Outcome) -> _Object:
    return {
        "id": printable(outcome.trial.id),
        "scenario": printable(outcome.trial.scenario),
        "kind": outcome.trial.kind,
        "result": printable(outcome.result),
        "again": printable(replay_command(outcome)),
        "points": sorted({printable(injection.point) for injection in outcome.injected}),
        "injected": [
            printable(
                f"#{injection.sequence} {injection.point}: {injection.action}"
                + (f", {injection.subject}" if injection.subject else "")
                + (f", {injection.bytes} bytes" if injection.bytes else "")
                + (f", step {injection.step}" if injection.step is not None else "")
            )
            for injection in outcome.injected
        ],
        "findings": [
            {"kind": printable(one.kind), "detail": printable(one.detail), "stack": [printable(f) for f in one.stack]}
            for one in outcome.findings
        ],
    }
