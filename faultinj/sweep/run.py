"""The calls that others build on: one trial, and a range of a cell's trials, each in a victim of this process's
template.

Owns nothing: the template is the nursery's. Concurrency: any thread; one task at a time.
"""

from collections.abc import Sequence

from faultinj.record import Kind, Outcome, Trial
from faultinj.sweep.course import Task
from faultinj.sweep.nursery import Nursery, nursery
from faultinj.sweep.registry import find, loaded

__all__ = ["count_points", "run_cell", "run_trial"]


def run_trial(trial: Trial, *, oracles: Sequence[str] | None = None, at: Nursery | None = None) -> Outcome:
    """Run one trial in a victim: the scenario with the fault, the oracle, the scenario without.

    Parameters: oracles: names of the further oracles to ask, None for all that are installed; at: a template of
    one's own. Returns: its Outcome, also when the victim hung or crashed.
    Raises: ScenarioError: there is no such scenario. NurseryLost.
    """
    find(trial.scenario)
    task = Task(trial=trial, single=True, modules=loaded(), oracles=oracles)
    (outcome,) = (at or nursery()).run(task)
    return outcome


def run_cell(
    scenario: str,
    kind: Kind,
    points: str = "*",
    seed: int = 0,
    first: int = 1,
    last: int = 0,
    *,
    pairs: int = 0,
    oracles: Sequence[str] | None = None,
    at: Nursery | None = None,
) -> list[Outcome]:
    """Run the trials n = first .. last of a scenario and a kind; it ends early at the run that injected nothing.

    Parameters: points: a glob over the names of points; last: 0 for no end but that; pairs: for the kinds of two
    faults, the most pairs, 0 for all.
    Returns: an Outcome for each trial; the last one's verdict is "nothing injected" when the cell is exhausted.
    Raises: as run_trial.
    """
    find(scenario)
    trial = Trial(scenario=scenario, kind=kind, n=first, points=points, seed=seed)
    task = Task(trial=trial, last=last, pairs=pairs, modules=loaded(), oracles=oracles)
    return list((at or nursery()).run(task))


def count_points(
    scenario: str, points: str = "*", seed: int = 0, *, oracles: Sequence[str] | None = None, at: Nursery | None = None
) -> Outcome:
    """Run a scenario without any fault, and count the points that it reaches.

    Returns: an Outcome whose ``reached`` has the counts; its findings are what is wrong with the scenario as it is.
    """
    find(scenario)
    trial = Trial(scenario=scenario, kind="transient", n=0, points=points, seed=seed)
    (outcome,) = (at or nursery()).run(Task(trial=trial, counting=True, modules=loaded(), oracles=oracles))
    return outcome
