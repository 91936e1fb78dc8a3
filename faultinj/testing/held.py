"""A plan that holds inside a block of a test: faultinj.inject, with the points of Python in place meanwhile."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Self

from faultinj import process
from faultinj._faultinj import Block
from faultinj.grammar import parse_plan
from faultinj.guard import Guard
from faultinj.plan import matching
from faultinj.program import Plan, Setting
from faultinj.testing import system
from shmalloc import Arena

__all__ = ["held"]


class _Held(Guard):
    """A guard whose block has the test's calls of the standard library reach the points that its plan names."""

    def __init__(self, plan: Plan, block: Block, seed: int | None) -> None:
        super().__init__(plan, block, seed)
        self._places = ExitStack()

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            self._places.enter_context(system.in_place(_points_of(self.plan, self.block.names())))
        except BaseException:
            super().__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._places.close()
        super().__exit__(kind, value, trace)


def _points_of(plan: Plan, names: tuple[str, ...]) -> list[str]:
    """Those that a plan sets, and those that it arms later."""
    settings = list(plan.settings)
    found: list[str] = []
    while settings:
        setting = settings.pop()
        found += matching(setting.points, names)
        settings += [term.argument for term in setting.program.terms if isinstance(term.argument, Setting)]
    return found


def held(plan: str | Plan, *, where: Block | Arena | None = None, seed: int | None = None) -> Guard:
    """Make a plan hold inside a ``with`` block of a test, as faultinj.inject does; its points may be Python's too.

    Raises: as faultinj.inject.
    """
    system.declare()
    block = process.block_of(where) if isinstance(where, Arena) else where if where is not None else process.current()
    if block is None:
        raise ValueError("the arena is not armed in this process; call faultinj.arm(arena) first")
    return _Held(parse_plan(plan) if isinstance(plan, str) else plan, block, seed)
