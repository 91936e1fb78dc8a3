"""What a workload is: four steps, run by the runner and by N workers.

Owns the contract only. A workload object lives in one process; what the processes share is in the arena.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import suppress
from typing import ClassVar

import shmalloc
from workloads.context import Worker
from workloads.intended import Intended
from workloads.records import Settings


class Workload(ABC):
    """One way to torment an arena.

    prepare runs in the runner; open, run and drain in every worker. Between run and drain all workers wait for each
    other: after run nobody sends any more, so drain may empty an inbox for good. After drain a worker holds nothing.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    max_size: ClassVar[str] = "1G"
    # Whether the arena records where every item was allocated.
    trace: ClassVar[bool] = False
    # Whether it replays a capture.
    replays: ClassVar[bool] = False
    # What witness is to find in it.
    intended: ClassVar[tuple[Intended, ...]] = ()
    # Rounds of it that show everything that it does, when it is run in small.
    rounds_in_small: ClassVar[int] = 1
    # Processes when nobody says how many; None: one for each available core.
    cpus_default: ClassVar[int | None] = None

    @abstractmethod
    def prepare(self, arena: shmalloc.Arena, settings: Settings) -> None:
        """Make the zones and queues. Raises: BadCapture and the like before any worker starts."""

    @abstractmethod
    def open(self, worker: Worker) -> None:
        """Open them in a worker."""

    @abstractmethod
    def run(self, worker: Worker) -> None:
        """Work until worker.running() says no. Must not send afterwards."""

    @abstractmethod
    def drain(self, worker: Worker) -> None:
        """Verify and free everything that is left: what this worker holds, and its inbox."""

    def sweep(self, arena: shmalloc.Arena, settings: Settings) -> None:
        """In the runner, when workers died: free what was on its way to them. Here: what is in queues."""
        for figures in arena.queue_statistics():
            queue = arena.queue(figures.name)
            with suppress(shmalloc.QueueEmpty):
                while True:
                    for item in queue.get_many(64, timeout=0):
                        item.free()
