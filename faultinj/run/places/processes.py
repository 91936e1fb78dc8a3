"""Processes and threads that cannot be made."""

import errno
import sys

from faultinj.run.places.place import Place

__all__ = ["PROCESSES"]

_START = "_start_joinable_thread" if sys.version_info >= (3, 13) else "_start_new_thread"
_MADE = (errno.ENOMEM,)


PROCESSES = (
    Place("os.fork", ("os:fork", "os:forkpty"), errno.EAGAIN, "no process can be made", _MADE),
    Place("process.spawn", ("subprocess:_fork_exec", "os:posix_spawn", "os:posix_spawnp"), errno.EAGAIN,
          "subprocess.Popen and os.posix_spawn cannot start a process", _MADE, about=1),
    Place("thread.start", (f"threading:{_START}", "_thread:start_new_thread"), RuntimeError("can't start new thread"),
          "no thread is left"),
)  # fmt: skip
