"""`dask://host:port`: chunks worked by the workers of a dask cluster, wherever they are.

Owns the connection to the scheduler. The scheduler gives the tasks of a dead worker to others by itself; what it gives
up is submitted again. A worker runs one chunk at a time, whatever number of threads it has.
"""

from __future__ import annotations

import concurrent.futures
import importlib
import time
from concurrent.futures import Future
from typing import Any

from faultinj.campaign.engines import EngineGone
from faultinj.campaign.work import do_chunk, version

__all__ = ["Dask"]

_CONNECT_S = 10
_PATIENCE_S = 60.0  # how long there may be no worker before the campaign gives up; it can be resumed


class Dask:
    """A client of a scheduler that is there already. Nothing listens here: the connection is made from this side."""

    def __init__(self, name: str, address: str) -> None:
        try:
            distributed: Any = importlib.import_module("distributed")
        except ImportError as error:
            raise EngineGone(name, "dask.distributed is not installed: pip install 'shmalloc[dask]'") from error
        self.name = name
        self._killed: type[BaseException] = distributed.KilledWorker
        self._alone_since: float | None = None
        try:
            self._client: Any = distributed.Client(f"tcp://{address}", timeout=_CONNECT_S, set_as_default=False)
        except (OSError, TimeoutError) as error:
            raise EngineGone(name, f"no scheduler answers at {address} ({error}); start one: dask scheduler") from error
        try:
            self._same_version()
        except BaseException:
            self._client.close()
            raise
        self._executor = self._client.get_executor(pure=False)

    def _same_version(self) -> None:
        """Trials of another version would be another campaign's."""
        own = version()
        for worker, theirs in self._client.run(version, on_error="return").items():
            if isinstance(theirs, BaseException):
                raise EngineGone(self.name, f"worker {worker} cannot work for it: {theirs}; install shmalloc there")
            if theirs != own:
                raise EngineGone(self.name, f"worker {worker} has shmalloc {theirs}, and here it is {own}")

    @property
    def width(self) -> int:
        """The workers, and one more so that none waits for its next chunk."""
        return 1 + self._workers()

    def _workers(self) -> int:
        try:
            return len(self._client.nthreads())
        except (OSError, TimeoutError):
            return 0

    def submit(self, request: bytes) -> Future[bytes]:
        """Have a chunk worked by a worker."""
        future: Future[bytes] = self._executor.submit(do_chunk, request)
        return future

    def broke(self, future: Future[bytes], error: BaseException) -> bool:
        """Whether several workers died while they had the task."""
        if isinstance(error, concurrent.futures.CancelledError):
            raise EngineGone(self.name, "the scheduler went away, and with it what was in flight") from error
        return isinstance(error, self._killed)

    def watch(self) -> None:
        """Give up when for a minute there was no worker, or no scheduler."""
        if self._client.status == "running" and self._workers():
            self._alone_since = None
            return
        now = time.monotonic()
        if self._alone_since is None:
            self._alone_since = now
        elif now - self._alone_since > _PATIENCE_S:
            what = "worker" if self._client.status == "running" else "scheduler"
            raise EngineGone(self.name, f"there has been no {what} for {_PATIENCE_S:.0f} s")

    def close(self, *, at_once: bool = False) -> None:
        """Leave the cluster; it stays. Tasks that nobody waits for any more are dropped by the scheduler."""
        if at_once:
            self._executor.shutdown(wait=False)
        self._client.close()
