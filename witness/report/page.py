"""The lock-order page: one self-contained HTML file with the graph, its findings and both stacks of every order.

Owns the data that the page's script reads, each stack and frame once. The page's parts (frame, dress, script) are in
`orderpage/`. Names come from watched programs, so the data cannot end the script element, and the
script sets text only.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from shmalloc.report.amounts import counted
from shmalloc.report.table import printable
from witness.analysis.findings import Analysis, Finding
from witness.analysis.neighbourhood import neighbourhood
from witness.record import Side
from witness.report.text import finding_lines, order_lines
from witness.report.verdict import Verdict
from witness.report.words import at, class_words, taken_as, who

__all__ = ["lock_order_page"]

_PARTS = Path(__file__).with_name("orderpage")
_FIRST = 40  # classes in the first view; a drawing of that many can still be read
_Object = dict[str, Any]


def lock_order_page(verdict: Verdict) -> str:
    """The whole page as text; it needs no network and no file beside it."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["printable"] = printable
    template = environment.from_string(_part("page.html.j2"))
    feared = [finding for finding in verdict.new if finding.level != "unlikely"]
    graph = verdict.analysis.graph
    # "<" is written as an escape: then no name can close the element or open a comment in it.
    data = json.dumps(_Data(verdict).values(), separators=(",", ":")).replace("<", "\\u003c")
    return template.render(
        title=f"Lock order of {graph.program}",
        lead=", ".join(
            (
                counted(len(graph.classes), "lock class", "lock classes"),
                counted(len(verdict.analysis.order.links), "order"),
                counted(len(graph.processes), "process", "processes"),
            )
        )
        + ". "
        + (counted(len(feared), "new finding") + "." if feared else "Nothing new found."),
        good=not feared,
        off_reason=graph.off_reason,
        order_text="\n".join(order_lines(verdict.analysis)) if graph.classes else None,
        style=Markup(_part("page.css")),
        script=Markup("\n".join(_part(name) for name in ("layout.js", "page.js"))),
        data=Markup(data),
    )


def _part(name: str) -> str:
    return (_PARTS / name).read_text(encoding="utf-8")


class _Data:
    """The page's data while it is put together: sides and frames are numbered as they come."""

    def __init__(self, verdict: Verdict) -> None:
        self._verdict = verdict
        self._frames: dict[str, int] = {}
        self._sides: dict[Side, int] = {}
        self._shown: list[_Object] = []

    def values(self) -> _Object:
        analysis = self._verdict.analysis
        place = {one: at for at, one in enumerate(analysis.canonical.classes)}
        number = {pair: at for at, pair in enumerate(analysis.order.links)}
        broken = {(link.first, link.second) for link in analysis.canonical.broken}
        links = [
            {
                "a": place[link.first],
                "b": place[link.second],
                "n": link.count,
                "refused": link.attempted,
                "against": pair in broken,
                "sides": [self._side(side) for side in link.sides],
                "gates": list(analysis.order.names(tuple(sorted(link.gates)))),
            }
            for pair, link in analysis.order.links.items()
        ]
        return {
            "classes": self._classes(analysis),
            "links": links,
            "findings": [self._finding(finding, number, place) for finding in analysis.findings],
            "start": [place[one] for one in neighbourhood(analysis, most=_FIRST)],
            "sides": self._shown,
            "frames": list(self._frames),
        }

    def _classes(self, analysis: Analysis) -> list[_Object]:
        records = (analysis.order.classes[one] for one in analysis.canonical.classes)
        return [
            {
                "name": printable(record.name),
                "kind": printable(class_words(record)),
                "site": printable(at(record.site)) if record.site is not None else "",
                "acquires": record.acquires,
                "contended": record.contended,
            }
            for record in records
        ]

    def _finding(self, finding: Finding, number: dict[tuple[int, int], int], place: dict[int, int]) -> _Object:
        verdict = self._verdict
        return {
            "rule": finding.rule,
            "level": finding.level,
            "state": verdict.state(finding),
            "title": printable(finding.title),
            "why": printable(finding.why),
            "links": [number[link.first, link.second] for link in finding.links],
            "classes": [place[one] for one in finding.classes],
            "sides": [self._side(side) for side in finding.sides],
            "text": "\n".join(printable(line) for line in finding_lines(finding, verdict.analysis.order)),
        }

    def _side(self, side: Side) -> int:
        known = self._sides.get(side)
        if known is None:
            known = self._sides[side] = len(self._shown)
            frames = (printable(f"{frame.function} at {at(frame)}") for frame in side.stack)
            self._shown.append(
                {
                    "who": printable(who(side)),
                    "pid": side.pid,
                    "process": printable(side.process),
                    "mode": taken_as(side.mode),
                    "stack": [self._frames.setdefault(frame, len(self._frames)) for frame in frames],
                }
            )
        return known
