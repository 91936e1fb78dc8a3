"""The driver of real campaigns: the sweep, its scenarios and its points. Owns nothing; says the sweep in a driver's
words."""

from __future__ import annotations

import atexit
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

import psutil

from faultinj.campaign.work import WorkerLost
from faultinj.declared import all_points
from faultinj.record import Kind, Outcome, Trial
from faultinj.sweep import find, load, names
from faultinj.sweep import run_cell as sweep_cell
from faultinj.sweep import run_trial as sweep_trial
from faultinj.sweep.argued import ARGUED
from faultinj.sweep.context import BEGINNING, own_objects
from faultinj.sweep.nursery import Nursery, NurseryLost, clear_arenas, nursery
from shmalloc import registry

__all__ = [
    "argued",
    "clear",
    "kinds_of",
    "load",
    "point_errors",
    "run_cell",
    "run_trial",
    "scenario_names",
]

_own = threading.local()


def scenario_names() -> Sequence[str]:
    """Every scenario that is registered."""
    return names()


def kinds_of(scenario: str) -> Sequence[Kind]:
    """The kinds of faults that a scenario is made for."""
    return cast(Sequence[Kind], find(scenario).kinds)


def point_errors() -> Mapping[str, str]:
    """The core's points and those that the imported modules declare, with the errors that they report."""
    return {point.name: point.error for point in all_points()}


def argued() -> Mapping[str, str]:
    """Points that no scenario can reach on every machine."""
    return ARGUED


def run_trial(trial: Trial) -> Outcome:
    """Run one trial. Raises: WorkerLost: the process that forks the victims was killed."""
    try:
        return sweep_trial(trial, at=_template())
    except NurseryLost as error:
        raise WorkerLost(str(error)) from error


def run_cell(scenario: str, kind: Kind, points: str, seed: int, first: int, last: int) -> Sequence[Outcome]:
    """Run the trials n = first..last of a cell. Raises: WorkerLost: as run_trial."""
    try:
        return sweep_cell(scenario, kind, points, seed, first, last, at=_template())
    except NurseryLost as error:
        raise WorkerLost(str(error)) from error


def _template() -> Nursery:
    """The process that forks the victims: one for each thread, for a worker of a cluster may have several at work."""
    if threading.current_thread() is threading.main_thread():
        return nursery()
    if not hasattr(_own, "nursery"):
        _own.nursery = Nursery()
        atexit.register(_own.nursery.close)
    template: Nursery = _own.nursery
    return template


def clear() -> None:
    """End this process's template, and remove the arenas of trials whose sweep was killed; a live process's stay."""
    _template().close()
    clear_arenas()
    left: Iterable[str] = own_objects(BEGINNING)
    dead = [
        name for name in left if (pid := re.match(rf"{BEGINNING}(\d+)-", name)) and not psutil.pid_exists(int(pid[1]))
    ]
    if dead:
        registry.gc(names=dead, half_made_after_s=0)
