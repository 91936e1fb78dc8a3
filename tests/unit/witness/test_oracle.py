"""What witness says as an oracle of fault injection: one short sentence for each finding, with the place."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

import shmalloc
from witness.oracle import Oracle


@pytest.fixture
def arena() -> Iterator[shmalloc.Arena]:
    """An arena under the oracle, gone afterwards."""
    with shmalloc.Arena.create(f"test-oracle-{secrets.token_hex(4)}", max_size="8M") as made:
        Oracle().begin(made)
        yield made
        made.unlink()


def test_a_sleep_under_a_lock_names_the_zone_the_lock_and_the_place(arena: shmalloc.Arena) -> None:
    zone = arena.zone("frame", size=64)
    with arena.mutex("busy"):
        zone.alloc(shmalloc.M_WAITOK).free()
    (text,) = Oracle().findings(arena)
    assert text.startswith("sleep with a lock held: malloc(M_WAITOK) of zone 'frame' with 'busy' held, at ")
    assert "test_oracle.py:" in text


def test_a_misuse_names_the_lock_and_the_place(arena: shmalloc.Arena) -> None:
    with pytest.raises(shmalloc.LockNotHeld):
        arena.mutex("idle").release()
    (text,) = Oracle().findings(arena)
    assert text.startswith("misuse of a lock: ")
    assert "'idle', at " in text


def test_locks_in_one_order_are_nothing_to_tell(arena: shmalloc.Arena) -> None:
    first, second = arena.mutex("first"), arena.mutex("second")
    for _ in range(2):
        with first, second:
            pass
    assert list(Oracle().findings(arena)) == []


def test_nothing_is_printed_even_where_the_arena_was_armed_before(
    arena: shmalloc.Arena, capsys: pytest.CaptureFixture[str]
) -> None:
    with shmalloc.Arena.attach(arena.name) as other:
        Oracle().begin(other)
        zone = other.zone("frame", size=64)
        with other.mutex("busy"):
            zone.alloc(shmalloc.M_WAITOK).free()
        assert len(list(Oracle().findings(other))) == 1
    assert capsys.readouterr().err == ""
