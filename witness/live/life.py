"""Whether a thread still lives. Asks the kernel; owns nothing.

A slot of a block names pid and tid. The pid may be another process's by now, which is told by the object that a watched
process has mapped; a process that was killed and not waited for yet is a zombie, and dead.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from witness.live.blocks import arenas_of_pid

__all__ = ["Life", "life_of"]

Life = Literal["lives", "ended", "died", "elsewhere"]
"""`ended`: the thread has, its process lives; `died`: the process did; `elsewhere`: its pid is another namespace's."""
_MOST_TID = 1 << 22  # PID_MAX_LIMIT of Linux


def life_of(pid: int, tid: int, *, arena: str) -> Life:
    """Whether the thread of a process that has this arena mapped still lives.

    A number that no thread can have is of something inside of the process, which lives as long as its main thread.
    """
    if tid > _MOST_TID:
        tid = pid
    if _runs(f"{pid}/task/{tid}"):
        return "lives" if _maps(pid, arena) else "died"
    tasks = Path(f"/proc/{pid}/task")
    try:
        alive = any(_runs(f"{pid}/task/{task.name}") for task in tasks.iterdir())
    except OSError:
        alive = False
    return "ended" if alive and _maps(pid, arena) else "died"


def _runs(task: str) -> bool:
    try:
        line = Path("/proc", task, "stat").read_bytes()
    except OSError:
        return False
    return line.rpartition(b")")[2].split()[:1] not in ([b"Z"], [b"X"], [])


def _maps(pid: int, arena: str) -> bool:
    try:
        return arena in arenas_of_pid(pid)
    except PermissionError:
        return True  # it cannot be looked at: the pid has to do
    except OSError:
        return False
