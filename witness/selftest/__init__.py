"""The witness checked against itself: scenarios by lock kinds, in one process and with the halves in different ones."""

from witness.selftest.run import Cell, run_table
from witness.selftest.scenarios import SCENARIOS, Scenario

__all__ = ["SCENARIOS", "Cell", "Scenario", "run_table"]
