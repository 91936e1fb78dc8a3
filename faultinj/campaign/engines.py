"""Where chunks are worked: in this process, in processes of this machine, or on a dask cluster.

Owns the executors of concurrent.futures, their making, their repair after a worker was killed, and their end. Every
engine takes the same function and gives futures. Must not know what a chunk is nor count attempts: `run.py` does.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import re
import signal
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import resource_tracker
from typing import ParamSpec, Protocol, TypeVar

from faultinj.campaign.spec import near
from faultinj.campaign.work import be_worker, do_chunk

__all__ = ["Engine", "EngineGone", "EngineUnknown", "InThisProcess", "Processes", "open_engine", "parse_engine"]

P = ParamSpec("P")
T = TypeVar("T")
_FORMS = ("local", "processes:N", "dask://host:port")


class EngineUnknown(ValueError):
    """No engine is written so. Field: text."""

    def __init__(self, text: str, why: str = "") -> None:
        named = re.split(r"[:/]", text, maxsplit=1)[0]
        said = why or near(named, [form.split(":")[0] for form in _FORMS])
        super().__init__(f"the engine {text!r} is not known: {said}; write one of {', '.join(_FORMS)}")
        self.text = text


class EngineGone(RuntimeError):
    """An engine cannot work, or can no longer. Fields: engine, reason."""

    def __init__(self, engine: str, reason: str) -> None:
        super().__init__(f"the engine {engine} cannot work: {reason}")
        self.engine = engine
        self.reason = reason


class Engine(Protocol):
    """What a campaign asks of an engine."""

    name: str

    @property
    def width(self) -> int:
        """How many chunks it works at once."""

    def submit(self, request: bytes) -> Future[bytes]:
        """Have a chunk worked."""

    def broke(self, future: Future[bytes], error: BaseException) -> bool:
        """Whether a future's error means that its worker died, not that the chunk is wrong; the engine is whole again.

        Raises: EngineGone: it cannot be made whole.
        """

    def watch(self) -> None:
        """Called when nothing was finished for a while. Raises: EngineGone: nothing ever will."""

    def close(self, *, at_once: bool = False) -> None:
        """End the workers; `at_once`: without waiting for the chunks in them."""


class InThisProcess:
    """`local`: a chunk is worked by the one who submits it. Its victims are other processes all the same."""

    name = "local"
    width = 1

    def __init__(self) -> None:
        self._executor = _Immediate()

    def submit(self, request: bytes) -> Future[bytes]:
        """Work a chunk; the future is done already."""
        return self._executor.submit(do_chunk, request)

    def broke(self, future: Future[bytes], error: BaseException) -> bool:
        """There is no worker apart from this process."""
        return False

    def watch(self) -> None:
        """There is nothing to watch."""

    def close(self, *, at_once: bool = False) -> None:
        """There is nothing to end."""


class _Immediate(Executor):
    """An executor without threads: trials fork, which a thread beside them would make dangerous."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - whoever asks the future is told
            future.set_exception(error)
        return future


class Processes:
    """`processes:N`: N processes of this machine, begun anew when one of them is killed."""

    def __init__(self, count: int) -> None:
        self.name = f"processes:{count}"
        self.width = count
        self._context = multiprocessing.get_context("spawn")
        self._before = set(multiprocessing.active_children())
        self._made_by: weakref.WeakKeyDictionary[Future[bytes], ProcessPoolExecutor] = weakref.WeakKeyDictionary()
        self._executor = self._made()

    def _made(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self.width, mp_context=self._context, initializer=be_worker, initargs=(os.getpid(),))

    def submit(self, request: bytes) -> Future[bytes]:
        """Have a chunk worked by one of the processes."""
        with _out_of_ctrl_c():  # the processes are made in here
            try:
                future = self._executor.submit(do_chunk, request)
            except BrokenProcessPool:
                # A worker died since the last look. The pool that takes the place of this one takes the chunk.
                self._renew()
                future = self._executor.submit(do_chunk, request)
        self._made_by[future] = self._executor
        return future

    def broke(self, future: Future[bytes], error: BaseException) -> bool:
        """A pool dies with any of its processes, and every future of it with the pool: a new one is made, once."""
        if not isinstance(error, BrokenProcessPool):
            return False
        if self._made_by.get(future) is self._executor:
            self._renew()
        return True

    def _renew(self) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._executor = self._made()

    def watch(self) -> None:
        """A dead worker is told by its futures."""

    def close(self, *, at_once: bool = False) -> None:
        """End the processes."""
        if at_once:
            for child in set(multiprocessing.active_children()) - self._before:
                child.kill()
        self._executor.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def _out_of_ctrl_c() -> Iterator[None]:
    """Processes made inside do not get SIGINT before be_worker() lets it in; this one gets it at the end."""
    resource_tracker.ensure_running()  # its own start would let the signal in
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def parse_engine(text: str) -> tuple[str, str]:
    """Read the name of an engine.

    Returns: its kind (local, processes, dask), and the number or the address that follows. Raises: EngineUnknown.
    """
    kind, colon, rest = text.partition(":")
    if kind == "local" and not colon:
        return kind, ""
    if kind == "processes":
        if not re.fullmatch(r"[1-9][0-9]{0,3}", rest):
            raise EngineUnknown(text, "after processes: stands a number from 1 to 9999")
        return kind, rest
    if kind == "dask":
        if not re.fullmatch(r"//(\[[0-9a-fA-F:.]+\]|[^:/\s\[\]]+):[0-9]{1,5}", rest):
            raise EngineUnknown(text, "after dask: stands //host:port of a scheduler")
        return kind, rest.removeprefix("//")
    raise EngineUnknown(text)


def open_engine(text: str) -> Engine:
    """Make an engine by its name.

    Raises: EngineUnknown: no engine is written so; EngineGone: it is not to be had (no dask here, no scheduler there).
    """
    kind, rest = parse_engine(text)
    if kind == "local":
        return InThisProcess()
    if kind == "processes":
        return Processes(int(rest))
    from faultinj.campaign.dask_engine import Dask

    return Dask(text, rest)
