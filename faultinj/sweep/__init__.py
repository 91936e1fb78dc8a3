"""The sweep: every scenario with every fault, n = 1, 2, ..., until a run injected nothing.

``run_trial`` and ``run_cell`` are the two calls that campaigns build on; ``sweep`` is the whole thing in one call.
Whatever runs, runs in victims: processes two below the caller, forked from a warm one, that may die, hang and crash.
"""

from faultinj.sweep.context import Child, Context
from faultinj.sweep.registry import Scenario, ScenarioError, Steps, find, load, names, scenario, select
from faultinj.sweep.run import count_points, run_cell, run_trial

__all__ = [
    "Child",
    "Context",
    "Scenario",
    "ScenarioError",
    "Steps",
    "count_points",
    "find",
    "load",
    "names",
    "run_cell",
    "run_trial",
    "scenario",
    "select",
]
