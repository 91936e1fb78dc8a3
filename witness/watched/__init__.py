"""Lock kinds of the standard library and of posix_ipc under witness, beside threading's own locks: one file a kind.

Owns the list of kinds. What a kind's file needs of the standard library is imported when the program imports the kind:
who does not use asyncio does not wait for it.
"""

from types import ModuleType

from witness import _witness
from witness.watched.arrival import on_import
from witness.watched.semaphores import watch_semaphores
from witness.watched.trust import Trust

__all__ = ["watch_other_kinds"]


def watch_other_kinds(watch: _witness.Watch) -> None:
    """Watch every kind from now on: what is imported already at once, the rest when it is.

    Parameters: watch: where they report; it must live as long as the process.
    """
    trust = Trust()
    watch_semaphores(watch, trust)

    def processes(module: ModuleType) -> None:
        from witness.watched.processes import watch_processes

        watch_processes(module, watch, trust)

    def tasks(module: ModuleType) -> None:
        from witness.watched.tasks import watch_tasks

        watch_tasks(module, watch, trust)

    def posix(module: ModuleType) -> None:
        from witness.watched.posix import watch_posix

        watch_posix(module, watch, trust)

    def files(module: ModuleType) -> None:
        from witness.watched.files import watch_files

        watch_files(module, watch)

    on_import("multiprocessing.synchronize", processes)
    on_import("asyncio.locks", tasks)
    on_import("posix_ipc", posix)
    on_import("fcntl", files)
