"""Entering a process: it joins the block of its tree, and what it gets from the system goes by points from then on.

Owns the names of the environment variables that children inherit. Imported by every interpreter of a run.
"""

from __future__ import annotations

import atexit
import json
import os
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["HOOK", "LOG", "PLAN", "enter", "hook_directory"]

PLAN = "FAULTINJ_RUN_PLAN"
"""The run's plan, for points that the program declares."""
LOG = "FAULTINJ_RUN_LOG"
"""The path of the file to which each injected error is appended, a line of JSON."""
HOOK = "FAULTINJ_RUN_HOOK"
"""The directory of the hook on PYTHONPATH, so that it can be told from the program's own directories."""
_MOST_FRAMES = 12


def hook_directory() -> str:
    """The directory whose sitecustomize enters interpreters."""
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "hook")


def enter() -> bool:
    """Join the run that the environment names. Returns: whether this process belongs to one."""
    if PLAN not in os.environ:
        return False
    from faultinj import _faultinj, declared, process
    from faultinj.run import wrap
    from faultinj.run.places import declare_places

    block = process.in_use()  # importing faultinj joined it
    if block is None:
        return False
    points = declare_places()
    _stand(os.environ[PLAN])
    declared.observe(_write_down)
    wrap.put_in_place(points.values())
    import pkgutil
    import runpy  # the interpreter's own imports for `-m` are not the program's

    del pkgutil, runpy
    _faultinj.frames_count(passing=_PASSING)
    _faultinj.fail_memory(block.point("memory.alloc"), at_program=True)
    _spare_shutdown()
    atexit.register(_faultinj.fail_memory, None)
    return True


def _spare_shutdown() -> None:
    """The interpreter's waiting for threads is Python too, but none of the program's: it reaches no memory.alloc, while
    the threads that it waits for do."""
    from faultinj import _faultinj

    genuine = threading._shutdown  # type: ignore[attr-defined]

    def shutdown() -> None:
        _faultinj.spare_memory(True)
        genuine()

    threading._shutdown = shutdown  # type: ignore[attr-defined]


def _stand(text: str) -> None:
    """The plan also holds for points that the program declares; who of the tree declares one first sets it."""
    from faultinj import declared, process
    from faultinj.grammar import parse_plan
    from faultinj.plan import matching
    from faultinj.program import Setting

    plan = parse_plan(text) if text else None

    def on_declaration(point: declared.Point) -> None:
        block = process.in_use()
        if plan is None or block is None or block.setting(block.point(point.name)) is not None:
            return
        for setting in plan.settings:
            if matching(setting.points, (point.name,)):
                process.apply((Setting(point.name, setting.program),), block)

    declared.watch_declarations(on_declaration)


def _write_down(point: object, error: BaseException) -> None:
    """One line in the run's log: the injected error and where it came up."""
    from faultinj import _faultinj

    path = os.environ.get(LOG)
    if not path:
        return
    _faultinj.spare_memory(True)
    try:
        _append(path, point, error)
    finally:
        _faultinj.spare_memory(False)


def _append(path: str, point: object, error: BaseException) -> None:
    frames: list[str] = []
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and len(frames) < _MOST_FRAMES:
        code = frame.f_code
        if not code.co_filename.startswith(_OWN):
            frames.append(f"{code.co_filename}:{frame.f_lineno} {code.co_name}")
        frame = frame.f_back
    line = {
        "pid": os.getpid(),
        "point": getattr(point, "name", ""),
        "error": _last_line(error),
        "stack": frames,
    }
    # By the system's own calls, kept from before they were replaced: telling of a fault reaches no point.
    fd = _open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    try:
        _write(fd, (json.dumps(line) + "\n").encode())
    finally:
        os.close(fd)


_open, _write = os.open, os.write
_OWN = (os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep, "<frozen", "faultinj/_faultinj.pyx")
_PASSING = _OWN[:1]


def _last_line(error: BaseException) -> str:
    """What a traceback ends with. The module traceback would look for files, which are under faults."""
    kind = type(error)
    name = (
        kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    )
    text = str(error)
    return f"{name}: {text}" if text else name
