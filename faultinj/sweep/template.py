"""The warm process that victims are forked from: `python -m faultinj.sweep.template`.

It has everything imported, runs tasks that come through its standard input, each in a forked victim, and answers with
their outcomes on standard output. It owns the victims: it ends those that hang, tells of those that crash, removes
their arenas, and ends with whoever started it. It never runs a scenario itself.
"""

import faulthandler
import os
import select
import signal
import sys
import tempfile
import time
import traceback
from typing import NoReturn

import msgspec

from faultinj._faultinj import Block
from faultinj.record import Finding, Outcome, Trial
from faultinj.sweep import registry
from faultinj.sweep.context import BEGINNING, own_objects
from faultinj.sweep.course import Course, Task
from faultinj.sweep.frames import Frames, write_frame
from faultinj.sweep.mortal import hanging_stack, perform_kill
from faultinj.sweep.pdeath import die_with_parent
from faultinj.sweep.trial import Bench, injections, perform, reached_points
from shmalloc.naming import unlink_object

__all__ = ["Template", "main"]

_KILLING = ("kill", "kill-pair")
_PATIENCE = 3  # a trial may take so many times its scenario's limit: it runs it twice, and a mortal may hang first


class Template:
    """One warm process. owner: pid of whoever asked for the sweep; it stands in the arenas' names."""

    def __init__(self, owner: int, tasks: int) -> None:
        self.owner = owner
        self._tasks = tasks
        self.block = Block.anonymous()

    def run(self, task: Task, out: int) -> bool:
        """Run a task's trials in victims, as many as it takes; outcomes go to `out`. Returns: whether it was
        exhausted."""
        registry.load(task.modules)
        course = Course(task)
        while course.current is not None:
            self._victim(task, course, out)
        return course.exhausted

    def _victim(self, task: Task, course: Course, out: int) -> None:
        answer, told = os.pipe()
        with tempfile.TemporaryFile() as stacks:
            pid = os.fork()
            if pid == 0:
                os.close(answer)
                self._be_victim(task, course, told, stacks.fileno())
            os.close(told)
            try:
                self._relay(course, pid, answer, stacks.fileno(), out)
            finally:
                os.close(answer)
                for name in own_objects(f"{BEGINNING}{self.owner}-{pid}-"):
                    unlink_object(name, missing_ok=True)

    def _be_victim(self, task: Task, course: Course, told: int, stacks: int) -> NoReturn:
        status = 1
        try:
            die_with_parent()
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            faulthandler.register(signal.SIGUSR2, file=stacks, all_threads=True)
            faulthandler.enable(file=stacks)
            bench = Bench(self.block, owner=self.owner, oracles=task.oracles)
            while (trial := course.current) is not None:
                if trial.kind in _KILLING and not task.counting:
                    outcome = perform_kill(trial, bench)
                else:
                    outcome = perform(trial, bench, counting=task.counting)
                write_frame(told, msgspec.msgpack.encode(outcome))
                course.feed(outcome)
                if outcome.findings:
                    break  # what it left behind must not be the next trial's
            status = 0
        except BaseException:  # noqa: BLE001 - whoever waits for the status reads it there
            os.write(stacks, traceback.format_exc().encode())
        finally:
            os._exit(status)

    def _relay(self, course: Course, pid: int, answer: int, stacks: int, out: int) -> None:
        """Pass on what the victim says until it ends; what it cannot say itself is said for it."""
        frames = Frames(answer)
        hung: Outcome | None = None
        stack: tuple[str, ...] = ()
        start = time.monotonic()
        while True:
            trial = course.current
            limit_s = _PATIENCE * registry.find(trial.scenario).limit_s if trial is not None else 10.0
            left = max(0.0, start + limit_s - time.monotonic())
            ready, _, _ = select.select([answer, self._tasks], [], [], left)
            if self._tasks in ready:  # no task comes before this one is done: whoever gave it is gone
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                raise SystemExit(1)
            if not ready:
                # Told before it is asked for its stack: the signal may end its wait, and it goes on to other trials.
                hung = self._told(trial, "hang", "the run did not end in time", limit_s) if trial is not None else None
                stack = hanging_stack(pid, stacks)
                os.kill(pid, signal.SIGKILL)
                break
            got = frames.more()
            for raw in got:
                write_frame(out, raw)
                course.feed(msgspec.msgpack.decode(raw, type=Outcome))
                start = time.monotonic()
            if frames.ended:
                break
        _, status = os.waitpid(pid, 0)
        trial = course.current
        if trial is None or (hung is None and status == 0):
            return
        outcome = hung or self._crashed(trial, status, stacks, time.monotonic() - start)
        if stack:
            outcome = _with_stack(outcome, stack)
        write_frame(out, msgspec.msgpack.encode(outcome))
        course.feed(outcome)

    def _crashed(self, trial: Trial, status: int, stacks: int, seconds: float) -> Outcome:
        stack = tuple(os.pread(stacks, 1 << 16, 0).decode("utf-8", "replace").splitlines())
        if os.WIFSIGNALED(status):
            how = f"ended by {signal.Signals(os.WTERMSIG(status)).name}"
        else:
            how = f"left with status {os.WEXITSTATUS(status)}: {stack[-1] if stack else 'it said nothing'}"
        return _with_stack(self._told(trial, "crash", f"the run {how}", seconds), stack)

    def _told(self, trial: Trial, kind: str, detail: str, seconds: float) -> Outcome:
        """What a victim cannot say itself."""
        return Outcome(
            trial=trial,
            verdict="finding",
            result=kind,
            injected=injections(self.block),
            findings=(Finding(kind=kind, detail=detail),),
            reached=reached_points(self.block),
            seconds=seconds,
        )


def _with_stack(outcome: Outcome, stack: tuple[str, ...]) -> Outcome:
    findings = tuple(msgspec.structs.replace(finding, stack=stack) for finding in outcome.findings)
    return msgspec.structs.replace(outcome, findings=findings)


def main() -> None:
    """Serve tasks until standard input ends."""
    owner = int(sys.argv[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C is for whoever started us, who ends us
    tasks, out = os.dup(0), os.dup(1)
    os.dup2(2, 1)  # what a scenario prints does not get among the outcomes
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    registry.load()
    template = Template(owner, tasks)
    frames = Frames(tasks)
    while not frames.ended:
        for raw in frames.more():
            exhausted = template.run(msgspec.msgpack.decode(raw, type=Task), out)
            write_frame(out, b"+" if exhausted else b"-")


if __name__ == "__main__":
    main()
