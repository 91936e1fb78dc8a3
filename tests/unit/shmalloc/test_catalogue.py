"""The core's constant tables, as companions and tools read them."""

from shmalloc import Arena, _native


def test_lock_classes_rank_from_the_outermost() -> None:
    classes = _native.lock_classes()
    assert [name for name, _, _ in classes][:5] == ["quiesce", "admin", "sockbuf", "keg", "page"]
    ranks = [rank for _, rank, _ in classes]
    assert ranks == sorted(set(ranks))
    assert all(text for _, _, text in classes)


def test_fault_points_name_the_error_they_make() -> None:
    codes = {name for name, _ in _native.errors()}
    points = _native.fault_points()
    assert {"page.supply", "zone.ctor", "queue.put"} <= {name for name, _, _ in points}
    assert all(code in codes and code != "SM_OK" for _, code, _ in points)


def test_invariants_are_numbered_without_gaps() -> None:
    invariants = _native.invariants()
    assert [number for number, _ in invariants] == list(range(1, len(invariants) + 1))
    assert len({title for _, title in invariants}) == len(invariants)


def test_the_hooks_capsule_keeps_the_attachment_alive(arena_name: str) -> None:
    arena = Arena.create(arena_name, max_size="1M", unlink_on_last_close=True)
    capsule = _native.hooks_capsule(arena)
    assert '"shmalloc._native.hooks"' in repr(capsule)
    with Arena.attach(arena_name) as other:
        del arena
        assert other.statistics().live_cpus == 2
        del capsule
        assert other.statistics().live_cpus == 1
        other.unlink()
