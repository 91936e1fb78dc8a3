"""Run one workload: an arena, N pinned processes, a common start, a deadline, and a reckoning at the end.

Owns the arena of the run and every worker. A worker that dies, hangs, or says nothing is a violation, and no phase
lasts longer than its limit. Whatever happens, no process and no arena is left behind.
"""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
import selectors
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import psutil

import shmalloc
from workloads import histogram, registry
from workloads.capture import BUNDLED
from workloads.context import PAUSE
from workloads.killing import NotRecovered, kill_and_recover, planned_kills
from workloads.process import WorkerProcess
from workloads.reckoning import Reckoning, lost_in_transit
from workloads.records import (
    Assignment,
    MachineRecord,
    RecoveryRecord,
    RunResult,
    Settings,
    Tick,
    Violation,
    WatchRecord,
)

Progress = Callable[[float, int], None]


def run_workload(settings: Settings, progress: Progress | None = None) -> RunResult:
    """Run a workload to its end.

    Parameters: progress: called a few times a second with the seconds since the start and the operations so far.
    Raises: UnknownWorkload, BadCapture: before anything is started.
    """
    return _Run(settings, progress).result()


class _Run:
    def __init__(self, settings: Settings, progress: Progress | None) -> None:
        self._settings = settings
        self._progress = progress
        self._workload = registry.find(settings.workload)()
        self._workers: list[WorkerProcess] = []
        self._violations: list[Violation] = []
        self._start_ns = 0
        self._deadline_ns = 0
        self._latest: dict[int, int] = {}
        self._cores = psutil.Process().cpu_affinity()
        self._kills = planned_kills(settings)
        self._recoveries: list[RecoveryRecord] = []
        self._witness: WatchRecord | None = None

    def result(self) -> RunResult:
        settings = self._settings
        started = datetime.now(UTC).isoformat(timespec="seconds")
        name = f"workloads-{settings.workload}-{os.getpid()}-{secrets.token_hex(3)}"
        with self._arena(name) as arena, self._watched(arena):
            self._workload.prepare(arena, settings)
            if settings.failure_rate:
                arena.sysctl["debug.malloc.failure_rate"] = settings.failure_rate
            try:
                self._launch(name)
                reckoning = self._conduct(arena)
            finally:
                exit_codes = self._end_all()
            self._blame(exit_codes)
            self._bury(arena)
            reckoning.close(arena, self._all_alive())
        self._violations.extend(left_in_memory(name))
        for worker in self._workers:
            if worker.tally is not None:
                self._violations.extend(worker.tally.violations)
                hidden = worker.tally.violations_total - len(worker.tally.violations)
                if hidden:
                    self._note("more", f"and {hidden} more violations of this worker", worker.rank)
        if self._all_alive() and not self._recoveries:
            # What the killed had counted is gone with them.
            self._violations.extend(lost_in_transit([w.tally for w in self._workers if w.tally is not None]))
        return self._summary(started, reckoning, exit_codes)

    @contextlib.contextmanager
    def _arena(self, name: str) -> Iterator[shmalloc.Arena]:
        # The workers, the runner, and whatever a workload forks besides.
        slots = 8 + 4 * self._settings.cpus
        kind = self._workload
        arena = shmalloc.Arena.create(name, max_size=kind.max_size, max_cpus=slots, cpu_name="runner", trace=kind.trace)
        try:
            with arena:
                yield arena
        finally:
            shmalloc.Arena.unlink_name(name)

    @contextlib.contextmanager
    def _watched(self, arena: shmalloc.Arena) -> Iterator[None]:
        """Under witness if the run is to be: armed before anybody attaches, read when all have ended."""
        if not self._settings.witness:
            yield
            return
        from workloads.watching import Watch, counted_against

        watch = Watch(arena)
        yield
        self._witness = watch.record(f"workloads run {self._settings.workload}", self._workload.intended)
        self._violations += counted_against(self._witness)

    # ---- phases

    def _launch(self, name: str) -> None:
        for rank in range(self._settings.cpus):
            self._start(name, rank, 0)

    def _start(self, name: str, rank: int, life: int) -> WorkerProcess:
        core = self._cores[rank % len(self._cores)] if self._cores else None
        worker = WorkerProcess(Assignment(settings=self._settings, arena=name, rank=rank, core=core, life=life))
        self._workers.append(worker)
        return worker

    def _conduct(self, arena: shmalloc.Arena) -> Reckoning:
        settings = self._settings
        self._listen(lambda worker: worker.ready is not None, settings.startup_s, "start")
        self._start_ns = time.perf_counter_ns()
        self._deadline_ns = self._start_ns + int(settings.seconds * 1e9)
        self._say(self._go())
        for at_s, rank in self._kills:
            self._listen(lambda worker: "looped" in worker.phases, at_s - self._elapsed_s(), "loop", kill=False)
            self._kill(arena, rank)
        left_s = settings.seconds - self._elapsed_s()
        self._listen(lambda worker: "looped" in worker.phases, left_s + settings.grace_s, "loop")
        self._say("drain\n")
        self._listen(lambda worker: "drained" in worker.phases, settings.grace_s, "drain")
        if not self._all_alive():
            # What was on its way to the dead is not leaked.
            self._workload.sweep(arena, settings)
        self._bury(arena)
        # Everybody is attached and says that it holds nothing: what is used now is leaked.
        reckoning = Reckoning.take(arena)
        self._say("close\n")
        self._listen(lambda worker: worker.tally is not None, settings.grace_s, "close")
        return reckoning

    def _go(self) -> str:
        return f"go {self._deadline_ns}\n"

    def _elapsed_s(self) -> float:
        return (time.perf_counter_ns() - self._start_ns) / 1e9

    def _kill(self, arena: shmalloc.Arena, rank: int) -> None:
        """Kill a worker in the middle of its work; another takes its rank, as the survivors go on."""
        victim = next((w for w in reversed(self._workers) if w.rank == rank and not w.gone), None)
        if victim is None:
            return
        # One that took the place of another may still be starting: it is killed at work, not before it has attached.
        self._listen(lambda worker: worker is not victim or worker.ready is not None, self._settings.startup_s, "start")
        if victim.gone:
            return
        victim.killed = victim.gone = True
        try:
            self._recoveries.append(kill_and_recover(arena, victim.pid, self._elapsed_s()))
        except (shmalloc.ShmallocError, NotRecovered) as error:
            self._note("not-recovered", str(error), rank)
        for _ in victim.reports():
            continue
        # Its start overlaps with the work of the others: what it is to do waits in its pipe.
        self._start(arena.name, rank, victim.life + 1).say(self._go().encode())

    def _say(self, line: str) -> None:
        for worker in self._workers:
            if not worker.gone:
                worker.say(line.encode())

    def _listen(self, done: Callable[[WorkerProcess], bool], limit_s: float, phase: str, *, kill: bool = True) -> None:
        """Until every living worker is done with a phase, or its time is over: then, if kill, the rest are killed."""
        until = time.monotonic() + limit_s
        with selectors.DefaultSelector() as selector:
            for worker in self._workers:
                if not worker.gone:
                    selector.register(worker, selectors.EVENT_READ, worker)
            while waiting := [worker for worker in self._workers if not worker.gone and not done(worker)]:
                left = until - time.monotonic()
                if left <= 0:
                    for worker in waiting if kill else ():
                        self._note(
                            "worker-hung", f"no end of phase {phase!r} within {limit_s:g} s: killed", worker.rank
                        )
                        worker.kill()
                        worker.gone = worker.hung = True
                    return
                for key, _ in selector.select(min(left, 0.25)):
                    self._hear(key.data, done, phase)
                    if key.data.gone:
                        selector.unregister(key.data)
                self._show()

    def _hear(self, worker: WorkerProcess, done: Callable[[WorkerProcess], bool], phase: str) -> None:
        for report in worker.reports():
            if isinstance(report, Tick):
                self._latest[worker.pid] = report.ops
        if worker.gone and not done(worker):
            self._note("worker-died", f"ended in phase {phase!r}", worker.rank)

    def _show(self) -> None:
        if self._progress is not None and self._start_ns:
            self._progress((time.perf_counter_ns() - self._start_ns) / 1e9, sum(self._latest.values()))

    def _end_all(self) -> dict[int, int]:
        # One that reported, or closed its pipe, is about to end by itself; anything else is in the way of an error.
        return {
            worker.pid: worker.end(self._settings.grace_s if worker.tally or (worker.gone and not worker.hung) else 0.0)
            for worker in self._workers
        }

    def _all_alive(self) -> bool:
        return not any(violation.kind in ("worker-died", "worker-hung") for violation in self._violations)

    def _bury(self, arena: shmalloc.Arena) -> None:
        """Attach once more where CPUs died: a CPU that arrives reaps those that left without a word."""
        if not all(cpu.alive for cpu in arena.cpus()):
            with shmalloc.Arena.attach(arena.name, cpu_name="reaper"):
                pass

    def _by_rank(self) -> list[WorkerProcess]:
        return sorted(self._workers, key=lambda worker: (worker.rank, worker.life))

    # ---- the reckoning

    def _note(self, kind: str, detail: str, rank: int | None = None) -> None:
        self._violations.append(Violation(kind=kind, detail=detail, rank=rank))

    def _blame(self, exit_codes: dict[int, int]) -> None:
        for worker in self._workers:
            code = exit_codes[worker.pid]
            if code != 0 and not worker.killed:
                how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
                self._note("worker-exit", f"{how}{': ' + worker.errors if worker.errors else ''}", worker.rank)

    def _summary(self, started: str, reckoning: Reckoning, exit_codes: dict[int, int]) -> RunResult:
        settings = self._settings
        records = [worker.record(exit_codes[worker.pid], self._start_ns) for worker in self._by_rank()]
        tallies = [record.tally for record in records if record.tally is not None]
        counts: Counter[str] = Counter()
        for tally in tallies:
            counts.update(tally.counts)
            for field in ("sealed", "verified", "sent", "received", "remote_frees", "exhausted", "sleeps_timed_out"):
                counts[field] += getattr(tally, field)
        ops = sum(tally.ops for tally in tallies)
        busy_s = max((tally.busy_s for tally in tallies), default=settings.seconds)
        names = sorted({name for tally in tallies for name in tally.histograms})
        leaked = reckoning.leaked_items
        histograms = {
            name: histogram.merge(t.histograms[name] for t in tallies if name in t.histograms) for name in names
        }
        pause_p99_ns = histogram.quantile_ns(histograms.get(PAUSE, []), 0.99)
        peaks: dict[str, int] = {}
        for tally in tallies:
            for name, value in tally.peaks.items():
                peaks[name] = max(value, peaks.get(name, 0))
        pause_max_ns = peaks.get(PAUSE)
        return RunResult(
            workload=settings.workload,
            cpus=settings.cpus,
            seconds=settings.seconds,
            seed=settings.seed,
            ops=ops,
            ops_per_second=round(ops / busy_s, 1) if busy_s else 0.0,
            violations=self._violations,
            leaked_items=leaked,
            findings=reckoning.findings,
            zones=reckoning.zones,
            ok=not self._violations and not leaked and not reckoning.findings,
            check=reckoning.check,
            workers=records,
            cpu_list=reckoning.cpus,
            cpu_zones=reckoning.cpu_zones,
            malloc_types=reckoning.malloc_types,
            counts=dict(counts),
            histograms=histograms,
            peaks=peaks,
            mbufs=reckoning.mbufs,
            holdings=[holding for tally in tallies for holding in tally.holdings],
            witness=self._witness,
            kills=counts["kills"] + sum(worker.killed for worker in self._workers),
            recoveries=self._recoveries,
            pause_p99_us=None if pause_p99_ns is None else round(pause_p99_ns / 1e3, 1),
            pause_max_us=None if pause_max_ns is None else round(pause_max_ns / 1e3, 1),
            source=(Path(settings.pcap).name if settings.pcap else BUNDLED) if self._workload.replays else None,
            machine=describe_machine(),
            started=started,
        )


def left_in_memory(name: str) -> list[Violation]:
    """What is left of an arena after its unlink."""
    return [
        Violation(kind="left-in-shm", detail=f"{path} is still there") for path in Path("/dev/shm").glob(f"*{name}*")
    ]


def describe_machine() -> MachineRecord:
    """The machine by its kind, never by its name."""
    model = platform.machine()
    with contextlib.suppress(FileNotFoundError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return MachineRecord(
        cores=len(psutil.Process().cpu_affinity()),
        model=model,
        kernel=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        shmalloc=metadata.version("shmalloc"),
    )
