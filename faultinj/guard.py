"""Setting faults from a program: for the time of a block of code, or until they are cleared.

Owns the guard and what it puts back. Must not evaluate a program: C does.
"""

import os
from types import TracebackType
from typing import Self

from faultinj import process
from faultinj._faultinj import Block
from faultinj.grammar import parse_plan, parse_program
from faultinj.plan import UnknownPoint, matching
from faultinj.program import Plan, Program, Setting
from faultinj.record import Injection
from shmalloc import Arena

__all__ = ["Guard", "clear_program", "inject", "set_program", "settings"]


def _block(where: Block | Arena | None) -> Block:
    if where is None:
        return process.current()
    if isinstance(where, Block):
        return where
    found = process.block_of(where)
    if found is None:
        raise ValueError(f"the arena {where.name!r} is not armed in this process; call faultinj.arm(arena) first")
    return found


def set_program(points: str, program: str | Program, *, where: Block | Arena | None = None) -> tuple[str, ...]:
    """Give points a program, in every process that shares the block, until it is cleared or replaced.

    Parameters: points: a name, or a glob such as "queue.*"; program: in the grammar, "nth(3):return(SM_NO_MEMORY)";
    where: a block, or an armed arena; None: the block in use (see current()).
    Returns: the names of the points.   Raises: GrammarError: with the column; UnknownPoint: no point is called so;
    PlanError: the program makes no sense there; CoreError "SM_TABLE_FULL": 128 programs are set.
    Concurrency: while points are reached; each sees the old program or the new one, whole.   Source: fail(9).
    """
    block = _block(where)
    parsed = parse_program(program) if isinstance(program, str) else program
    names = block.names()
    return tuple(names[number] for number in process.apply((Setting(points, parsed),), block))


def clear_program(points: str = "*", *, where: Block | Arena | None = None) -> tuple[str, ...]:
    """Take the programs of points away; threads paused there go on.

    Returns: the names of the points that had one.   Raises: UnknownPoint.
    """
    block = _block(where)
    names = block.names()
    found = matching(points, names)
    if not found:
        raise UnknownPoint(points, names)
    had = tuple(name for name in found if block.setting(names.index(name)) is not None)
    for name in had:
        block.program(names.index(name), None)
    return had


def settings(*, where: Block | Arena | None = None) -> dict[str, str]:
    """The programs that are set, by the name of their point."""
    block = _block(where)
    rows = ((name, block.setting(number)) for number, name in enumerate(block.names()))
    return {name: row[0] for name, row in rows if row is not None}


class Guard:
    """A plan that holds inside a ``with`` block; what ``inject`` returns. Its figures stay readable after it."""

    def __init__(self, plan: Plan, block: Block, seed: int | None) -> None:
        self.plan = plan
        self.block = block
        self._seed = seed
        self._standing: process.Standing | None = None
        self._before: dict[int, str | None] = {}
        self._counts: dict[int, tuple[int, int]] = {}
        self._first = 0
        self._final: tuple[int, int, tuple[Injection, ...]] | None = None
        self._pid = 0

    def __enter__(self) -> Self:
        if self._standing is not None:
            raise RuntimeError("this guard is inside its block already; make another one with faultinj.inject()")
        names = self.block.names()
        numbers = [names.index(name) for s in self.plan.settings for name in matching(s.points, names)]
        before = {number: self.block.setting(number) for number in numbers}
        self._before = {number: row[0] if row is not None else None for number, row in before.items()}
        self._counts = {number: self.block.counts(number) for number in numbers}
        self._first = max((row[0] + 1 for row in self.block.log()), default=0)
        self._final = None
        process.apply(self.plan.settings, self.block, seed=self._seed)
        self._pid = os.getpid()
        self._standing = process.standing(self.plan, self.block)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._standing is not None:
            process.withdraw(self._standing)
            self._standing = None
        if self.block.closed:  # its arena was closed inside, and its programs with it
            self._final = self._final or (0, 0, ())
            return
        self._final = self._figures()
        if self._pid != os.getpid():  # a child made by fork inside: the plan still holds for its parent
            return
        for number, text in {**dict.fromkeys(self._numbers()), **self._before}.items():
            if text is None:
                self.block.program(number, None)
            else:
                process.apply((Setting(self.block.names()[number], parse_program(text)),), self.block)

    def _numbers(self) -> tuple[int, ...]:
        names = self.block.names()
        return tuple(dict.fromkeys(names.index(n) for s in self.plan.settings for n in matching(s.points, names)))

    def _figures(self) -> tuple[int, int, tuple[Injection, ...]]:
        numbers = self._numbers()
        reached = fired = 0
        for number in numbers:
            now, was = self.block.counts(number), self._counts.get(number, (0, 0))
            reached += max(0, now[0] - was[0])
            fired += max(0, now[1] - was[1])
        names = {self.block.names()[number] for number in numbers}
        rows = tuple(
            Injection(
                point=row[3], action=row[4], sequence=row[2], subject=row[5], bytes=row[6], pid=row[7], step=row[9]
            )
            for row in self.block.log(self._first)
            if row[3] in names
        )
        return reached, fired, rows

    def _now(self) -> tuple[int, int, tuple[Injection, ...]]:
        return self._final if self._final is not None else self._figures()

    @property
    def reached(self) -> int:
        """How often the plan's points were reached since the block began, by all processes."""
        return self._now()[0]

    @property
    def fired(self) -> int:
        """How often something was injected there; prints and cascades do not count."""
        return self._now()[1]

    @property
    def injections(self) -> tuple[Injection, ...]:
        """What was injected or printed there, oldest first, as far as the log (1024 entries) still has it."""
        return self._now()[2]


def inject(plan: str | Plan, *, where: Block | Arena | None = None, seed: int | None = None) -> Guard:
    """Make a plan hold inside a ``with`` block; afterwards what was set before is set again, counting anew.

    It also holds for points that match and are declared inside the block.

    Parameters: plan: "zone.ctor=nth(3):return(SM_NO_MEMORY); queue.*=1%return"; where: as in set(); seed: makes the
    random numbers of percentages the same in every run of one thread.
    Returns: Guard, to be entered; a child made by fork inside, which leaves the block too, ends nothing.
    Raises: as set(); ValueError: the seed is not from 0 to 2**64 - 1. Everything is checked before anything is set.
    """
    if seed is not None and not 0 <= seed <= process.MOST_SEED:
        raise ValueError(f"seed={seed}: expected a whole number from 0 to {process.MOST_SEED}")
    return Guard(parse_plan(plan) if isinstance(plan, str) else plan, _block(where), seed)
