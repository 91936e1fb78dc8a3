"""Which part of a large order graph to look at first: the classes of findings and what stands next to them."""

from __future__ import annotations

from collections.abc import Iterable

from witness.analysis.findings import Analysis

__all__ = ["neighbourhood"]


def neighbourhood(analysis: Analysis, *, most: int, around: Iterable[int] = ()) -> tuple[int, ...]:
    """Choose at most `most` classes, in canonical order.

    Parameters: around: classes to start from; those of the findings, the worst first, when there are none. Their
    neighbours follow, those over the most used links first, then the neighbours' neighbours. Without any class to start
    from the most used links are.
    """
    canonical = analysis.canonical.classes
    if len(canonical) <= most and not (around := tuple(around)):
        return canonical
    start = tuple(around) or tuple(one for finding in analysis.findings for one in finding.classes)
    near: dict[int, list[tuple[int, int]]] = {one: [] for one in canonical}
    busiest = sorted(analysis.order.links.values(), key=lambda link: (-link.count, link.first, link.second))
    for link in busiest:
        near[link.first].append((-link.count, link.second))
        near[link.second].append((-link.count, link.first))
    chosen = dict.fromkeys(start or (end for link in busiest for end in (link.first, link.second)))
    frontier = list(chosen)
    while frontier and len(chosen) < most:
        steps = sorted(step for one in frontier for step in near[one] if step[1] not in chosen)
        frontier = list(dict.fromkeys(one for _, one in steps))
        chosen.update(dict.fromkeys(frontier))
    kept = set(list(chosen)[:most])
    return tuple(one for one in canonical if one in kept)
