"""What a campaign needs of those who run trials, found by the name of a module.

Owns the protocol and the import. Must not run a trial itself: `work.py` does, in whatever process it is called.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, cast

from faultinj.record import Kind, Outcome, Trial

__all__ = ["SWEEP", "Driver", "DriverMissing", "load_driver"]

SWEEP = "faultinj.campaign.sweeping"
"""The driver of real campaigns: the sweep."""


class Driver(Protocol):
    """A module that runs trials. What it returns depends on its arguments alone, or a campaign could not be resumed."""

    def load(self, imports: Iterable[str]) -> None:
        """Import the modules that declare further scenarios."""

    def scenario_names(self) -> Sequence[str]:
        """Every scenario that is known by now."""

    def kinds_of(self, scenario: str) -> Sequence[Kind]:
        """The kinds of faults that make sense for a scenario."""

    def point_errors(self) -> Mapping[str, str]:
        """Every point, with the name of the error that it reports."""

    def argued(self) -> Mapping[str, str]:
        """Points that cannot be reached here, with the reason."""

    def run_trial(self, trial: Trial) -> Outcome:
        """Run one trial."""

    def run_cell(self, scenario: str, kind: Kind, points: str, seed: int, first: int, last: int) -> Sequence[Outcome]:
        """Run the trials n = first..last; end after the one that injected nothing. Raises: WorkerLost."""

    def clear(self) -> None:
        """End what runs trials for this process, and remove what workers that were killed left on this machine."""


class DriverMissing(ImportError):
    """A module that a campaign names cannot be imported. Field: module."""

    def __init__(self, module: str, error: Exception) -> None:
        super().__init__(
            f"the module {module!r} cannot be imported: {error}; it must be installed, or its directory in PYTHONPATH, "
            "wherever trials run"
        )
        self.module = module


def load_driver(name: str = SWEEP, imports: Iterable[str] = ()) -> Driver:
    """Import a driver, then the modules that declare further scenarios.

    Raises: DriverMissing: one of them cannot be imported.
    """
    for module in (name, *imports):
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise DriverMissing(module, error) from error
    driver = cast(Driver, importlib.import_module(name))
    driver.load(imports)
    return driver
