"""Drawings have the classes asked for, and the orders of findings stand out."""

import xml.etree.ElementTree as ElementTree

import networkx as nx
import pygraphviz
import pytest

from lockgraphs import bank
from witness.analysis.findings import analyse
from witness.report.drawing import as_dot, as_graphml, as_svg

ANALYSIS = analyse(bank())
BY_NAME = {record.name: one for one, record in ANALYSIS.order.classes.items()}
RED = "#c62828"


def test_dot_can_be_read_back_and_has_reversals_in_red() -> None:
    graph = pygraphviz.AGraph(string=as_dot(ANALYSIS, ANALYSIS.canonical.classes))
    assert {node.attr["label"].split("\\n")[0].split("\n")[0] for node in graph.nodes()} == set(BY_NAME)
    red = {tuple(map(int, edge)) for edge in graph.edges() if edge.attr["color"] == RED}
    assert red == {(1, 2), (2, 1)}
    doubted = {tuple(map(int, edge)) for edge in graph.edges() if edge.attr["style"] == "dashed"}
    assert doubted == {(4, 5), (5, 4)}


def test_svg_has_only_the_classes_asked_for() -> None:
    root = ElementTree.fromstring(as_svg(ANALYSIS, (1, 2)))
    texts = {text.text for text in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"accounts", "ledger"} <= texts
    assert "vault" not in texts


@pytest.mark.parametrize("link", [(1, 2, "possible", False), (2, 1, "possible", True), (2, 3, "", False)])
def test_graphml_can_be_read_back_whole(link: tuple[int, int, str, bool]) -> None:
    graph = nx.parse_graphml(as_graphml(ANALYSIS))
    assert {data["name"] for _, data in graph.nodes(data=True)} == set(BY_NAME)
    assert graph.number_of_edges() == len(ANALYSIS.order.links)
    first, second, level, refused = link
    data = graph.edges[str(first), str(second)]
    assert (data["level"], data["refused"]) == (level, refused)
