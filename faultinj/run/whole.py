"""One program under a plan: started, waited for, and what its process tree reached.

Owns the plan's check before anything runs, and the child's life.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator, Sequence

import msgspec

from faultinj import process
from faultinj.grammar import parse_plan
from faultinj.plan import CRASH_POINT, UnknownPoint, matching
from faultinj.program import Plan
from faultinj.record import Injection
from faultinj.run.tree import Told, Tree, tree

__all__ = ["Run", "checked", "run_under"]


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What a run came to. ``status``: of the program, 128 + the signal that ended it; ``reached``, ``injected``: by
    point; ``errors``: those raised at Python's points, with where; ``unmet``: names of the plan that nobody reached."""

    command: tuple[str, ...]
    status: int
    plan: str
    seed: int | None
    reached: dict[str, int]
    injected: dict[str, int]
    injections: tuple[Injection, ...]
    errors: tuple[Told, ...]
    unmet: tuple[str, ...]

    @property
    def faults(self) -> int:
        """How many faults were injected."""
        return sum(self.injected.values())


def checked(plan: Plan, names: Sequence[str]) -> tuple[str, ...]:
    """The names and globs of a plan that no known point has, and that a program may declare itself.

    Raises: UnknownPoint: it is in a group (`os.`, `zone.`) of which all points are known, or a word spelt like a point.
    """
    groups = {name.partition(".")[0] for name in names}
    unknown = [setting.points for setting in plan.settings if not matching(setting.points, names)]
    for name in unknown:
        error = UnknownPoint(name, names)
        if name.partition(".")[0] in groups or ("." not in name and error.near):
            raise error
    return tuple(unknown)


def _set(shared: Tree, plan: Plan) -> tuple[str, ...]:
    names = shared.block.names()
    unknown = checked(plan, names)
    for name in unknown:
        if not set(name) & set("*?["):
            shared.block.point(name)  # entered here, its program is set once, before anybody reaches it
    process.apply(plan.settings, shared.block, strict=False)
    return unknown


@contextlib.contextmanager
def _forwarded(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """Signals that end programs go to the child, which the terminal may not have told."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    for number in before:
        signal.signal(number, lambda got, _: child.send_signal(got) if got != signal.SIGINT else None)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_under(command: Sequence[str], text: str, *, seed: int | None = None) -> Run:
    """Run a command under a plan until its first process ends.

    Parameters: text: the plan, in the grammar of faults; seed: what random numbers follow from.
    Returns: Run.   Raises: GrammarError, PlanError, UnknownPoint: before anything ran; OSError: it cannot be executed.
    """
    plan = parse_plan(text) if text.strip() else Plan(())
    with tree() as shared:
        if seed is not None:
            shared.block.seed = seed
        unknown = _set(shared, plan)
        with subprocess.Popen(command, env=shared.environment(text)) as child, _forwarded(child):
            status = child.wait()
        counts = shared.counts()
        met = [name for name in counts if counts[name][0] and name != CRASH_POINT]
        return Run(
            command=tuple(command),
            status=128 - status if status < 0 else status,
            plan=text,
            seed=seed,
            reached={name: row[0] for name, row in counts.items()},
            injected={name: row[1] for name, row in counts.items() if row[1]},
            injections=shared.injections(),
            errors=shared.told(),
            unmet=tuple(name for name in unknown if not matching(name, met)),
        )
