"""witness.lock_classes() is the core's catalogue, as compiled."""

import dataclasses
import re
from pathlib import Path

import pytest

import witness

HOOKS = Path(__file__).parents[3] / "shmalloc/core/hooks.h"


def test_lock_classes_are_those_of_the_header_the_outermost_first() -> None:
    declared = re.findall(r'X\(SM_LC_\w+, "([^"]+)", (\d+), "([^"]+)"\)', HOOKS.read_text())
    assert len(declared) >= 5
    assert [(c.name, str(c.rank), c.text) for c in witness.lock_classes()] == sorted(
        declared, key=lambda row: int(row[1])
    )


def test_ranks_grow_from_the_outermost_lock_to_the_innermost() -> None:
    ranks = [c.rank for c in witness.lock_classes()]
    assert ranks == sorted(set(ranks))
    assert (witness.lock_classes()[0].name, witness.lock_classes()[-1].name) == ("quiesce", "page")


def test_a_lock_class_cannot_be_changed() -> None:
    first = witness.lock_classes()[0]
    with pytest.raises(dataclasses.FrozenInstanceError):
        first.rank = 0  # type: ignore[misc]
