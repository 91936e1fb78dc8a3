"""Trials that kill: a mortal process runs the scenario and dies in it; this process survives, recovers and judges.

Owns the processes that it forks and their time limits. Runs in a victim, too: recovery may hang or crash.
"""

import faulthandler
import os
import select
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from faultinj.record import Finding, Injection, Outcome, Trial
from faultinj.sweep.context import ChildKilled, Context, own_objects
from faultinj.sweep.evidence import Evidence
from faultinj.sweep.oracle import judge, settled
from faultinj.sweep.pdeath import die_with_parent
from faultinj.sweep.registry import Scenario, find
from faultinj.sweep.trial import Bench, Run, end_context, injections, reached_points, rerun
from shmalloc import Arena, registry
from shmalloc.errors import ArenaHalfMade, ArenaNotFound, ShmallocError

__all__ = ["Death", "perform_kill", "watch"]

_STACK_S = 2.0  # how long a hanging process may take to write its stack


@dataclass(frozen=True, slots=True)
class Death:
    """How a process ended. signal: 0 when it left; stack: what a hanging one was doing; said: what it wrote."""

    hung: bool
    signal: int
    status: int
    stack: tuple[str, ...]
    said: bytes = b""


def watch(work: Callable[[], bytes], limit_s: float) -> Death:
    """Do some work in a forked process and wait for its end, at most limit_s seconds; then it is ended."""
    answer, told = os.pipe()
    with tempfile.TemporaryFile() as stacks:
        pid = os.fork()
        if pid == 0:
            os.close(answer)
            _be(work, told, stacks.fileno())
        os.close(told)
        try:
            return _wait(pid, answer, stacks.fileno(), limit_s)
        finally:
            os.close(answer)


def _be(work: Callable[[], bytes], told: int, stacks: int) -> NoReturn:
    status = 1
    try:
        die_with_parent()
        faulthandler.register(signal.SIGUSR2, file=stacks, all_threads=True)
        os.write(told, work())
        status = 0
    finally:
        os._exit(status)


def _wait(pid: int, answer: int, stacks: int, limit_s: float) -> Death:
    deadline = time.monotonic() + limit_s
    said = bytearray()
    hung = False
    while True:
        left = deadline - time.monotonic()
        ready, _, _ = select.select([answer], [], [], max(0.0, left))
        if not ready:
            hung = True
            break
        part = os.read(answer, 1 << 16)
        if not part:
            break
        said += part
    stack: tuple[str, ...] = ()
    if hung:
        stack = hanging_stack(pid, stacks)
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    return Death(hung, number, os.WEXITSTATUS(status) if not number else 0, stack, bytes(said))


def hanging_stack(pid: int, stacks: int) -> tuple[str, ...]:
    """The Python stack of a process that answers to SIGUSR2 by writing it into this file, innermost first."""
    os.kill(pid, signal.SIGUSR2)
    deadline = time.monotonic() + _STACK_S
    text, before = b"", b"-"
    while (not text or text != before) and time.monotonic() < deadline:
        before = text
        select.select([], [], [], 0.05)
        text = os.pread(stacks, 1 << 16, 0)
    return tuple(line.strip() for line in text.decode("utf-8", "replace").splitlines() if line.strip())


# ---------------------------------------------------------------- one trial


def perform_kill(trial: Trial, bench: Bench) -> Outcome:
    """Run one trial of a kind that kills: the scenario in a process that dies, then recovery and the oracle here.

    The block is left to the next: for ``kill-pair`` a second process recovers and meets the second fault.
    """
    scenario = find(trial.scenario)
    start = time.perf_counter()
    ctx = bench.context(trial.seed)
    bench.block.reset()
    findings: tuple[Finding, ...] = ()
    result = "success"
    try:
        death = watch(lambda: _mortal(scenario, ctx, bench, trial), scenario.limit_s)
        second = None
        if trial.kind == "kill-pair" and _injected(bench) == 1 and not death.hung:
            second = watch(lambda: _recover(ctx), scenario.limit_s)
        count = _injected(bench)
        bench.disarm()
        reached, injected = reached_points(bench.block), injections(bench.block)
        findings = (*_ended(death, injected, "the scenario"), *_ended(second, injected, "the recovery"))
        result = "killed" if injected else death.said.decode() or "success"
        if not findings:
            findings = _after(scenario, ctx, bench, injected)
    finally:
        bench.disarm()
        _clear(ctx)
    findings = (*findings, *_left(ctx))
    return Outcome(
        trial=trial,
        # A process of the scenario that was killed: the mortal lived on, and switched the faults off with their count.
        verdict="finding" if findings else "clean" if count or injected else "nothing injected",
        result=result,
        injected=injected,
        findings=findings,
        reached=reached,
        seconds=time.perf_counter() - start,
    )


def _injected(bench: Bench) -> int:
    return int(bench.block.sweep_state()[1])


def _mortal(scenario: Scenario, ctx: Context, bench: Bench, trial: Trial) -> bytes:
    run = Run(scenario, ctx)
    run.prepare()
    bench.block.reset()
    bench.arm(trial)
    run.go()
    if trial.kind != "kill-pair" or not _injected(bench):
        bench.disarm()
    killed = isinstance(run.error, ChildKilled)
    run.finish()
    if not killed:
        ctx.close()
    return b"success" if run.error is None else type(run.error).__name__.encode()


def _recover(ctx: Context) -> bytes:
    """The first process that comes after the death: it attaches, which recovers, and looks."""
    try:
        with Arena.attach(ctx.name) as arena:
            arena.reap()
    except ArenaNotFound:
        return b"no arena"
    except ShmallocError as error:
        return type(error).__name__.encode()
    return b"recovered"


def _ended(death: Death | None, injected: tuple[Injection, ...], what: str) -> tuple[Finding, ...]:
    if death is None:
        return ()
    if death.hung:
        return (Finding(kind="hang", detail=f"{what} did not end in time", stack=death.stack),)
    if death.signal and not (death.signal == signal.SIGKILL and injected):
        name = signal.Signals(death.signal).name
        return (Finding(kind="crash", detail=f"{what} ended by {name}", stack=death.stack),)
    if death.status:
        detail = f"{what} left with status {death.status}: an error outside of its faulted part"
        return (Finding(kind="crash", detail=detail),)
    return ()


def _after(scenario: Scenario, ctx: Context, bench: Bench, injected: tuple[Injection, ...]) -> tuple[Finding, ...]:
    """Recovery by this process, the oracle, and the scenario once more."""
    for name in own_objects(ctx.name):
        if name != ctx.name or not _whole(name):
            # As `shmalloc gc` would: what nobody is attached to goes, and what is half made at once: its maker is dead.
            for action in registry.gc(names=[name], half_made_after_s=0.0):
                if action.action == "failed":
                    return (Finding(kind="leak", detail=f"gc cannot remove {name!r}: {action}"),)
    arena = ctx.arena
    arena.reap()
    settled(arena)
    if scenario.settle is not None:
        scenario.settle(ctx)
    evidence = Evidence(scenario, ctx.name, arena, injected=injected, died=True)
    return (*judge(evidence, bench.companions), *rerun(scenario, ctx))


def _whole(name: str) -> bool:
    try:
        Arena.attach(name, read_only=True).close()
    except (ArenaHalfMade, ArenaNotFound):
        return False
    return True


def _clear(ctx: Context) -> None:
    end_context(ctx)


def _left(ctx: Context) -> tuple[Finding, ...]:
    return tuple(
        Finding(kind="leak", detail=f"the arena {name!r} is still in /dev/shm") for name in own_objects(ctx.name)
    )
