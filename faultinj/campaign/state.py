"""What a store tells: how far cells have come, which runs there were, and why a store cannot be used.

Owns plain records and errors. Must not open anything.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import psutil

from faultinj.record import Kind

__all__ = ["CellState", "OtherCampaign", "Run", "StoreBusy", "StoreExists", "StoreFails", "StoreUnreadable", "lives"]


class StoreUnreadable(ValueError):
    """The file is no store of campaigns, or one of another version. Fields: path, reason."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class StoreExists(FileExistsError):
    """A campaign was begun in this file. Field: path."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} holds a campaign already: --resume goes on with it, --db names another file")
        self.path = path


class StoreBusy(RuntimeError):
    """Another process works on the campaign now. Fields: path, pid."""

    def __init__(self, path: Path, pid: int) -> None:
        super().__init__(f"{path}: process {pid} runs this campaign now; wait for its end, or end it")
        self.path = path
        self.pid = pid


class StoreFails(RuntimeError):
    """The store cannot be written now, as on a full disk; what it holds is whole. Fields: path, reason."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} cannot be written: {reason}; what it holds is whole, and can be gone on with")
        self.path = path
        self.reason = reason


class OtherCampaign(ValueError):
    """The file's campaign has other cells than the one to resume. Fields: path, more, less (cells, as text)."""

    def __init__(self, path: Path, more: tuple[str, ...], less: tuple[str, ...]) -> None:
        said = [f"{len(more)} cells are new ({', '.join(more[:3])}{' ...' if len(more) > 3 else ''})"] if more else []
        said += [f"{len(less)} are gone ({', '.join(less[:3])}{' ...' if len(less) > 3 else ''})"] if less else []
        super().__init__(
            f"{path} was begun with other scenarios, points, kinds or seeds: {' and '.join(said)}; "
            "begin anew with another --db, or put the file back as it was"
        )
        self.path = path
        self.more = more
        self.less = less


class CellState(msgspec.Struct, frozen=True, kw_only=True):
    """How far a cell has come. `next`: the n to go on with; `trials`, `findings`, `seconds` of those that were run."""

    number: int
    scenario: str
    kind: Kind
    points: str
    seed: int
    most: int | None
    next: int
    exhausted: bool
    given_up: bool
    seconds: float
    trials: int
    findings: int

    @property
    def done(self) -> bool:
        """Whether nothing is left to do in it."""
        return self.exhausted or self.given_up or (self.most is not None and self.next > self.most)


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One time that the campaign was run or resumed. `ended`: "done", "limit", "interrupted" or "failed"; None while it
    goes on, and when it was killed. `alive`: its process lives."""

    number: int
    pid: int
    engine: str
    started: str
    seconds: float
    ended: str | None
    alive: bool


def lives(pid: int, created: float) -> bool:
    """Whether the process of this pid still is the one that was created then."""
    try:
        # The start of a process is known to a hundredth of a second.
        return abs(psutil.Process(pid).create_time() - created) < 0.02
    except psutil.NoSuchProcess:
        return False
