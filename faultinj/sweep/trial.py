"""One trial in this process: a scenario with one fault, the oracle, and the scenario once more without faults.

Owns the course of a run. Runs in a victim, which may be killed, hang or crash; must not be called in a process that
is to live on (``faultinj.sweep.run_trial`` is for those). Deaths on purpose are ``mortal``'s.
"""

import fnmatch
import gc
import itertools
import os
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from faultinj import _faultinj, declared, process
from faultinj._faultinj import Block
from faultinj.catalogue import points as catalogue
from faultinj.guard import Guard, inject
from faultinj.record import Finding, Injection, Outcome, Trial
from faultinj.sweep.context import BEGINNING, ChildKilled, Context
from faultinj.sweep.evidence import Evidence
from faultinj.sweep.oracle import Companion, companions, judge, stuck_inside
from faultinj.sweep.registry import Scenario, find
from shmalloc.errors import ShmallocError

__all__ = ["Bench", "Run", "end_context", "injections", "perform", "prepared", "reached_points", "rerun", "result_name"]

_TOLD_MOST = 32  # injections of a persistent fault that an outcome tells
_numbers = itertools.count()
_KINDS = {
    "transient": "TRANSIENT",
    "persistent": "PERSISTENT",
    "kill": "KILL",
    "pair": "PAIR",
    "kill-pair": "KILL_PAIR",
}
_CODES = {point.name: point.error for point in catalogue()}
_raised: list[BaseException] = []  # what declared points raised in this trial
declared.observe(lambda point, error: _raised.append(error))


class Bench:
    """What a victim needs for its trials: the block, armed for every attachment that it makes, and the further oracles.

    owner: the pid that stands in the names of arenas, so that whoever asked for the sweep can remove them all.
    """

    def __init__(self, block: Block, *, owner: int | None = None, oracles: Sequence[str] | None = None) -> None:
        self.block = block
        self.prefix = f"{BEGINNING}{owner or os.getpid()}-"
        self.companions: dict[str, Companion] = companions(oracles)
        self._guard: Guard | None = None
        process.use(block)

    def close(self) -> None:
        """No attachment made from now on is armed, and declared points pass."""
        process.use(None)

    def context(self, seed: int) -> Context:
        """A context of a name that no other has."""
        ctx = Context(f"{self.prefix}{os.getpid()}-{next(_numbers)}", seed=seed)
        for companion in self.companions.values():
            ctx.on_open(companion.begin)
        return ctx

    def arm(self, trial: Trial) -> None:
        """From here on the trial's fault happens."""
        if trial.program is not None:
            self._guard = inject(trial.program, where=self.block, seed=trial.seed)
            self._guard.__enter__()
            self.block.sweep(_faultinj.COUNT, 0)
            return
        kind = getattr(_faultinj, _KINDS[trial.kind])
        self.block.sweep(kind, trial.n, trial.n2, selected=self._selected(trial.points))

    def count(self, points: str) -> None:
        """From here on points are counted, and nothing is injected."""
        self.block.sweep(_faultinj.COUNT, 0, 0, selected=self._selected(points))

    def disarm(self) -> None:
        """Nothing is injected any more; the counts stay."""
        self.block.sweep(_faultinj.OFF, 0)
        guard, self._guard = self._guard, None
        if guard is not None:
            guard.__exit__(None, None, None)

    def _selected(self, points: str) -> list[int] | None:
        if points == "*":
            return None
        return [self.block.point(name) for name in self.block.names() if fnmatch.fnmatchcase(name, points)]


def injections(block: Block) -> tuple[Injection, ...]:
    """The block's log as records, oldest first."""
    return tuple(
        Injection(point=point, action=action, sequence=seq, subject=subject, bytes=size, pid=pid, step=step)
        for seq, point, action, subject, size, pid, _tid, step in block.injections()
    )


def reached_points(block: Block) -> dict[str, int]:
    """The points that were reached, and how often."""
    return {name: count for name, count in block.reached().items() if count}


def result_name(error: BaseException | None) -> str:
    """How a run ended, in one word."""
    return "success" if error is None else type(error).__name__


class Run:
    """One run of a scenario's body, in its three parts."""

    def __init__(self, scenario: Scenario, ctx: Context) -> None:
        self.scenario = scenario
        self.ctx = ctx
        self.error: BaseException | None = None
        self.stack: tuple[str, ...] = ()
        self._steps: Iterator[Any] | None = None

    def prepare(self) -> None:
        """Up to the first yield."""
        import inspect

        if inspect.isgeneratorfunction(self.scenario.body):
            self._steps = self.scenario.body(self.ctx)
            assert self._steps is not None
            next(self._steps, None)

    def go(self) -> None:
        """From there to the second yield, or the end. What is raised is kept."""
        try:
            if self._steps is None:
                self.scenario.body(self.ctx)
            else:
                next(self._steps, None)
        except (Exception, ChildKilled) as error:  # noqa: BLE001 - it is what the oracle judges
            self.error = error

    def finish(self) -> None:
        """The rest, without faults, and the end of everything that the body held."""
        if self._steps is not None and self.error is None:
            for _ in self._steps:
                pass
        if self.error is not None:
            self.stack = _places(self.error)
            _let_go(self.error)
        self._steps = None
        while self.ctx.laters:
            self.ctx.laters.pop()()


def _places(error: BaseException) -> tuple[str, ...]:
    rows = traceback.extract_tb(error.__traceback__)
    return tuple(f"{row.filename}:{row.lineno} {row.name}: {row.line}" for row in rows)


def _let_go(error: BaseException) -> None:
    """Frames that the error keeps, and so the items in them, end here."""
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        one = todo.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        traceback.clear_frames(one.__traceback__)
        one.__traceback__ = None
        todo += [one.__cause__, one.__context__]


@contextmanager
def _unraisable() -> Iterator[list[BaseException]]:
    """Collects what Python can only print."""
    told: list[BaseException] = []
    before = sys.unraisablehook

    def note(args: Any) -> None:
        if args.exc_value is not None:
            args.exc_value.__traceback__ = None
            told.append(args.exc_value)

    sys.unraisablehook = note
    try:
        yield told
    finally:
        sys.unraisablehook = before


def perform(trial: Trial, bench: Bench, *, counting: bool = False) -> Outcome:
    """Run one trial of a kind that kills nobody; counting: inject nothing, and say what is reached.

    Returns: its Outcome; verdict "nothing injected" when the fault was beyond the last point.
    """
    scenario = find(trial.scenario)
    start = time.perf_counter()
    ctx = bench.context(trial.seed)
    block = bench.block
    block.reset()
    run = Run(scenario, ctx)
    reached: dict[str, int] = {}
    injected: tuple[Injection, ...] = ()
    count = 0
    stuck: tuple[Finding, ...] = ()
    try:
        with _unraisable() as dropped:
            broken = prepared(run)
            if broken:
                return Outcome(trial=trial, verdict="finding", result=result_name(run.error), findings=broken)
            block.reset()  # what preparing reached does not count
            _raised.clear()
            if counting:
                bench.count(trial.points)
            else:
                bench.arm(trial)
            run.go()
            _, count = block.sweep_state()
            bench.disarm()
            reached, injected = reached_points(block), injections(block)
            stuck = stuck_inside(ctx.opened)
            late = () if stuck else _late(run)
        # Stuck inside the core this process would wait for itself, and the next operation would hide what is wrong.
        findings = stuck or (*late, *_judged(bench, run, injected, dropped))
        if findings and run.stack:
            findings = tuple(f if f.stack else _with_stack(f, run.stack) for f in findings)
        if not stuck:
            findings = (*findings, *rerun(scenario, ctx))
    finally:
        bench.disarm()
        if stuck:
            ctx.remove()
        closed = () if stuck else end_context(ctx)
    findings = (*findings, *closed, *_gone(ctx))
    nothing = not counting and count == 0 and not injected
    return Outcome(
        trial=trial,
        verdict="finding" if findings else "nothing injected" if nothing else "clean",
        result=result_name(run.error),
        injected=injected[:_TOLD_MOST],
        findings=findings,
        reached=reached,
        seconds=time.perf_counter() - start,
        stack=run.stack,
    )


def prepared(run: Run) -> tuple[Finding, ...]:
    """Run the part of the scenario before its faults; when that fails, say so."""
    try:
        run.prepare()
    except Exception as error:  # noqa: BLE001 - as below
        run.error, places = error, _places(error)
        _let_go(error)
        return (Finding(kind="rerun failed", detail=f"preparing: {type(error).__name__}: {error}", stack=places),)
    return ()


def _late(run: Run) -> tuple[Finding, ...]:
    try:
        run.finish()
    except Exception as error:  # noqa: BLE001 - a scenario that cannot clean up without faults is a finding
        places = _places(error)
        _let_go(error)
        return (Finding(kind="rerun failed", detail=f"cleaning up: {type(error).__name__}: {error}", stack=places),)
    if gc.garbage:
        gc.collect()
    return ()


def _judged(
    bench: Bench, run: Run, injected: tuple[Injection, ...], dropped: list[BaseException]
) -> tuple[Finding, ...]:
    ctx = run.ctx
    evidence = Evidence(
        run.scenario,
        ctx.name,
        ctx.opened,
        error=run.error,
        injected=injected,
        failed=dict(ctx.failed),
        failed_types=dict(ctx.failed_types),
        uncounted=frozenset(ctx.uncounted),
        errors_by_point=_CODES,
        unraisable=tuple(dropped),
        raised=tuple(_raised),
        promises=tuple(ctx.promises),
    )
    if evidence.arena is not None:
        evidence.arena.reap()  # processes of the scenario that ended attached
    return judge(evidence, bench.companions)


def rerun(scenario: Scenario, ctx: Context) -> tuple[Finding, ...]:
    """The scenario once more in the same arena, with no fault: it must succeed."""
    again = Run(scenario, ctx)
    try:
        again.prepare()
        again.go()
        again.finish()
    except Exception as error:  # noqa: BLE001 - as above
        again.error = error
        again.stack = _places(error)
        _let_go(error)
    if again.error is None:
        return ()
    text = f"without faults it ends with {type(again.error).__name__}: {again.error}"
    return (Finding(kind="rerun failed", detail=text, stack=again.stack),)


def end_context(ctx: Context) -> tuple[Finding, ...]:
    """Close and remove the arenas of a run that is over: closing hands back all that this process has of them."""
    try:
        ctx.close()
    except ShmallocError as error:
        return (Finding(kind="leak", detail=f"the arena cannot be left: {type(error).__name__}: {error}"),)
    finally:
        ctx.remove()
    return ()


def _gone(ctx: Context) -> tuple[Finding, ...]:
    from faultinj.sweep.context import own_objects

    return tuple(
        Finding(kind="leak", detail=f"the arena {name!r} is still in /dev/shm") for name in own_objects(ctx.name)
    )


def _with_stack(finding: Finding, stack: tuple[str, ...]) -> Finding:
    return Finding(kind=finding.kind, detail=finding.detail, stack=stack)
