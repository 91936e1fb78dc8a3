"""The Block: points, sweeps and programs shared by processes, and the arenas that they fail."""

import os
import signal
import tempfile
from collections.abc import Callable, Iterator

import pytest

import shmalloc
from faultinj import _faultinj
from faultinj._faultinj import Block, CoreError, encoded
from shmalloc import _native


@pytest.fixture
def block() -> Block:
    return Block.anonymous()


@pytest.fixture
def armed(block: Block, arena: shmalloc.Arena) -> Iterator[Block]:
    block.arm(_native.hooks_capsule(arena))
    yield block
    if not arena.closed:
        block.disarm(_native.hooks_capsule(arena))


def in_child(work: Callable[[], object]) -> int:
    """Runs work() in a forked child; returns the wait status."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitpid(pid, 0)[1]


RETURN = _faultinj.ACTIONS.index("return")


def test_the_core_s_points_come_first_in_the_order_of_the_catalogue(block: Block) -> None:
    names = block.names()
    core = tuple(name for name, _, _ in _native.fault_points())
    assert names == (*core, "crash.step")
    assert len(names) == _faultinj.CORE_POINTS
    assert block.point("zone.ctor") == names.index("zone.ctor")


def test_a_declared_point_has_one_number_in_every_process(block: Block) -> None:
    status = in_child(lambda: block.point("db.connect"))
    assert status == 0
    number = block.point("db.connect")
    assert block.names()[number] == "db.connect"
    assert block.names().count("db.connect") == 1


def test_names_that_cannot_be_points_are_refused(block: Block) -> None:
    with pytest.raises(CoreError, match="SM_NAME_TOO_LONG"):
        block.point("x" * 64)
    with pytest.raises(CoreError, match="SM_INVALID"):
        block.point("")
    with pytest.raises(CoreError, match="SM_NOT_FOUND"):
        block.point("nobody.declared.it", False)
    for i in range(256 - len(block.names())):
        block.point(f"filler.{i}")
    with pytest.raises(CoreError, match="SM_TABLE_FULL"):
        block.point("one.too.many")


def test_a_transient_trial_fails_the_nth_allocation_once(armed: Block, arena: shmalloc.Arena) -> None:
    zone = arena.zone("frame", size=256)
    zone.alloc(shmalloc.M_NOWAIT).free()
    alloc = armed.point("zone.alloc")
    armed.sweep(_faultinj.TRANSIENT, 2, selected=[alloc])
    zone.alloc(shmalloc.M_NOWAIT).free()
    with pytest.raises(shmalloc.OutOfMemory):
        zone.alloc(shmalloc.M_NOWAIT)
    zone.alloc(shmalloc.M_NOWAIT).free()
    assert armed.sweep_state() == (3, 1)
    (entry,) = armed.injections()
    assert entry == (2, "zone.alloc", "return", "frame", 256, os.getpid(), entry[6], None)
    assert armed.reached()["zone.alloc"] >= 3
    assert armed.counts(alloc)[1] == 1
    armed.reset()
    assert armed.sweep_state() == (0, 0)
    assert armed.injections() == ()


def test_a_persistent_trial_fails_all_from_the_nth_on(armed: Block, arena: shmalloc.Arena) -> None:
    zone = arena.zone("frame", size=256)
    armed.sweep(_faultinj.PERSISTENT, 2, selected=[armed.point("zone.alloc")])
    zone.alloc(shmalloc.M_NOWAIT).free()
    for _ in range(3):
        with pytest.raises(shmalloc.OutOfMemory):
            zone.alloc(shmalloc.M_NOWAIT)
    armed.sweep(_faultinj.OFF)
    zone.alloc(shmalloc.M_NOWAIT).free()


def test_a_kill_trial_kills_whoever_reaches_the_nth_crash_point(block: Block, arena: shmalloc.Arena) -> None:
    def victim() -> None:
        _native.hooks_for_new(block.hooks())
        with shmalloc.Arena.attach(arena.name) as own:
            own.zone("victim", size=64).alloc(shmalloc.M_NOWAIT).free()

    block.sweep(_faultinj.COUNT)
    assert in_child(victim) == 0
    crashes = block.crashes
    assert crashes > 5
    block.sweep(_faultinj.KILL, 4)
    assert os.WTERMSIG(in_child(victim)) == signal.SIGKILL
    assert block.sweep_state() == (4, 1)
    (entry,) = block.injections()
    assert entry[:3] == (4, "crash.step", "kill")
    assert entry[7] is not None
    arena.reap()
    assert not arena.check().findings


def test_attachments_made_later_are_armed_before_they_are_made(block: Block, arena: shmalloc.Arena) -> None:
    def victim() -> None:
        _native.hooks_for_new(block.hooks())
        block.sweep(_faultinj.TRANSIENT, 1, selected=[block.point("cpu.attach")])
        with pytest.raises(shmalloc.ShmallocError):
            shmalloc.Arena.attach(arena.name)
        shmalloc.Arena.attach(arena.name).close()

    assert in_child(victim) == 0
    assert block.sweep_state() == (2, 1)


def test_a_block_in_a_file_is_found_by_a_process_that_execs(block: Block) -> None:
    with tempfile.TemporaryFile() as file:
        first = Block.of_fd(file.fileno(), True)
        number = first.point("net.send")
        second = Block.of_fd(file.fileno(), False)
        assert second.point("net.send", False) == number
        second.sweep(_faultinj.PERSISTENT, 1, selected=[number])
        assert first.reach(number) == ("return", 0, 0, "")
        assert second.sweep_state() == (1, 1)
    with tempfile.TemporaryFile() as file:
        with pytest.raises(CoreError, match="SM_NOT_ARENA"):
            Block.of_fd(file.fileno(), False)
        file.write(b"x" * 4096)
        file.flush()
        with pytest.raises(CoreError, match="SM_NOT_ARENA"):
            Block.of_fd(file.fileno(), False)


def test_a_block_in_an_arena_is_announced_and_ends_with_it(arena: shmalloc.Arena) -> None:
    block = Block.of_arena(_native.hooks_capsule(arena), b"faultinj.arming:attached", True)
    block.arm(_native.hooks_capsule(arena))
    assert _native.companion_flags(arena) & _native.offered()["ARENA_FAULTS"]
    entry = _native.region_bytes(arena, "faultinj", 32)
    assert entry is not None
    assert entry.startswith(b"faultinj.arming:attached\0")
    with pytest.raises(CoreError, match="SM_INVALID"):
        block.hooks()
    other = Block.of_arena(_native.hooks_capsule(arena), b"", False)
    other.sweep(_faultinj.TRANSIENT, 1, selected=[other.point("zone.alloc")])
    with pytest.raises(shmalloc.OutOfMemory):
        arena.zone("z", size=64).alloc(shmalloc.M_NOWAIT)
    arena.close()
    assert block.closed
    with pytest.raises(CoreError, match="SM_GONE"):
        block.names()


def test_a_program_is_set_read_back_and_cleared_while_others_look(block: Block) -> None:
    point = block.point("db.connect")
    block.program(point, encoded([(b"return(13)", [{"action": RETURN, "code": 3, "number": 13}])]))
    assert in_child(lambda: _expect(block.reach(point, "db", 7), ("return", 3, 13, ""))) == 0
    text, pid, _, counts = block.setting(point) or pytest.fail("no program")
    assert (text, pid, counts) == ("return(13)", os.getpid(), ((0, 1),))
    assert block.injections()[0][1:5] == ("db.connect", "return", "db", 7)
    block.program(point, None)
    assert block.setting(point) is None
    assert block.reach(point) is None


def test_nonsense_is_no_program(block: Block) -> None:
    for raw in (b"", b"x" * 100, bytes(len(encoded([(b"", [{}])])))):
        with pytest.raises(CoreError, match="SM_INVALID"):
            block.program(0, raw)
    with pytest.raises(CoreError, match="SM_INVALID"):
        block.program(0, encoded([(b"", [{"action": 99}])]))
    with pytest.raises(IndexError):
        block.program(250, None)
    with pytest.raises(ValueError, match="room for 63"):
        encoded([(b"", [{"text": b"x" * 64}])])


def _expect(found: object, wanted: object) -> None:
    if found != wanted:
        raise AssertionError(f"{found!r} is not {wanted!r}")
