"""Messages between two real processes: round trips and streams, links in turns.

Owns the second process of each link, the start of every window and the clock. Must not know how a link works. The
second process is spawned, pinned to the other core, and ended by its own pipe's end; a window that hangs is broken off
by a deadline.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any

import msgspec

from workloads.bench.build import Unavailable
from workloads.bench.catalogue import wanted
from workloads.bench.links import LINKS, Link
from workloads.bench.round import Progress, Tableau
from workloads.bench.targets import QUEUE

WINDOW_S = 0.004
DEADLINE_S = 20.0
OPEN_TIMEOUT_S = 30.0
WINDOWS = 5  # in one run of one link


class Route(msgspec.Struct, frozen=True):
    """A link under the name that the table shows, and the cases that it answers."""

    subject: str
    link: str
    cases: tuple[str, ...] = ("msg.roundtrip", "msg.stream")


ROUTES: tuple[Route, ...] = (
    Route(QUEUE, "shmalloc"),
    Route("shmalloc, queue in bulk", "shmalloc-burst", ("msg.stream",)),
    Route("kickmsg", "kickmsg"),
    Route("cloudtoid-interprocess", "cloudtoid"),
    Route("iceoryx2", "iceoryx2"),
    Route("multiprocessing.Queue", "mp.Queue"),
)


def pin(core: int) -> None:
    """Keeps this process on one core where the system allows it; elsewhere the run is only noisier."""
    with suppress(OSError):
        os.sched_setaffinity(0, {core})


def far_end(link_name: str, mark: str, core: int, shared: Any, pipe: Connection) -> None:
    """The second process: opens its end, then serves (operation, n) until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pin(core)
    link = LINKS[link_name](mark, 1, shared)
    pipe.send("open")
    try:
        while True:
            operation, n = pipe.recv()
            pipe.send("ready")
            if operation == "pong":
                link.pong(n)
            else:
                link.receive(n)
            pipe.send(time.perf_counter())  # CLOCK_MONOTONIC: the same for both processes
    except EOFError:
        link.close()


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Breaks off what hangs. Raises Unavailable in the block; does nothing outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def expired(*_: object) -> None:
        raise Unavailable(f"no answer from the other process within {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, expired)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Pairing:
    """Both ends of one link, one of them in another process."""

    def __init__(self, route: Route, cores: tuple[int, int]) -> None:
        self._route = route
        self._numbers: dict[str, int] = {}
        context = multiprocessing.get_context("spawn")
        mark = f"bench-{os.getpid()}-{route.link.replace('.', '')}"
        shared = (context.Queue(), context.Queue()) if route.link == "mp.Queue" else None
        self._near: Link = LINKS[route.link](mark, 0, shared)
        self._pipe, theirs = context.Pipe()
        self._child = context.Process(target=far_end, args=(route.link, mark, cores[1], shared, theirs), daemon=True)
        self._child.start()
        theirs.close()
        opened = False
        try:
            opened = self._pipe.poll(OPEN_TIMEOUT_S) and self._pipe.recv() == "open"
        except EOFError:
            opened = False
        if not opened:
            self.close()
            raise Unavailable(f"the second process could not open {route.link}: see its message above")

    def window(self, case: str, n: int) -> float:
        """Seconds for n operations."""
        far, near = ("pong", self._near.ping) if case == "msg.roundtrip" else ("receive", self._near.send)
        try:
            self._pipe.send((far, n))
            self._pipe.recv()
            start = time.perf_counter()
            near(n)
            end = time.perf_counter()
            arrived: float = self._pipe.recv()
        except (EOFError, BrokenPipeError) as why:
            raise Unavailable(f"the second process of {self._route.link} died") from why
        return (end if case == "msg.roundtrip" else max(end, arrived)) - start

    def measure(self, case: str) -> float:
        """Nanoseconds an operation, best of a few windows of about WINDOW_S."""
        if case == "msg.stream" and self._near.streams:
            raise Unavailable(self._near.streams)
        with deadline(DEADLINE_S):
            number = self._numbers.get(case, 64)
            took = self.window(case, number)
            while case not in self._numbers and took < WINDOW_S / 2 and number < 1 << 18:
                number *= 2
                took = self.window(case, number)
            self._numbers[case] = number
            best = min(took, *(self.window(case, number) for _ in range(WINDOWS)))
        return best / number * 1e9

    def close(self) -> None:
        """Ends the second process and gives the link back."""
        self._pipe.close()
        self._child.join(5)
        if self._child.is_alive():
            self._child.kill()
            self._child.join()
        self._near.close()


def measure_messages(
    tableau: Tableau, *, only: str | None, repeat: int, cores: tuple[int, int], progress: Progress
) -> None:
    """Measures every wanted case of every route, in turns."""
    before = os.sched_getaffinity(0)
    with ExitStack() as stack:
        stack.callback(os.sched_setaffinity, 0, before)
        asked: list[tuple[Pairing, str, str]] = []
        for route in ROUTES:
            cases = [case for case in route.cases if wanted(only, case)]
            if not cases:
                continue
            progress(f"opening {route.subject}")
            try:
                pairing = Pairing(route, cores)
            except Unavailable as why:
                for case in cases:
                    tableau.skip(case, route.subject, str(why))
                continue
            stack.callback(pairing.close)
            asked += [(pairing, case, route.subject) for case in cases]
        pin(cores[0])  # after the children were started: they pin themselves
        asked.sort(key=lambda each: each[1])
        refused: set[tuple[str, str]] = set()
        for turn in range(repeat):
            for pairing, case, subject in asked:
                if (case, subject) in refused:
                    continue
                try:
                    tableau.add(case, subject, pairing.measure(case))
                except Unavailable as why:
                    refused.add((case, subject))
                    tableau.skip(case, subject, str(why))
            progress(f"messages, run {turn + 1} of {repeat}")
