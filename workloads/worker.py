"""One worker process: `python -m workloads.worker`, started by the runner and by nobody else.

Owns the life of a worker: read the assignment, pin, attach, wait for the start, loop, drain, close. Speaks lines of
JSON: assignment and commands on standard input, reports on the standard output that it was started with.
Must not outlive its runner: the end of standard input ends it.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from typing import BinaryIO

import msgspec
import psutil

import shmalloc
from workloads import registry
from workloads.context import Worker
from workloads.records import Assignment, Phase, Ready, Tick, decode_assignment, encode_line


class RunnerGone(Exception):
    """Standard input ended: nobody waits for this worker any more."""


def _expect(commands: BinaryIO, word: bytes) -> list[bytes]:
    line = commands.readline().split()
    if not line:
        raise RunnerGone
    if line[0] != word:
        raise RuntimeError(f"the runner said {line[0]!r} where {word!r} was expected")
    return line[1:]


def _private_output() -> BinaryIO:
    """Keep the report pipe to ourselves: whatever prints goes to standard error."""
    reports = os.fdopen(os.dup(1), "wb", buffering=0)
    os.set_inheritable(reports.fileno(), False)
    os.dup2(2, 1)
    return reports


def _serve(assignment: Assignment, commands: BinaryIO, reports: BinaryIO) -> None:
    if assignment.core is not None:
        psutil.Process().cpu_affinity([assignment.core])
    settings = assignment.settings
    workload = registry.find(settings.workload)()

    def emit(tick: Tick) -> None:
        reports.write(encode_line(tick))

    with shmalloc.Arena.attach(assignment.arena, cpu_name=f"{settings.workload}.{assignment.rank}") as arena:
        worker = Worker(settings=settings, rank=assignment.rank, arena=arena, emit=emit, life=assignment.life)
        workload.open(worker)
        gc.collect()
        gc.freeze()
        reports.write(encode_line(Ready(pid=os.getpid(), cpu_id=arena.cpu_id, core=assignment.core)))
        worker.deadline_ns = int(_expect(commands, b"go")[0])
        begin, used = time.perf_counter_ns(), time.process_time()
        workload.run(worker)
        busy_s = (time.perf_counter_ns() - begin) / 1e9
        worker.cpu_s = time.process_time() - used
        reports.write(encode_line(Tick(time_ns=time.perf_counter_ns(), ops=worker.ops)))
        reports.write(encode_line(Phase(name="looped")))
        _expect(commands, b"drain")
        workload.drain(worker)
        reports.write(encode_line(Phase(name="drained")))
        _expect(commands, b"close")
        reports.write(encode_line(worker.tally(busy_s)))


def main() -> int:
    """Run as a process. Returns: 0; 3 when the runner went away; an exception is left to end the process."""
    reports = _private_output()
    commands = sys.stdin.buffer
    try:
        line = commands.readline()
        if not line:
            raise RunnerGone
        _serve(decode_assignment(line), commands, reports)
    except (RunnerGone, BrokenPipeError):
        return 3
    except msgspec.MsgspecError as error:
        print(f"not an assignment: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
