"""Callbacks by name, what they are given, and what their failures become."""

import errno
import functools
import gc
import sys
from collections.abc import Iterator

import pytest

import shmalloc
from shmalloc import M_NOWAIT, M_WAITOK, CallbackUnresolvable, CtorFailed, InCallback, InitFailed, _native
from shmalloc.callbacks import name_callback, resolve
from unit.shmalloc import callback_functions as functions

HERE = "unit.shmalloc.callback_functions"


@pytest.fixture(autouse=True)
def fresh_log() -> Iterator[None]:
    functions.log.clear()
    functions.keep.clear()
    yield
    functions.log.clear()
    functions.keep.clear()


def test_module_level_functions_and_names_are_stored_as_module_and_qualname() -> None:
    assert name_callback("ctor", functions.ctor_stamp) == f"{HERE}:ctor_stamp"
    assert name_callback("ctor", functions.Namespace.ctor_static) == f"{HERE}:Namespace.ctor_static"
    assert name_callback("ctor", "a.b:c") == "a.b:c"
    assert resolve("demo", "z", f"{HERE}:ctor_stamp") is functions.ctor_stamp


def test_functions_of_one_process_only_are_refused() -> None:
    def closure(mem: memoryview, size: int, arg: object, how: int) -> None:
        mem[0] = 1

    callbacks = (
        lambda *_: None,
        closure,
        functions.Namespace().ctor_method,
        functools.partial(closure),
        3,
        "no_colon",
        ":name",
        "module:",
    )
    for callback in callbacks:
        with pytest.raises(CallbackUnresolvable) as caught:
            name_callback("ctor", callback, "frame")
        assert caught.value.zone == "frame"


@pytest.mark.parametrize("name", ["no.such.module:f", f"{HERE}:no_such_name", f"{HERE}:not_callable", "__main__:f"])
def test_names_that_lead_nowhere_are_refused_before_the_zone_exists(arena: shmalloc.Arena, name: str) -> None:
    with pytest.raises(CallbackUnresolvable) as caught:
        arena.zone("z", size=64, ctor=name)
    assert caught.value.callback == name
    assert "z" not in arena.zone_names()


def test_ctor_and_dtor_run_around_every_life(arena: shmalloc.Arena) -> None:
    zone = arena.zone("z", size=100, ctor=functions.ctor_stamp, dtor=functions.dtor_log)
    item = zone.alloc(M_NOWAIT, arg="hello")
    assert item[0:1] == b"C"
    assert functions.log == [("ctor", 100, 100, "hello", M_NOWAIT)]
    item.free()
    assert functions.log[1:] == [("dtor", 100, b"C")]
    functions.log.clear()
    del item
    zone.alloc()
    assert [entry[0] for entry in functions.log] == ["ctor", "dtor"]
    assert functions.log[0][3:] == (None, M_WAITOK)


def test_init_and_fini_run_when_slabs_come_and_go(arena: shmalloc.Arena) -> None:
    zone = arena.zone("z", size=1000, init=functions.init_zero, fini=functions.fini_log)
    item = zone.alloc()
    assert item[:] == bytes(1000)
    inits = functions.log.count(("init", 1000))
    assert inits >= 1
    item.free()
    zone.reclaim(shmalloc.RECLAIM_DRAIN_CPU)
    assert functions.log.count(("fini", 1000)) == inits


def test_a_returned_errno_fails_the_allocation(arena: shmalloc.Arena) -> None:
    zone = arena.zone("z", size=64, ctor=functions.ctor_errno)
    for flags in (M_NOWAIT, M_WAITOK):
        with pytest.raises(CtorFailed) as caught:
            zone.alloc(flags)
        assert caught.value.errno == errno.ENOBUFS
        assert caught.value.zone == "z"
    figures = zone.statistics()
    assert (figures.used, figures.fails) == (0, 2)


def test_an_exception_of_a_ctor_is_the_cause(arena: shmalloc.Arena) -> None:
    zone = arena.zone("z", size=64, ctor=functions.ctor_raises)
    with pytest.raises(CtorFailed) as caught:
        zone.alloc()
    assert caught.value.errno == errno.EINVAL
    assert isinstance(caught.value.__cause__, LookupError)
    other = arena.zone("os", size=64, ctor=functions.ctor_os_error)
    with pytest.raises(CtorFailed) as caught:
        other.alloc()
    assert caught.value.errno == errno.EDQUOT


def test_a_request_to_stop_is_not_swallowed(arena: shmalloc.Arena) -> None:
    zone = arena.zone("z", size=64, ctor=functions.ctor_interrupt)
    with pytest.raises(KeyboardInterrupt):
        zone.alloc()
    assert zone.statistics().used == 0


@pytest.mark.parametrize("nonsense", ["text", -1, 4096, 1 << 70, 1.5, True, [1]])
def test_nonsense_returned_by_a_ctor_fails_and_says_what_may_be_returned(
    arena: shmalloc.Arena, nonsense: object
) -> None:
    zone = arena.zone("z", size=64, ctor=functions.ctor_returns_arg)
    with pytest.raises(CtorFailed, match="may return None or 0") as caught:
        zone.alloc(arg=nonsense)
    assert repr(nonsense) in str(caught.value)
    assert zone.alloc(arg=0)[0:1]


def test_a_failing_init_fails_the_allocation_and_leaves_no_slab(arena: shmalloc.Arena) -> None:
    zone = arena.zone("z", size=64, init=functions.init_fails)
    for flags in (M_NOWAIT, M_WAITOK):
        with pytest.raises(InitFailed) as caught:
            zone.alloc(flags)
        assert caught.value.errno == errno.EIO
    assert zone.statistics().slabs == 0


def test_views_that_outlive_the_call_do_not_crash(arena_name: str) -> None:
    arena = shmalloc.Arena.create(arena_name, max_size="1M")
    zone = arena.zone("z", size=64, ctor=functions.ctor_keeps_view)
    zone.alloc().free()
    mem, part = functions.keep[0]
    with pytest.raises(ValueError, match="released"):
        bytes(mem)
    arena.close()
    del zone, arena
    gc.collect()
    assert len(bytes(part)) == 2
    shmalloc.Arena.unlink_name(arena_name)


def test_an_exception_of_a_dtor_is_unraisable_and_the_item_is_freed(
    arena: shmalloc.Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: seen.append(unraisable.exc_type))
    zone = arena.zone("z", size=64, dtor=functions.dtor_raises)
    zone.alloc().free()
    zone.alloc()
    assert seen == [LookupError, LookupError]
    assert zone.statistics().used == 0


def test_a_dtor_cannot_free_its_own_item(arena: shmalloc.Arena) -> None:
    zone = arena.zone("z", size=64, dtor=functions.dtor_frees_again)
    item = zone.alloc()
    functions.keep.append(item)
    item.free()
    assert functions.log == [("again", "InCallback")]
    assert item.freed
    assert zone.statistics().used == 0


def test_an_arena_cannot_be_closed_from_a_callback(arena: shmalloc.Arena) -> None:
    zone = arena.zone("z", size=64, ctor=functions.ctor_closes_arena)
    with pytest.raises(CtorFailed) as caught:
        zone.alloc(arg=arena)
    assert isinstance(caught.value.__cause__, InCallback)
    assert not arena.closed


def test_a_ctor_may_allocate_from_another_zone(arena: shmalloc.Arena) -> None:
    inner = arena.zone("inner", size=64)
    outer = arena.zone("outer", size=64, ctor=functions.ctor_allocates)
    item = outer.alloc(arg=inner)
    assert len(functions.keep[0]) == 64
    assert inner.statistics().used == 1
    functions.keep[0].free()
    item.free()


def test_maxaction_is_called_at_the_limit(arena: shmalloc.Arena) -> None:
    zone = arena.zone("z", size=4096, max_items=1, maxaction=functions.maxaction_log)
    items = [zone.alloc(M_NOWAIT) for _ in range(zone.max)]
    with pytest.raises(shmalloc.ZoneExhausted):
        zone.alloc(M_NOWAIT)
    assert ("maxaction", "z") in functions.log
    zone.set_maxaction(None)
    functions.log.clear()
    with pytest.raises(shmalloc.ZoneExhausted):
        zone.alloc(M_NOWAIT)
    assert functions.log == []
    zone.free_many(items)


def test_resolved_functions_are_released_with_the_arena(arena_name: str) -> None:
    before = sys.getrefcount(functions.ctor_stamp)
    with shmalloc.Arena.create(arena_name, max_size="1M") as arena:
        zone = arena.zone("z", size=64, ctor=functions.ctor_stamp)
        during = sys.getrefcount(functions.ctor_stamp)
        arena.unlink()
    del arena, zone
    after = sys.getrefcount(functions.ctor_stamp)
    assert (during, after) == (before + 1, before)


def test_a_zone_opened_while_its_callbacks_are_imported_is_still_one(arena: shmalloc.Arena) -> None:
    arena.zone("z", size=64, ctor=functions.ctor_stamp)
    inner: list[shmalloc.Zone] = []
    begun: list[str] = []

    def importing(arena_name: str, zone: str, name: str) -> object:
        begun.append(name)
        if len(begun) == 1:
            inner.append(other.zone("z"))
        return resolve(arena_name, zone, name)

    with shmalloc.Arena.attach(arena.name) as other:
        _native.bind(resolve=importing)
        try:
            outer = other.zone("z")
        finally:
            _native.bind(resolve=resolve)
        assert outer is inner[0]
        assert outer.alloc()[0:1] == b"C"
