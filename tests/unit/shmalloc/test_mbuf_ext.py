"""Storage of other zones behind mbufs: who frees it, when, and what cannot be storage."""

import pytest

import shmalloc
from shmalloc import (
    EXT_CLUSTER,
    EXT_DISPOSABLE,
    EXT_EXTREF,
    Arena,
    CallbackUnresolvable,
    InvalidArgument,
    ItemFreed,
    Mbufs,
)
from unit.shmalloc import callback_functions as calls


@pytest.fixture
def mb(arena: Arena) -> Mbufs:
    calls.log.clear()
    return arena.mbufs()


def test_an_item_becomes_the_bytes_of_a_packet(arena: Arena, mb: Mbufs) -> None:
    frames = arena.zone("frame", size=10000)
    item = frames.alloc()
    item.write(b"pixels" * 100)
    packet = mb.m_extadd(item, size=600)
    assert item.freed
    with pytest.raises(ItemFreed, match="handed over"):
        item.read()
    assert (len(packet), bytes(packet), packet.pkthdr.len) == (600, b"pixels" * 100, 600)
    (view,) = packet
    assert (view.ext_type, view.size) == (EXT_EXTREF, 600)
    assert frames.statistics().used == 1
    packet.free()
    assert frames.statistics().used == 0
    assert mb.statistics().extrefs.current == 0


@pytest.mark.parametrize("size", [1, 100, 5000, 200_000])
def test_so_does_malloced_memory_of_any_size(arena: Arena, mb: Mbufs, size: int) -> None:
    packet = mb.m_gethdr()
    packet.m_extadd(arena.malloc(size), type=EXT_DISPOSABLE)
    assert len(packet) == 0
    packet.m_len = size
    memoryview(packet)[:] = b"m" * size
    twin = packet.m_copypacket()
    packet.free()
    assert bytes(twin) == b"m" * size
    assert arena.malloc_types()[0].in_use == 1
    twin.free()
    assert arena.malloc_types()[0].in_use == 0


def test_the_free_routine_runs_once_when_the_last_sharer_lets_go(arena: Arena, mb: Mbufs) -> None:
    item = arena.malloc(64)
    item.write(b"Z" * 64)
    packet = mb.m_extadd(item, offset=16, size=32, free=calls.ext_free, arg1=7, arg2=1 << 63)
    twins = [packet.m_copypacket() for _ in range(3)]
    packet.free()
    twins.clear()
    assert calls.log == [("free", 32, b"Z" * 32, 7, 1 << 63)]
    assert arena.malloc_types()[0].in_use == 0


def test_a_failing_free_routine_does_not_keep_the_storage(
    arena: Arena, mb: Mbufs, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[object] = []
    monkeypatch.setattr("sys.unraisablehook", lambda args: told.append(type(args.exc_value)))
    mb.m_extadd(arena.malloc(8), free=calls.ext_free_fails).free()
    assert told == [RuntimeError]
    assert arena.malloc_types()[0].in_use == 0


def test_another_mbuf_may_share_storage_by_hand(mb: Mbufs) -> None:
    packet = mb.m_getcl()
    packet.m_append(b"shared")
    other = mb.m_gethdr()
    packet.m_extaddref(other)
    assert packet.m_refcnt() == other.m_refcnt() == 2
    assert bytes(packet) == b"shared"
    with pytest.raises(InvalidArgument, match="M_EXT"):
        packet.m_extaddref(other)
    with pytest.raises(InvalidArgument, match="inside itself"):
        mb.m_get().m_extaddref(mb.m_get())
    with memoryview(packet) as view:
        assert view.readonly


def test_what_cannot_be_storage_stays_yours(arena: Arena, mb: Mbufs) -> None:
    counted = arena.zone("counted", size=512, refcnt=True).alloc()
    plain = arena.zone("plain", size=512).alloc()
    for item, arguments in (
        (counted, {}),
        (plain, {"offset": 513}),
        (plain, {"offset": 500, "size": 13}),
        (plain, {"size": -1}),
        (plain, {"type": EXT_CLUSTER}),
        (plain, {"arg1": 1 << 64}),
    ):
        with pytest.raises(InvalidArgument):
            mb.m_extadd(item, **arguments)  # type: ignore[arg-type]
        assert not item.freed
    with pytest.raises(CallbackUnresolvable):
        mb.m_extadd(plain, free="no.such.module:name")
    with pytest.raises(CallbackUnresolvable):
        mb.m_extadd(plain, free=lambda *args: None)
    with memoryview(plain), pytest.raises(BufferError):
        mb.m_extadd(plain)
    with pytest.raises(TypeError):
        mb.m_extadd(b"bytes")  # type: ignore[arg-type]
    packet = mb.m_getcl()
    with pytest.raises(InvalidArgument, match="M_EXT"):
        packet.m_extadd(plain)
    assert plain.read(1, 511) is not None
    assert mb.statistics().extrefs.current == 0


def test_read_only_storage_is_never_written(arena: Arena, mb: Mbufs) -> None:
    item = arena.malloc(100)
    item.write(b"constant")
    packet = mb.m_extadd(item, size=8, readonly=True)
    assert not packet.m_writable()
    assert memoryview(packet).readonly
    packet.m_prepend(4)
    memoryview(packet)[:4] = b"hdr:"
    packet.m_append(b"!")
    assert bytes(packet) == b"hdr:constant!"
    packet.m_unshare()
    assert all(view.writable for view in packet)
    assert arena.malloc_types()[0].in_use == 0


def test_storage_of_another_arena_is_refused(arena: Arena, mb: Mbufs) -> None:
    with shmalloc.Arena.create(arena.name + "-other", max_size="8M", unlink_on_last_close=True) as other:
        item = other.malloc(10)
        with pytest.raises(shmalloc.ForeignItem):
            mb.m_extadd(item)
        packet = other.mbufs().m_get()
        with pytest.raises(InvalidArgument, match="same arena"):
            mb.m_get().m_cat(packet)
        with pytest.raises(shmalloc.ForeignItem):
            arena.queue("q").put(packet)
        item.free()
        packet.free()
