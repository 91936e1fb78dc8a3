"""`shmalloc gc --watch`: a supervisor on the command line, and how recoveries are shown there."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from types import FrameType

from shmalloc.cli import screen
from shmalloc.recovery import RecoveryReport
from shmalloc.report.recovery import death_table, recovery_line, recovery_table
from shmalloc.supervisor import Recovered, Supervisor, Trouble

_ENDS = (signal.SIGINT, signal.SIGTERM)


def show_recoveries(named: Sequence[tuple[str, RecoveryReport]]) -> None:
    """Print the deaths, then what each recovery of (arena, report) did and took."""
    screen.show(death_table(named), title=True)
    if named:
        screen.say("")
        screen.show(recovery_table(named), title=True)


def watch(names: list[str], *, once: bool, seconds: float | None, every_s: float, as_json: bool) -> None:
    """Supervise these arenas, or all, until SIGINT or SIGTERM, for so many seconds, or for one look."""
    supervisor = Supervisor(*names, told=_tell_json if as_json else _tell, every_s=every_s)
    with closing(supervisor), _ended_by_signals(supervisor):
        if once:
            supervisor.step()
        else:
            supervisor.run(seconds)


@contextmanager
def _ended_by_signals(supervisor: Supervisor) -> Iterator[None]:
    def end(number: int, frame: FrameType | None) -> None:
        supervisor.stop()

    before = {number: signal.signal(number, end) for number in _ENDS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tell(what: Recovered | Trouble) -> None:
    if isinstance(what, Trouble):
        screen.complain(f"{what.arena}: {what.reason}")
    else:
        screen.say(f"{what.arena}: {recovery_line(what.report)}")


def _tell_json(what: Recovered | Trouble) -> None:
    if isinstance(what, Trouble):
        screen.complain(f"{what.arena}: {what.reason}")
    else:
        screen.show_json(screen.plain(what), one_line=True)
