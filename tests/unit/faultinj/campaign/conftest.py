"""Campaigns over the stand-in driver, in a directory of the test's own."""

from collections.abc import Callable
from pathlib import Path

import pytest

from faultinj.campaign.plan import PlannedCell, cells_of
from faultinj.campaign.spec import Campaign, parse_campaign
from faultinj.campaign.store import Store
from unit.faultinj.campaign import standin

STANDIN = "unit.faultinj.campaign.standin"
WHOLE = """
[campaign]
name = "all"
chunk = 16
[[sweep]]
scenarios = ["*"]
kinds = ["transient", "persistent", "kill"]
"""


def planned(text: str) -> tuple[Campaign, tuple[PlannedCell, ...]]:
    """A campaign's text, read, and its cells over the stand-in's scenarios."""
    campaign, source = parse_campaign(text, "test.toml")
    scenarios = {name: standin.kinds_of(name) for name in standin.scenario_names()}
    return campaign, cells_of(campaign, source, scenarios=scenarios, points=tuple(standin.POINTS))


def begun(path: Path, text: str = WHOLE) -> Store:
    """A store of a campaign over the stand-in."""
    campaign, cells = planned(text)
    return Store.create(path, campaign, cells, version="1", points=standin.POINTS, argued=standin.argued())


@pytest.fixture
def new_store(tmp_path: Path) -> Callable[..., Store]:
    """Makes stores, each in a file of its own."""
    made: list[Store] = []

    def make(text: str = WHOLE) -> Store:
        made.append(begun(tmp_path / f"{len(made)}.db", text))
        return made[-1]

    return make
