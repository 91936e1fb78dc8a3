"""Tunables as a mapping."""

import pytest

from shmalloc import Arena, InvalidArgument, OutOfMemory, _native


def test_every_tunable_has_a_default_in_its_range_and_a_text(arena: Arena) -> None:
    assert list(arena.sysctl) == [row[0] for row in _native.tunables()]
    assert len(arena.sysctl) == len(_native.tunables())
    for name, value in arena.sysctl.items():
        described = arena.sysctl.describe(name)
        assert described.least <= described.default <= described.most
        assert described.value == value == described.default
        assert described.text


def test_a_value_is_seen_by_every_attachment(arena: Arena) -> None:
    with Arena.attach(arena.name) as other:
        arena.sysctl["vm.uma.warn_s"] = 7
        assert other.sysctl["vm.uma.warn_s"] == 7
        del other.sysctl["vm.uma.warn_s"]
        assert arena.sysctl["vm.uma.warn_s"] == arena.sysctl.describe("vm.uma.warn_s").default


@pytest.mark.parametrize("value", [-1, 86401, 1 << 70])
def test_values_out_of_range_are_refused(arena: Arena, value: int) -> None:
    before = arena.sysctl["vm.uma.warn_s"]
    with pytest.raises(InvalidArgument) as caught:
        arena.sysctl["vm.uma.warn_s"] = value
    assert caught.value.argument == "vm.uma.warn_s"
    assert arena.sysctl["vm.uma.warn_s"] == before


def test_unknown_names_and_types_are_refused(arena: Arena) -> None:
    with pytest.raises(KeyError, match="no tunable"):
        arena.sysctl["no.such"]
    assert "no.such" not in arena.sysctl
    with pytest.raises(TypeError):
        arena.sysctl["vm.uma.warn_s"] = "7"  # type: ignore[assignment]


def test_the_failure_rate_makes_allocations_fail(arena: Arena) -> None:
    zone = arena.zone("z", size=64)
    arena.sysctl["debug.malloc.failure_rate"] = 4
    failures = 0
    for _ in range(40):
        try:
            zone.alloc(1)
        except OutOfMemory:
            failures += 1
    assert failures == 10
    arena.sysctl["debug.malloc.failure_rate"] = 0
    zone.alloc(1)
