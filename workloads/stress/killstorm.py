"""killstorm: processes die by SIGKILL, whatever they are doing, and others take their places; the survivors verify.

Every worker lives through the run and works; beside it works a child that it forked, a mortal. At seeded moments, one
every 20 ms over all workers together, a worker kills its mortal and forks the next. What a mortal held is found by
whoever recovers first: its killer at once, a process that attaches, or one that was about to sleep at a limit.
A death is no violation. A survivor that finds wrong bytes, or fails, is.
"""

from __future__ import annotations

import math
import mmap
import os
import random
import signal
import sys
import time
import traceback
from collections import deque
from typing import Final, NoReturn

import msgspec

import shmalloc
from workloads.context import Worker
from workloads.records import Settings, Violation
from workloads.stress.base import Workload
from workloads.stress.storm_labour import Labour, prepare_labour

KILL_EVERY_S: Final = 0.02
ROUNDS: Final = 16
MORTAL_LIMIT_S: Final = 60
# Cookies of mortals are signed with their process ids, apart from the ranks of workers.
MORTAL: Final = 1 << 31
# What a mortal counts, in memory that outlives it: a word that says which of two copies is whole, and the copies.
_COUNTED: Final = ("ops", "sealed", "verified", "remote_frees", "exhausted", "sleeps_timed_out")
_QUEUED: Final = ("put into queues", "taken from queues")
_COPY: Final = len(_COUNTED) + len(_QUEUED)


def kill_times(settings: Settings, rank: int) -> deque[float]:
    """Seconds after the start at which the mortal of a worker is killed: the seed deals one kill every 20 ms."""
    rng = random.Random(f"{settings.seed}:killstorm:kills")
    times = (place * KILL_EVERY_S for place in range(1, math.ceil(settings.seconds / KILL_EVERY_S)))
    return deque(at for at in times if rng.randrange(settings.cpus) == rank)


class KillStorm(Workload):
    """One operation is one item verified and freed, by a survivor or by a mortal."""

    name = "killstorm"
    summary = "processes are killed at any instruction, fifty a second, while others verify their bytes"
    rounds_in_small = 48
    cpus_default = 8

    def __init__(self) -> None:
        self._labour: Labour
        self._kills: deque[float] = deque()
        self._dice = random.Random()
        self._pid = 0
        self._said = -1
        self._tallies = mmap.mmap(-1, mmap.PAGESIZE)
        self._counters = memoryview(self._tallies).cast("q")

    def prepare(self, arena: shmalloc.Arena, settings: Settings) -> None:
        prepare_labour(arena, settings.cpus)

    def open(self, worker: Worker) -> None:
        self._labour = Labour(worker)
        worker.leak_from = self._labour.zone
        self._kills = kill_times(worker.settings, worker.rank)
        self._dice.seed(f"{worker.settings.seed}:killstorm:{worker.rank}")

    def run(self, worker: Worker) -> None:
        if worker.small:
            # Alone there is nobody to kill and nobody to kill it: what is left is the work.
            while worker.running():
                self._labour.round()
            return
        start_ns = worker.deadline_ns - int(worker.settings.seconds * 1e9)
        self._bear(worker)
        while worker.running():
            for _ in range(ROUNDS):
                begin = time.perf_counter_ns()
                self._labour.round()
                worker.pause(time.perf_counter_ns() - begin)
            if self._kills and time.perf_counter_ns() >= start_ns + int(self._kills[0] * 1e9):
                self._kills.popleft()
                self._kill(worker)
                self._bear(worker)
        self._kill(worker)
        # Whatever is still to be recovered, here or by another: afterwards every queue is whole.
        self._recover(worker)

    def drain(self, worker: Worker) -> None:
        while self._labour.get(worker.rank):
            continue
        self._labour.drop_all()

    # ---- the killer

    def _bear(self, worker: Worker) -> None:
        self._said, writable = os.pipe()
        parent = os.getpid()
        afresh = self._dice.random() < 0.5
        seed = self._dice.random()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._said)
            self._live_and_die(worker, writable, parent, seed, afresh)
        os.close(writable)

    def _kill(self, worker: Worker) -> None:
        """End the mortal. Sometimes recovery begins while it is still dying, sometimes it is left to somebody else."""
        draw = self._dice.random()
        os.kill(self._pid, signal.SIGKILL)
        if draw < 0.35:
            self._recover(worker)
        _, status = os.waitpid(self._pid, 0)
        if 0.35 <= draw < 0.7:
            self._recover(worker)
        code = os.waitstatus_to_exitcode(status)
        with os.fdopen(self._said, "rb") as pipe:
            lines = pipe.read().splitlines()
        for line in lines:
            said = msgspec.json.decode(line, type=Violation)
            worker.violation(said.kind, f"in a mortal: {said.detail}")
        if code == -signal.SIGKILL:
            worker.counts["kills"] += 1
        elif not lines:
            worker.violation("mortal-failed", f"process {self._pid} ended with {code} before it was killed")
        self._inherit(worker)

    def _inherit(self, worker: Worker) -> None:
        copy = 1 + self._counters[0] * _COPY
        for place, name in enumerate(_COUNTED, copy):
            setattr(worker, name, getattr(worker, name) + self._counters[place])
        for place, name in enumerate(_QUEUED, copy + len(_COUNTED)):
            worker.counts[name] += self._counters[place]
        self._tallies[:] = bytes(len(self._tallies))

    def _publish(self, mortal: Worker) -> None:
        """What a mortal counted, all of it or nothing: it may be killed between any two of these stores."""
        spare = 1 - self._counters[0]
        copy = 1 + spare * _COPY
        for place, name in enumerate(_COUNTED, copy):
            self._counters[place] = getattr(mortal, name)
        for place, name in enumerate(_QUEUED, copy + len(_COUNTED)):
            self._counters[place] = mortal.counts[name]
        # One store, after all those of the copy that it names.
        self._counters[0] = spare

    def _recover(self, worker: Worker) -> None:
        begin = time.perf_counter_ns()
        report = worker.arena.reap()
        if report.dead == 0:
            return
        worker.sample("recovery", time.perf_counter_ns() - begin)
        worker.counts["recoveries"] += 1
        worker.counts["dead found by their killers"] += report.dead
        worker.counts["items freed by recovery"] += report.freed
        worker.counts["operations finished or undone"] += report.undone
        worker.counts["items given their place in a queue again"] += report.requeued
        worker.peaks["world stopped"] = max(worker.peaks.get("world stopped", 0), report.stopped_ns)
        for cpu in report.cpus:
            worker.counts[f"died during {cpu.doing}"] += 1

    # ---- the mortal

    def _live_and_die(self, worker: Worker, writable: int, parent: int, seed: float, afresh: bool) -> NoReturn:
        code = 1
        try:
            # One that is forgotten ends itself.
            signal.alarm(MORTAL_LIMIT_S)
            settings = msgspec.structs.replace(worker.settings, sabotage="none")
            # Half of them attach like a stranger, and are killed while they do; half go on with what they inherited.
            arena = shmalloc.Arena.attach(worker.arena.name, cpu_name="mortal") if afresh else worker.arena
            mortal = Worker(settings=settings, rank=worker.rank, arena=arena)
            mortal.owner = MORTAL | os.getpid()
            mortal.rng.seed(f"{settings.seed}:{worker.rank}:{seed}")
            self._work_on(mortal, writable, parent)
        except shmalloc.ShmallocError:
            detail = traceback.format_exc(limit=-3)
            os.write(writable, msgspec.json.encode(Violation(kind="mortal-failed", detail=detail)) + b"\n")
        finally:
            # Nothing above may see this copy of the parent's stack, whatever was raised.
            if sys.exc_info()[0] is not None:
                traceback.print_exc()
                sys.stderr.flush()
            os._exit(code)

    def _work_on(self, mortal: Worker, writable: int, parent: int) -> None:
        labour = Labour(mortal)
        told = 0
        while os.getppid() == parent:
            for _ in range(ROUNDS):
                labour.round()
            self._publish(mortal)
            found = mortal.findings[told:]
            told += len(found)
            for violation in found:
                os.write(writable, msgspec.json.encode(violation) + b"\n")
