"""What a fault run found, as plain data: written and read as JSON by sweeps, campaigns and reports.

Owns the shapes. Must not know how a trial is run nor how a report looks.
"""

from typing import Literal

import msgspec

__all__ = ["Cell", "Coverage", "Finding", "Injection", "Outcome", "SweepResult", "Trial"]

Kind = Literal["transient", "persistent", "kill", "pair", "kill-pair"]
Verdict = Literal["clean", "finding", "nothing injected"]


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a scenario with one fault: enough to do it again.

    ``n`` counts the selected points in the order in which they are reached, from 1; for ``kill`` it counts crash
    points. ``n2`` is the second fault of a pair: reached after the first one was injected, for ``kill-pair`` inside the
    recovery. ``points`` is a glob over the names of points. ``program`` is a plan in the grammar of faults when the
    fault is not given by ``n``.
    """

    scenario: str
    kind: Kind
    n: int
    n2: int = 0
    points: str = "*"
    seed: int = 0
    program: str | None = None

    @property
    def id(self) -> str:
        """The trial in one word, such as ``zone.alloc/transient/3``: what ``faultinj replay`` takes."""
        parts = [self.scenario, self.kind, str(self.n) if not self.n2 else f"{self.n}+{self.n2}"]
        if self.points != "*":
            parts.append(f"points={self.points}")
        if self.seed:
            parts.append(f"seed={self.seed}")
        if self.program:
            parts.append(f"program={self.program}")
        return "/".join(parts)


class Injection(msgspec.Struct, frozen=True, kw_only=True):
    """A fault that was really injected. ``sequence``: the how-manieth selected point reached it was; ``subject``: the
    zone, queue or policy; ``bytes``: the size asked for; ``step``: the crash point of a kill."""

    point: str
    action: str
    sequence: int
    subject: str | None = None
    bytes: int = 0
    pid: int = 0
    step: int | None = None


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is wrong after a fault. ``kind``: leak, lock held, operation open, check, witness, unclean error,
    rerun failed, fails counter, hang, crash, foreign error."""

    kind: str
    detail: str
    stack: tuple[str, ...] = ()


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a trial came to. ``result``: "success", "killed", or the name of the error that the scenario ended with;
    ``reached``: how often each point was reached; ``seconds``: wall time; ``stack``: where the scenario was when its
    error was raised; ``again``: the command that runs the trial again, "": ``faultinj replay`` with its ID;
    ``directory``: where that is to be typed."""

    trial: Trial
    verdict: Verdict
    result: str
    injected: tuple[Injection, ...] = ()
    findings: tuple[Finding, ...] = ()
    reached: dict[str, int] = {}
    seconds: float = 0.0
    stack: tuple[str, ...] = ()
    again: str = ""
    directory: str = ""


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """One point over all trials: how often it was reached and injected, and how the trials that injected it ended."""

    point: str
    error: str
    reached: int
    injected: int
    success: int
    clean_error: int
    killed: int
    findings: int


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a sweep: a scenario with one kind of fault. ``exhausted``: the last run injected nothing, so every
    place was tried."""

    scenario: str
    kind: Kind
    trials: int
    injected: int
    exhausted: bool
    findings: int
    seconds: float


class SweepResult(msgspec.Struct, frozen=True, kw_only=True):
    """A sweep or a campaign. ``outcomes`` holds those with findings, and all of them when they were asked for;
    ``never_reached``: points that no run came by; ``empty``: scenarios in which nothing was ever injected, which fails
    the run; ``argued``: points that cannot be reached here, with the reason."""

    program: str
    version: str
    started: str
    seconds: float
    seed: int
    trials: int
    injected: int
    findings: tuple[Finding, ...]
    never_reached: tuple[str, ...]
    empty: tuple[str, ...]
    argued: dict[str, str]
    points: tuple[Coverage, ...]
    cells: tuple[Cell, ...]
    outcomes: tuple[Outcome, ...]
