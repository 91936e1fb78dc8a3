"""One worker process as the runner sees it: started, spoken to, listened to, ended.

Owns the child and its pipes. Must not decide what a report means. The child leads a process group of its own, so
that ending it also ends what it forked, and nothing else.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import IO

from workloads.records import Assignment, Phase, Ready, Report, Tally, Tick, WorkerRecord, decode_report, encode_line

_STDERR_SHOWN_BYTES = 2000


class ProcessEnd:
    """A child's end as something to wait for without collecting its status."""

    def __init__(self, pid: int) -> None:
        self._descriptor = os.pidfd_open(pid)

    def wait(self, patience_s: float) -> bool:
        """Returns: whether it ended in time."""
        return bool(select.select([self._descriptor], [], [], patience_s)[0])

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._descriptor)


class WorkerProcess:
    """A started worker. Lines that it writes arrive through `reports`."""

    def __init__(self, assignment: Assignment) -> None:
        self.rank = assignment.rank
        self.life = assignment.life
        self.core = assignment.core
        self.ready: Ready | None = None
        self.tally: Tally | None = None
        self.phases: set[str] = set()
        self.ticks: list[Tick] = []
        self.gone = False
        self.hung = False
        # By the runner, on purpose: its end is no finding.
        self.killed = False
        # The end of what it wrote to standard error, once it has ended.
        self.errors = ""
        self._pending = b""
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in end()
        self._child = subprocess.Popen(
            [sys.executable, "-m", "workloads.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            bufsize=0,
            process_group=0,
        )
        os.set_blocking(self.fileno(), False)
        self.say(encode_line(assignment))

    @property
    def pid(self) -> int:
        """The process id, also after its end."""
        return self._child.pid

    def fileno(self) -> int:
        """What a selector waits on."""
        assert self._child.stdout is not None
        return self._child.stdout.fileno()

    def say(self, line: bytes) -> None:
        """Send a command. A worker that died does not hear it: its end is seen by `reports`."""
        assert self._child.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._child.stdin.write(line)

    def reports(self) -> Iterator[Report]:
        """What has arrived since; notes ready, ticks, phases and the tally. Sets gone at the end of the pipe."""
        while True:
            try:
                data = os.read(self.fileno(), 65536)
            except BlockingIOError:
                return
            if not data:
                self.gone = True
                return
            *lines, self._pending = (self._pending + data).split(b"\n")
            for line in lines:
                report = decode_report(line)
                self._note(report)
                yield report

    def _note(self, report: Report) -> None:
        if isinstance(report, Ready):
            self.ready = report
        elif isinstance(report, Tick):
            self.ticks.append(report)
        elif isinstance(report, Phase):
            self.phases.add(report.name)
        else:
            self.tally = report

    def end(self, patience_s: float) -> int:
        """Wait for the end; after patience_s kill the worker and what it forked. Returns: the exit code."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.close()
        with contextlib.closing(ProcessEnd(self._child.pid)) as process_end:
            process_end.wait(patience_s)
        # Not yet waited for, so the number is still ours, and so is the group: whatever the worker forked is in it.
        self.kill()
        code = self._child.wait()
        self._child.stdout.close()
        self.errors = self._last_errors()
        self._errors.close()
        return code

    def kill(self) -> None:
        """End the worker's process group. Only before `end` has collected its status."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)

    def _last_errors(self) -> str:
        self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, self._errors.tell() - _STDERR_SHOWN_BYTES))
        return self._errors.read().decode(errors="replace").strip()

    def record(self, exit_code: int | None, start_ns: int) -> WorkerRecord:
        """This worker in the result; ticks become (seconds since the start, operations so far)."""
        return WorkerRecord(
            rank=self.rank,
            pid=self.pid,
            cpu_id=self.ready.cpu_id if self.ready else None,
            core=self.core,
            exit_code=exit_code,
            tally=self.tally,
            series=[(round((tick.time_ns - start_ns) / 1e9, 3), tick.ops) for tick in self.ticks],
            life=self.life,
            killed=self.killed,
        )
