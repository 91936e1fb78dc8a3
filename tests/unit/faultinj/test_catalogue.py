"""catalogue.points() is the core's catalogue, as compiled."""

import dataclasses
import re
from pathlib import Path

import pytest

from faultinj import catalogue

CORE = Path(__file__).parents[3] / "shmalloc/core"


def test_points_are_those_of_the_header_in_its_order() -> None:
    declared = re.findall(r'X\(SM_FP_\w+, "([^"]+)", (SM_\w+), "([^"]+)"\)', (CORE / "hooks.h").read_text())
    assert len(declared) >= 15
    assert [(p.name, p.error, p.text) for p in catalogue.points()] == declared


def test_every_point_has_a_name_of_its_own_and_fails_with_a_code_of_the_core() -> None:
    points = catalogue.points()
    assert len({p.name for p in points}) == len(points)
    codes = set(re.findall(r"X\((SM_\w+), ", (CORE / "base/err.h").read_text()))
    assert {p.error for p in points} <= codes - {"SM_OK"}


def test_a_point_cannot_be_changed() -> None:
    first = catalogue.points()[0]
    with pytest.raises(dataclasses.FrozenInstanceError):
        first.name = "other"  # type: ignore[misc]
