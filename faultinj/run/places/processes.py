"""Processes and threads that cannot be made."""

import errno
import sys

from faultinj.run.places.place import Place

__all__ = ["PROCESSES"]

_START = "_start_joinable_thread" if sys.version_info >= (3, 13) else "_start_new_thread"

PROCESSES = (
    Place("os.fork", "os:fork", errno.EAGAIN, "no process can be made"),
    Place("process.spawn", "subprocess:_fork_exec", errno.EAGAIN, "subprocess.Popen cannot start a process"),
    Place("thread.start", f"threading:{_START}", RuntimeError("can't start new thread"), "no thread is left"),
)
