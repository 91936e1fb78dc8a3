"""What is left is learnt from the cells that are done."""

import pytest

from faultinj.campaign.forecast import forecast
from faultinj.campaign.state import CellState
from faultinj.record import Kind


def cell(scenario: str, kind: Kind, trials: int, *, done: bool = False, most: int | None = None) -> CellState:
    return CellState(
        number=0,
        scenario=scenario,
        kind=kind,
        points="*",
        seed=0,
        most=most,
        next=trials + 1,
        exhausted=done,
        given_up=False,
        seconds=trials * 0.5,
        trials=trials,
        findings=0,
    )


def test_nothing_is_known_at_first() -> None:
    assert forecast([cell("a", "kill", 0), cell("b", "kill", 0)], pace=1.0).seconds is None


def test_kinds_of_one_scenario_are_expected_to_be_alike() -> None:
    cells = [cell("a", "transient", 20, done=True), cell("b", "transient", 90, done=True), cell("a", "persistent", 4)]
    ahead = forecast(cells, pace=0.5)
    assert ahead.trials == 20 + 90 + 20
    assert ahead.seconds == pytest.approx(16 * 0.5 * 0.5)


def test_kills_are_learnt_from_kills() -> None:
    cells = [cell("a", "transient", 20, done=True), cell("b", "kill", 300, done=True), cell("a", "kill", 0)]
    assert forecast(cells, pace=1.0).trials == 620


def test_a_cell_that_outgrows_what_was_expected_is_expected_to_go_on_up_to_its_limit() -> None:
    cells = [cell("a", "transient", 20, done=True), cell("a", "persistent", 40)]
    assert forecast(cells, pace=1.0).trials == 20 + 51
    cells[1] = cell("a", "persistent", 40, most=45)
    assert forecast(cells, pace=1.0).trials == 65


def test_at_the_end_nothing_is_left() -> None:
    ahead = forecast([cell("a", "kill", 7, done=True)], pace=3.0)
    assert (ahead.trials, ahead.seconds) == (7, 0.0)
