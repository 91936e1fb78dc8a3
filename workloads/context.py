"""What a workload sees of its worker: its place in the run, the clock, the counters, and checked hand-overs.

Owns the counters and the deliberate damage of `--sabotage`. Must not know a particular workload. One per process,
used by one thread; takes no lock.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Final, TypeVar

import shmalloc
from shmalloc import M_NOWAIT, M_WAITOK
from shmalloc.who import Holding
from workloads import cookie, histogram
from workloads.cookie import Cookie, CorruptItem
from workloads.records import Settings, Tally, Tick, Violation

Carried = TypeVar("Carried", shmalloc.Item, shmalloc.Mbuf)

VIOLATIONS_KEPT: Final = 20
SABOTAGE_AFTER: Final = 50
TICK_NS: Final = 200_000_000
PAUSE: Final = "round of work"
# Calls that were made to fail, by a tunable or at a fault point.
FORCED: Final = "made to fail"
LIFE_STEP: Final = 1 << 16
_SAMPLE_MASK: Final = 15

_now = time.perf_counter_ns


class Worker:
    """The state of one worker process during a run."""

    # Whether it is alone with a handful of rounds: nobody else works beside it.
    small: ClassVar[bool] = False

    def __init__(
        self,
        *,
        settings: Settings,
        rank: int,
        arena: shmalloc.Arena,
        deadline_ns: int = 0,
        emit: Callable[[Tick], None] | None = None,
        life: int = 0,
    ) -> None:
        self.settings = settings
        self.rank = rank
        # What cookies are signed with: a replacement counts its items from 1 again, so it signs with another number.
        self.owner = rank + life * LIFE_STEP
        self.cpus = settings.cpus
        self.arena = arena
        self.deadline_ns = deadline_ns
        self.rng = random.Random(f"{settings.seed}:{settings.workload}:{self.owner}")
        # Payloads are slices of this: random, yet free to make.
        self.noise = self.rng.randbytes(1 << 16)
        self.ops = 0
        self.cpu_s = 0.0
        self.sealed = 0
        self.verified = 0
        self.sent = 0
        self.received = 0
        self.remote_frees = 0
        self.exhausted = 0
        self.sleeps_timed_out = 0
        self.counts: Counter[str] = Counter()
        self.peaks: dict[str, int] = {}
        self.histograms: dict[str, list[int]] = {}
        self.leak_from: shmalloc.Zone | shmalloc.Mbufs | None = None
        # What who() told of a leak that was planted.
        self.holdings: list[Holding] = []
        self._emit = emit
        self._next_tick_ns = 0
        self._violations: list[Violation] = []
        self._violations_total = 0
        self._sabotage = settings.sabotage if rank == settings.cpus - 1 else "none"
        self._samples = 0

    # ---- the clock

    def running(self) -> bool:
        """True until the deadline. Called once per batch: also sends the tick that is due and does the sabotage."""
        now = _now()
        if now >= self._next_tick_ns:
            self._next_tick_ns = now + TICK_NS
            if self._emit is not None:
                self._emit(Tick(time_ns=now, ops=self.ops))
        if self._sabotage != "none" and max(self.ops, self.sealed) >= SABOTAGE_AFTER:
            self._do_sabotage()
        return now < self.deadline_ns

    def seconds_left(self) -> float:
        """Seconds until the deadline, never negative."""
        return max(0.0, (self.deadline_ns - _now()) / 1e9)

    def _do_sabotage(self) -> None:
        if self._sabotage == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self._sabotage == "hang":
            while True:
                signal.pause()
        elif self._sabotage == "reverse":
            self._sabotage = "none"
            self._reverse()
        elif self._sabotage == "leak" and self.leak_from is not None:
            self._sabotage = "none"
            # A ticket that nobody redeems: the item is in transit for ever.
            if isinstance(self.leak_from, shmalloc.Mbufs):
                self.leak_from.m_getcl().ticket()
            else:
                self.leak_from.alloc(M_WAITOK, timeout=5.0).ticket()

    def _reverse(self) -> None:
        """Two threads take two locks in both orders, one after the other: only who watches orders sees it."""
        here, there = self.arena.mutex("sabotage.here"), self.arena.mutex("sabotage.there")

        def back() -> None:
            with there, here:
                pass

        with here, there:
            pass
        thread = threading.Thread(target=back, name="reverse")
        thread.start()
        thread.join()

    # ---- how much

    def few(self, most: int) -> int:
        """How many of what a round does `most` times: as many, but in small a handful."""
        return most

    def patience(self, seconds: float) -> float:
        """How long to wait for what must come within so many seconds; in small only what is there already comes."""
        return seconds

    def place_in(self, sizes: Sequence[int]) -> int:
        """Where in a capture of frames of these sizes this worker starts: each somewhere else."""
        return len(sizes) * self.rank // self.cpus

    # ---- findings

    def violation(self, kind: str, detail: str) -> None:
        """Note something that must not happen; the first ones are kept, all are counted."""
        self._violations_total += 1
        if len(self._violations) < VIOLATIONS_KEPT:
            self._violations.append(Violation(kind=kind, detail=detail, rank=self.rank))

    def killed(self, pid: int) -> None:
        """A process that this one forked was killed, by nobody here: whoever kills on purpose says otherwise."""
        self.violation("killed", f"process {pid}, forked by this worker, was killed")

    @property
    def findings(self) -> tuple[Violation, ...]:
        """The violations kept so far."""
        return tuple(self._violations)

    # ---- what the allocator answers

    def refused(self, error: shmalloc.ShmallocError, *, slept: bool = False) -> None:
        """Count an answer that is no fault of anybody: a limit, no memory, whatever was made to fail on purpose.

        Parameters: slept: the call was one that may sleep at a limit.
        Raises: the error, when it is no such answer: a ctor, or a lock, that refuses by itself breaks a promise.
        """
        if isinstance(error, shmalloc.ZoneExhausted) and not error.forced and slept:
            self.sleeps_timed_out += 1
        elif isinstance(error, (shmalloc.ZoneExhausted, shmalloc.OutOfMemory)):
            self.exhausted += 1
        elif not error.forced:
            raise error
        if error.forced:
            self.counts[FORCED] += 1

    @contextmanager
    def answered(self) -> Iterator[None]:
        """Around work that may be refused in the middle, and that then leaves nothing behind: it is counted, and over.

        Raises: as refused.
        """
        try:
            yield
        except shmalloc.ShmallocError as error:
            self.refused(error)

    # ---- items

    def alloc(self, zone: shmalloc.Zone, flags: int = M_WAITOK, timeout: float | None = 0.05) -> shmalloc.Item | None:
        """One item, or None where there is none to be had. Every 16th call is timed."""
        self._samples += 1
        try:
            if self._samples & _SAMPLE_MASK:
                return zone.alloc(flags) if flags & M_NOWAIT else zone.alloc(flags, timeout=timeout)
            begin = _now()
            item = zone.alloc(flags) if flags & M_NOWAIT else zone.alloc(flags, timeout=timeout)
            self.sample("alloc", _now() - begin)
            return item
        except shmalloc.ShmallocError as error:
            self.refused(error, slept=not flags & M_NOWAIT)
            return None

    def alloc_many(
        self, zone: shmalloc.Zone, count: int, flags: int = M_NOWAIT, timeout: float | None = None
    ) -> list[shmalloc.Item]:
        """So many items, or an empty list where there are not so many to be had."""
        try:
            return zone.alloc_many(count, flags, timeout=timeout)
        except shmalloc.ShmallocError as error:
            self.refused(error, slept=not flags & M_NOWAIT)
            return []

    def seal(self, item: cookie.Sealable, payload: bytes, payload_crc: int | None = None) -> int:
        """Give an item its cookie. Returns: the sequence number."""
        sequence = self.next_sequence()
        cookie.seal(item, self.owner, sequence, payload, payload_crc)
        self.sealed_now(item, cookie.COOKIE_BYTES + len(payload))
        return sequence

    def next_sequence(self) -> int:
        """Count one more item as sealed, and number it."""
        self.sealed += 1
        return self.sealed

    def sealed_now(self, item: cookie.Sealable, length: int) -> None:
        """The last item numbered has its cookie, and length bytes with it: damage the last one if sabotage is due."""
        if self._sabotage == "corrupt" and self.sealed > SABOTAGE_AFTER:
            self._sabotage = "none"
            item.write(bytes([item.read(1, length - 1)[0] ^ 0x40]), length - 1)

    def verify(self, item: cookie.Sealable, where: str, *, freeing: bool = True) -> Cookie | None:
        """Compare an item with its cookie; a difference is a violation, and None is returned.

        Parameters: freeing: the item is about to be freed here; one of another owner then counts as a remote free.
        """
        try:
            found = cookie.verify(item)
        except CorruptItem as error:
            self.violation("corrupt-item", f"{where}: {error}")
            return None
        self.verified += 1
        if freeing and found.owner != self.owner:
            self.remote_frees += 1
        return found

    def payload(self, length: int) -> bytes:
        """Random bytes of a given length (at most 64 KiB)."""
        start = int(self.rng.random() * (len(self.noise) - length + 1))
        return self.noise[start : start + length]

    # ---- hand-over

    def send(self, queue: shmalloc.Queue, items: list[Carried]) -> list[Carried]:
        """Put what fits without waiting. Returns: the items that did not fit; they are still ours."""
        try:
            done = queue.put_many(items, timeout=0)
        except shmalloc.QueueFull as error:
            if error.forced:
                self.counts[FORCED] += 1
            return items
        except shmalloc.ShmallocError as error:
            self.refused(error)
            return items
        self.sent += done
        return items[done:]

    def receive(self, queue: shmalloc.Queue, most: int, timeout: float = 0.0) -> list[Any]:
        """Up to `most` items or packets, as they were sent; an empty list when nothing came in time."""
        try:
            items = queue.get_many(most, timeout=self.patience(timeout))
        except shmalloc.QueueEmpty as error:
            if error.forced:
                self.counts[FORCED] += 1
            return []
        except shmalloc.ShmallocError as error:
            self.refused(error)
            return []
        self.received += len(items)
        return items

    # ---- figures

    def sample(self, name: str, duration_ns: int) -> None:
        """Add one duration to a histogram."""
        bins = self.histograms.get(name)
        if bins is None:
            bins = self.histograms[name] = [0] * histogram.BINS
        bins[histogram.bin_of(duration_ns)] += 1

    def peak(self, name: str, value: int) -> None:
        """Note a value of which only the largest matters."""
        if value > self.peaks.get(name, 0):
            self.peaks[name] = value

    def pause(self, duration_ns: int) -> None:
        """Note how long one round of work took: what a process sees of the deaths and recoveries of others."""
        self.sample(PAUSE, duration_ns)
        self.peak(PAUSE, duration_ns)

    def tally(self, busy_s: float) -> Tally:
        """Everything counted, as the last line to the runner."""
        return Tally(
            ops=self.ops,
            busy_s=busy_s,
            cpu_s=self.cpu_s,
            sealed=self.sealed,
            verified=self.verified,
            sent=self.sent,
            received=self.received,
            remote_frees=self.remote_frees,
            exhausted=self.exhausted,
            sleeps_timed_out=self.sleeps_timed_out,
            violations=self._violations,
            violations_total=self._violations_total,
            histograms=self.histograms,
            counts=dict(self.counts),
            peaks=self.peaks,
            holdings=self.holdings,
        )


class OrderKeeper:
    """Verifies that what comes from one owner comes in order and never twice.

    Holds for one queue with one consumer: a queue keeps the order of each producer.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._last: dict[int, int] = {}

    def saw(self, found: Cookie) -> None:
        """Note a receipt."""
        last = self._last.get(found.owner, 0)
        if found.sequence <= last:
            self._worker.violation(
                "order",
                f"item {found.sequence} of worker {found.owner} arrived after item {last}: repeated or overtaken",
            )
        else:
            self._last[found.owner] = found.sequence


def inbox_name(rank: int) -> str:
    """The queue that only worker `rank` consumes."""
    return f"inbox.{rank}"


def make_inboxes(arena: shmalloc.Arena, cpus: int, depth: int) -> None:
    """The runner makes every inbox before the workers start."""
    for rank in range(cpus):
        arena.queue(inbox_name(rank), depth=depth)


def open_inboxes(arena: shmalloc.Arena, cpus: int) -> Sequence[shmalloc.Queue]:
    """All inboxes, by rank."""
    return [arena.queue(inbox_name(rank)) for rank in range(cpus)]
