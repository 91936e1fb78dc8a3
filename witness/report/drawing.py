"""The order graph as DOT, GraphML and SVG. Owns colours and labels; Graphviz places, networkx writes GraphML."""

from __future__ import annotations

import warnings
from collections.abc import Collection

import networkx as nx
import pygraphviz

from witness.analysis.findings import Analysis, Finding
from witness.analysis.ordergraph import Link
from witness.report.words import class_words, where

__all__ = ["as_dot", "as_graphml", "as_svg"]

_FEARED, _DOUBTED, _PLAIN, _QUIET = "#c62828", "#b26a00", "#5f6368", "#fafafa"


def as_dot(analysis: Analysis, classes: Collection[int]) -> str:
    """The graph of some classes as DOT text; orders of a feared cycle are red, those of an unlikely one dashed."""
    text: str = _drawn(analysis, classes).to_string()
    return text


def as_svg(analysis: Analysis, classes: Collection[int]) -> str:
    """The graph of some classes as one SVG document."""
    with warnings.catch_warnings():
        # Graphviz speaks of fonts that the machine lacks; the drawing names generic ones, and readers have theirs.
        warnings.simplefilter("ignore", RuntimeWarning)
        drawn: bytes = _drawn(analysis, classes).draw(format="svg", prog="dot")
    return drawn.decode("utf-8")


def as_graphml(analysis: Analysis) -> str:
    """The whole graph as GraphML: names, kinds and counts on nodes; counts, levels and places on edges."""
    levels = _levels(analysis)
    graph: nx.DiGraph[int] = nx.DiGraph(program=analysis.graph.program)
    for one in analysis.canonical.classes:
        record = analysis.order.classes[one]
        graph.add_node(one, name=record.name, kind=record.kind, acquires=record.acquires, contended=record.contended)
    for (first, second), link in analysis.order.links.items():
        graph.add_edge(
            first,
            second,
            count=link.count,
            refused=link.attempted,
            level=levels.get((first, second), ""),
            held_at=where(link.sides[0]),
            taken_at=where(link.sides[1]),
        )
    return "\n".join(nx.generate_graphml(graph)) + "\n"


def _levels(analysis: Analysis) -> dict[tuple[int, int], str]:
    """For each link on a cycle of a finding the level of the worst such finding."""
    findings: list[Finding] = [finding for finding in analysis.findings if finding.links]
    return {(link.first, link.second): f.level for f in reversed(findings) for link in f.links}


def _drawn(analysis: Analysis, classes: Collection[int]) -> pygraphviz.AGraph:
    order, levels, shown = analysis.order, _levels(analysis), set(classes)
    graph = pygraphviz.AGraph(directed=True, name="lock order")
    graph.graph_attr.update(rankdir="TB", fontname="sans-serif", bgcolor="transparent", tooltip=analysis.graph.program)
    graph.node_attr.update(
        shape="box", style="rounded,filled", fillcolor=_QUIET, color=_PLAIN, fontname="sans-serif", fontsize="11"
    )
    graph.edge_attr.update(color=_PLAIN, fontname="sans-serif", fontsize="9")
    for one in classes:
        record = order.classes[one]
        graph.add_node(one, label=f"{record.name}\n{class_words(record)}", tooltip=record.name)
    for pair, link in order.links.items():
        if shown.issuperset(pair):
            graph.add_edge(*pair, **_dress(link, levels.get(pair)))
    return graph


def _dress(link: Link, level: str | None) -> dict[str, str]:
    dress = {"label": str(link.count), "tooltip": f"{where(link.sides[0])}, then {where(link.sides[1])}"}
    if level == "unlikely":
        dress |= {"color": _DOUBTED, "fontcolor": _DOUBTED, "style": "dashed"}
    elif level is not None:
        dress |= {"color": _FEARED, "fontcolor": _FEARED, "penwidth": "2" if link.attempted else "1.4"}
    if link.attempted:
        dress |= {"constraint": "false", "label": f"refused {link.count}"}
    return dress
