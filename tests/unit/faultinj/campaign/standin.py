"""A driver of trials for the tests of campaigns: scenarios that are numbers, so that thousands of trials take no time.

What a trial comes to depends on the trial alone. Two files named in the environment let a test see and stop what
happens: STANDIN_TELL, a fifo (open at the reader's end) that gets one byte for each trial, and STANDIN_MINES, a
directory of files named like trials (with `:` for `/`): the process that comes to such a trial takes the file away and
sends itself the signal that is written there, else SIGKILL; `SIGNAL*3` stays for three.
"""

import os
import select
import signal
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from faultinj.record import Finding, Injection, Kind, Outcome, Trial

__all__ = [
    "SCENARIOS",
    "argued",
    "clear",
    "kinds_of",
    "load",
    "point_errors",
    "run_cell",
    "run_trial",
    "scenario_names",
]

SCENARIOS = {"pond.tiny": 3, "pond.wide": 40, "sea.wide": 90, "sea.leaky": 25, "void.empty": 0}
"""How many places each has where a fault can be injected."""

POINTS = {"page.commit": "SM_NO_MEMORY", "zone.ctor": "SM_CTOR", "queue.lock": "SM_LOCK", "moon.phase": "SM_MOON"}
_REACHED = ("page.commit", "zone.ctor", "queue.lock")


def load(imports: Iterable[str]) -> None:
    """There is nothing to load."""


def clear() -> None:
    """Nothing is left behind."""


def scenario_names() -> Sequence[str]:
    """The scenarios."""
    return tuple(SCENARIOS)


def kinds_of(scenario: str) -> Sequence[Kind]:
    """All but the kinds of two faults, which only the small one has."""
    single: tuple[Kind, ...] = ("transient", "persistent", "kill")
    return (*single, "pair") if scenario == "pond.tiny" else single


def point_errors() -> Mapping[str, str]:
    """The points."""
    return POINTS


def argued() -> Mapping[str, str]:
    """One point is argued for."""
    return {"moon.phase": "the moon is not on this machine"}


def run_trial(trial: Trial) -> Outcome:
    """One trial: sea.leaky leaks at every seventh place."""
    places = SCENARIOS[trial.scenario]
    _explode(trial)
    _tell()
    injected = []
    if trial.n <= places:
        injected.append(_injection(trial, trial.n))
        if trial.n2 and trial.n + trial.n2 <= places:
            injected.append(_injection(trial, trial.n + trial.n2))
    bad = bool(injected) and trial.scenario == "sea.leaky" and trial.n % 7 == 0
    findings = (Finding(kind="leak", detail=f"place {trial.n} leaks {trial.n} items"),) if bad else ()
    result = "success" if not injected else "killed" if trial.kind == "kill" else "OutOfMemory"
    return Outcome(
        trial=trial,
        verdict="finding" if bad else "clean" if injected else "nothing injected",
        result=result,
        injected=tuple(injected),
        findings=findings,
        reached={point: 1 + places // len(_REACHED) for point in _REACHED} if places else {},
        seconds=0.001,
    )


def _injection(trial: Trial, at: int) -> Injection:
    return Injection(point=_REACHED[at % len(_REACHED)], action=trial.kind, sequence=at, pid=os.getpid())


def run_cell(scenario: str, kind: Kind, points: str, seed: int, first: int, last: int) -> Sequence[Outcome]:
    """The trials of a chunk, up to the one that injected nothing."""
    outcomes = []
    for n in range(first, last + 1):
        for n2 in range(1, 100) if kind == "pair" else (0,):
            outcomes.append(run_trial(Trial(scenario=scenario, kind=kind, n=n, n2=n2, points=points, seed=seed)))
            if len(outcomes[-1].injected) < 2:
                break
        if outcomes[-1].verdict == "nothing injected":
            break
    return outcomes


def _tell() -> None:
    fifo = os.environ.get("STANDIN_TELL")
    if fifo:
        pipe = os.open(fifo, os.O_WRONLY)
        os.write(pipe, b".")
        os.close(pipe)
        select.select([], [], [], 0.002)  # as long as a real trial takes


def _explode(trial: Trial) -> None:
    mines = os.environ.get("STANDIN_MINES")
    if mines:
        mine = Path(mines, trial.id.replace("/", ":"))
        if mine.exists():
            what, _, times = mine.read_text().partition("*")
            if int(times or 1) > 1:
                mine.write_text(f"{what}*{int(times) - 1}")
            else:
                mine.unlink()
            os.kill(os.getpid(), signal.Signals[what or "SIGKILL"])
