"""What a sweep sweeps: points that are counted together, or one point with an action of its own.

Owns the notation POINTS, POINTS=nth and POINTS=nth:ACTION, and what a point does in the n-th run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from faultinj.grammar import parse_program
from faultinj.plan import PlanError, UnknownPoint, matching
from faultinj.program import Modifier, Program, Term

__all__ = ["nth_program", "points_of", "series_of"]


def points_of(wish: str) -> str:
    """The name or glob of POINTS=nth:ACTION."""
    return wish.partition("=")[0].strip()


def _action_of(wish: str) -> str:
    """What stands after "=", "": the point's own error."""
    text = wish.partition("=")[2].strip()
    return "" if text == "nth" else text


def nth_program(wish: str, kind: str, n: int) -> Program | None:
    """What the point is given for run n; None: its own error, which a sweep of the block reports.

    Raises: PlanError, GrammarError: the action cannot be.
    """
    text = _action_of(wish)
    if not text:
        return None
    head, colon, action = text.partition(":")
    terms = parse_program(action).terms if colon else ()
    if head.strip() != "nth" or len(terms) != 1 or terms[0].modifiers or terms[0].action in ("off", "arm"):
        raise PlanError("", f"{wish}: a sweep counts by itself: write {points_of(wish)}=nth:ACTION")
    (term,) = terms
    if kind == "transient":
        return Program((replace(term, modifiers=(Modifier("nth", n),)),))
    if n == 1:
        return Program(terms)
    return Program((Term("off", (Modifier("count", n - 1),), None, term.filters), term))


def series_of(
    wishes: Sequence[str],
    names: Sequence[str],
    chosen: Callable[[str, Sequence[str]], tuple[str, ...]] = matching,
) -> list[tuple[str, ...]]:
    """Wishes that are swept together: those without an action, which have one count; each point with an action has its
    own.

    Raises: UnknownPoint; PlanError, GrammarError: an action cannot be.
    """
    together: list[str] = []
    alone: list[tuple[str, ...]] = []
    for wish in wishes:
        found = chosen(points_of(wish), names)
        if not found:
            raise UnknownPoint(points_of(wish), tuple(names))
        if nth_program(wish, "transient", 1) is None:
            together.append(points_of(wish))
        else:
            alone += [(f"{name}={_action_of(wish)}",) for name in found]
    return ([tuple(together)] if together else []) + alone
