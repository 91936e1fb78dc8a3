"""The self-test's table is right, and a wrong field is told."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from witness.selftest.run import Half, run_cell, workers
from witness.selftest.scenarios import KINDS, SCENARIOS, Scenario

CASES = [
    pytest.param(scenario, kind, id=f"{scenario.name}-{kind}") for scenario in SCENARIOS for kind in scenario.expected
]


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Half]:
    with ExitStack() as stack:
        yield workers(stack)


@pytest.mark.parametrize(("scenario", "kind"), CASES)
def test_a_scenario_in_one_process_is_judged_right(scenario: Scenario, kind: str) -> None:
    cell = run_cell(scenario, kind)
    assert cell.right, cell


@pytest.mark.parametrize(("scenario", "kind"), [case for case in CASES if len(case.values[0].halves) > 1])  # type: ignore[union-attr]
def test_a_scenario_whose_halves_are_in_different_processes_is_judged_right(
    scenario: Scenario, kind: str, elsewhere: Half
) -> None:
    cell = run_cell(scenario, kind, half=elsewhere)
    assert cell.right, cell


def test_a_wrong_expectation_makes_the_field_wrong() -> None:
    abba = next(scenario for scenario in SCENARIOS if scenario.name == "ABBA")
    cell = run_cell(replace(abba, expected=dict.fromkeys(KINDS, "ok")), "mutex")
    assert not cell.right
    assert cell.seen == ("reversal",)
