"""A campaign at work: chunks of cells out to an engine, outcomes into the store, until nothing is left or it must stop.

Owns the order of the chunks, the attempts of those whose worker died, the limits, and Ctrl-C. Must not print, nor know
what a trial does. One thread.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from types import FrameType

import msgspec

from faultinj.campaign.driver import SWEEP, load_driver
from faultinj.campaign.engines import Engine, open_engine
from faultinj.campaign.forecast import Forecast, forecast
from faultinj.campaign.state import CellState
from faultinj.campaign.store import Store
from faultinj.campaign.work import Chunk, Done, WorkerLost

__all__ = ["ChunkFails", "Ended", "Progress", "run_campaign"]

_LOOK_S = 0.5  # how long to wait for a chunk before looking at the limits again
_ATTEMPTS = 5  # workers that may die with one chunk before it is taken for the cause
_PAIRS = 16  # a chunk of pairs has so many times fewer first faults: each has as many second ones as there are points


class ChunkFails(RuntimeError):
    """A chunk cannot be worked: each worker that had it died. Fields: chunk, attempts."""

    def __init__(self, chunk: Chunk, attempts: int, error: BaseException) -> None:
        super().__init__(
            f"{attempts} workers died with {chunk}, the last one so: {error}; "
            f"run it here to see why: faultinj replay {chunk.scenario}/{chunk.kind}/{chunk.first}"
        )
        self.chunk = chunk
        self.attempts = attempts


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Where a campaign is. Cells and trials are those of the whole campaign; `seconds` those of this run."""

    trials: int
    findings: int
    cells_done: int
    cells: int
    seconds: float
    forecast: Forecast
    newest: Done


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended. `how`: "done", "limit" (its seconds are over) or "interrupted"; `trials`: new ones; `retried`:
    chunks that were worked again because a worker died."""

    how: str
    trials: int
    retried: int
    seconds: float


@dataclass
class _Flight:
    """A chunk on its way."""

    chunk: Chunk
    attempts: int = 0


def run_campaign(
    store: Store,
    *,
    engine: str = "local",
    driver: str = SWEEP,
    seconds: float | None = None,
    told: Callable[[Progress], None] | None = None,
) -> Ended:
    """Work on a campaign until it is done, or its time is over, or Ctrl-C or SIGTERM ends it.

    Parameters: engine: as in the file; driver: the module that runs trials; seconds: of this run, None: no limit;
    told: called after each chunk.
    Returns: how it ended; whatever came back by then is in the store.
    Raises: StoreBusy; StoreFails: it cannot be written; EngineUnknown, EngineGone: no engine, or no longer; ChunkFails;
    DriverMissing; KeyboardInterrupt: at the second Ctrl-C. The store can be resumed after all of them.
    """
    return _Work(store, driver, seconds, told).run(engine)


class _Work:
    def __init__(
        self, store: Store, driver: str, seconds: float | None, told: Callable[[Progress], None] | None
    ) -> None:
        self.store = store
        self.driver_name = driver
        self.general = store.campaign.campaign
        self.limit_s = seconds
        self.told = told
        self.cells: dict[int, CellState] = {cell.number: cell for cell in store.cells()}
        self.waiting = deque(cell.number for cell in self.cells.values() if not cell.done)
        self.again: deque[_Flight] = deque()
        self.flying: dict[Future[bytes], _Flight] = {}
        self.start = time.monotonic()
        self.trials = 0
        self.retried = 0
        self.work_s = 0.0
        self.interrupts = 0
        self.alone = False  # Ctrl-C may cut off what this process is doing

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.start

    def run(self, engine_name: str) -> Ended:
        driver = load_driver(self.driver_name, self.general.imports)
        number = self.store.begin_run(engine_name)
        how = "failed"
        try:
            driver.clear()
            with self._interruptible():
                how = self._with_engine(number, engine_name)
        finally:
            try:
                self.store.end_run(number, how, self.elapsed)
            finally:
                driver.clear()
        return Ended(how=how, trials=self.trials, retried=self.retried, seconds=self.elapsed)

    def _with_engine(self, number: int, name: str) -> str:
        engine = open_engine(name)
        at_once = True
        try:
            how = self._loop(number, engine)
            at_once = False
        except KeyboardInterrupt:
            if self.interrupts > 1:
                raise
            how = "interrupted"
        finally:
            engine.close(at_once=at_once)
        return how

    def _loop(self, number: int, engine: Engine) -> str:
        width = engine.width
        while True:
            stop = self._stop()
            while not stop and len(self.flying) < (1 if self._suspects() else width) and self._next(engine):
                stop = self._stop()
            if not self.flying:
                return stop or "done"
            done, _ = wait(self.flying, timeout=_LOOK_S, return_when=FIRST_COMPLETED)
            if not done:
                engine.watch()
                width = engine.width
            for future in done:
                self._landed(number, engine, future)

    def _stop(self) -> str:
        if self.interrupts:
            return "interrupted"
        return "limit" if self.limit_s is not None and self.elapsed >= self.limit_s else ""

    def _suspects(self) -> bool:
        """Whether some chunk has seen two workers die: it is then worked alone, so that the innocent are not
        counted."""
        return any(flight.attempts > 1 for flight in (*self.again, *self.flying.values()))

    def _next(self, engine: Engine) -> bool:
        """Submit the next chunk, if there is one: those to be repeated first, then the cell begun first."""
        if self.again:
            flight = self.again.popleft()
        elif self.waiting:
            flight = _Flight(self._chunk(self.cells[self.waiting.popleft()]))
        else:
            return False
        request = msgspec.json.encode(flight.chunk)
        self.alone = engine.name == "local"
        try:
            self.flying[engine.submit(request)] = flight
        finally:
            self.alone = False
        return True

    def _chunk(self, cell: CellState) -> Chunk:
        size = self.general.chunk
        if cell.kind in ("pair", "kill-pair"):
            size = max(1, size // _PAIRS)
        last = cell.next + size - 1
        return Chunk(
            cell=cell.number,
            scenario=cell.scenario,
            kind=cell.kind,
            points=cell.points,
            seed=cell.seed,
            first=cell.next,
            last=last if cell.most is None else min(last, cell.most),
            driver=self.driver_name,
            imports=self.general.imports,
        )

    def _landed(self, number: int, engine: Engine, future: Future[bytes]) -> None:
        flight = self.flying.pop(future)
        try:
            done = msgspec.json.decode(future.result(), type=Done)
        except BaseException as error:
            if not (isinstance(error, WorkerLost) or engine.broke(future, error)):
                raise
            flight.attempts += 1
            self.retried += 1
            if flight.attempts >= _ATTEMPTS:
                raise ChunkFails(flight.chunk, flight.attempts, error) from error
            self.again.append(flight)
            return
        self.trials += self.store.add(done, run=number, seconds=self.elapsed)
        self.work_s += done.seconds
        cell = self.cells[done.chunk.cell]
        self.cells[cell.number] = cell = msgspec.structs.replace(
            cell,
            next=done.next,
            exhausted=done.exhausted,
            given_up=done.given_up,
            seconds=cell.seconds + done.seconds,
            trials=cell.trials + len(done.outcomes),
            findings=cell.findings + sum(len(outcome.findings) for outcome in done.outcomes),
        )
        if not cell.done:
            self.waiting.appendleft(cell.number)
        if self.told is not None:
            self.told(self._progress(done))

    def _progress(self, done: Done) -> Progress:
        cells = tuple(self.cells.values())
        pace = self.elapsed / self.work_s if self.work_s else 1.0
        return Progress(
            trials=sum(cell.trials for cell in cells),
            findings=sum(cell.findings for cell in cells),
            cells_done=sum(cell.done for cell in cells),
            cells=len(cells),
            seconds=self.elapsed,
            forecast=forecast(cells, pace=pace),
            newest=done,
        )

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM end the campaign after the chunks in flight, a second one at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.interrupts += 1
        # A chunk that this process works on itself is cut off and repeated by whoever resumes: nothing of it is stored.
        if self.alone or self.interrupts > 1:
            raise KeyboardInterrupt
