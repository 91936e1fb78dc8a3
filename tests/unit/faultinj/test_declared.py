"""Points of Python programs: how they are declared, reached, and what happens at them."""

import asyncio
import errno
import os
import signal
import subprocess
import sys
import time

import pytest

import faultinj
import shmalloc
from faultinj import PlanError
from faultinj.declared import Point

CALLED: list[tuple[str, str | None, int]] = []


def note(point: Point, subject: str | None, size: int) -> None:
    """What a callback names; it reaches points itself."""
    CALLED.append((point.name, subject, size))
    point("again")


def test_one_name_is_one_point_with_its_text() -> None:
    first = faultinj.point("decl.one", error=TimeoutError, text="nobody answers")
    assert faultinj.point("decl.one") is first
    assert faultinj.points()[-1] == faultinj.FaultPoint("decl.one", "TimeoutError", "nobody answers")
    assert repr(first) == "faultinj.point('decl.one')"
    with pytest.raises(ValueError, match="cannot be the name"):
        faultinj.point("no spaces please")
    with pytest.raises(ValueError, match="cannot be the name"):
        faultinj.point("x" * 64)
    with pytest.raises(ValueError, match="a point of the core"):
        faultinj.point("zone.ctor")


def test_a_point_is_a_call_a_decorator_and_a_context_manager() -> None:
    point = faultinj.point("decl.faces", error=ConnectionError)

    @point
    def dial(number: int) -> int:
        """Dials."""
        return number + 1

    @point
    async def dial_later() -> int:
        return 3

    assert (dial.__name__, dial.__doc__) == ("dial", "Dials.")
    with faultinj.inject("decl.faces=every(2):return"):
        point()
        with pytest.raises(ConnectionError):
            point("db", 12)
        assert dial(1) == 2
        with pytest.raises(ConnectionError):
            dial(1)
        with point:
            pass
        with pytest.raises(ConnectionError), point:
            pytest.fail("the block is not entered")
        assert asyncio.run(dial_later()) == 3
    assert dial(number=4) == 5


def test_return_raises_what_it_names() -> None:
    plain = faultinj.point("decl.plain")
    with faultinj.inject("decl.plain=return"), pytest.raises(faultinj.FaultInjected) as own:
        plain()
    assert own.value.point == "decl.plain"
    with (
        faultinj.inject("decl.plain=return(ENOSPC)"),
        pytest.raises(OSError, match=r"injected at decl\.plain") as system,
    ):
        plain()
    assert system.value.errno == errno.ENOSPC
    with faultinj.inject("decl.plain=return(11)"), pytest.raises(BlockingIOError):
        plain()
    with faultinj.inject("decl.plain=return(SM_LIMIT)"), pytest.raises(shmalloc.ZoneExhausted):
        plain()
    with faultinj.inject("decl.plain=raise(KeyError)"), pytest.raises(KeyError):
        plain()
    with faultinj.inject("decl.plain=raise(shmalloc.errors.ArenaClosed)"), pytest.raises(shmalloc.errors.ArenaClosed):
        plain()
    with faultinj.inject("decl.plain=raise(len)"), pytest.raises(TypeError, match="no exception class"):
        plain()
    mine = ValueError("this very one")
    made = faultinj.point("decl.made", error=lambda: mine)
    with faultinj.inject("decl.made=return"), pytest.raises(ValueError, match="this very one"):
        made()


def test_a_callback_is_called_with_the_point_and_not_within_itself() -> None:
    point = faultinj.point("decl.callback")
    CALLED.clear()
    with faultinj.inject(f'decl.callback=callback("{__name__}:note")') as guard:
        point("frame", 64)
    assert CALLED == [("decl.callback", "frame", 64)]
    assert guard.reached == 2  # once by the callback itself


def test_filters_see_subject_size_process_and_stack() -> None:
    point = faultinj.point("decl.filtered")

    def inner() -> None:
        point("frame", 64)

    for term, fires in {
        "return[zone fr*][size>=64]": True,
        "return[size>=65]": False,
        "return[zone mbuf]": False,
        f"return[pid {os.getpid()}]": True,
        "return[pid 1]": False,
        "return[stack test_declared.py:*inner]": True,
        "return[stack other.py:*]": False,
        "return[!stack *:*inner]": False,
        "return[!stack *:nobody]": True,
    }.items():
        with faultinj.inject(f"decl.filtered={term}") as guard:
            if fires:
                with pytest.raises(faultinj.FaultInjected):
                    inner()
            else:
                inner()
        assert guard.fired == int(fires), term


def test_a_filter_that_can_never_let_anybody_through_is_refused() -> None:
    faultinj.point("decl.unfiltered")
    for points, term, says in (
        ("decl.unfiltered", "return[cpu 0]", "a declared one has none"),
        ("decl.unfiltered", "off->return[flags M_NOWAIT]", "a declared one has none"),
        ("zone.alloc", "return[step 3]", "is for crash.step"),
    ):
        with pytest.raises(PlanError, match=says):
            faultinj.set(points, term)
    assert "zone.alloc" in faultinj.set("*", "nth(1000000):return[cpu 0]")  # those that have one
    faultinj.clear()


def test_a_subject_is_matched_to_its_end_and_may_be_a_name_that_is_no_text() -> None:
    point = faultinj.point("decl.subject")
    path = "/" + "d" * 90 + "/a.txt"
    with faultinj.inject("decl.subject=return[zone *.txt]"), pytest.raises(faultinj.FaultInjected):
        point(path)
    with faultinj.inject("decl.subject=return[zone *.txt]"):
        point(path + "t")
        point("\udcff")  # os.fsdecode(b"\xff"): the name of a file
        point("\ud800")
        with pytest.raises(faultinj.FaultInjected):
            point("\udcff.txt")
    with pytest.raises(TypeError, match="has to be a str, and is a int"):
        point(5)  # type: ignore[call-overload]


@pytest.mark.parametrize("program", ["pause", "sleep(60000)", "delay(60000000)"])
def test_a_signal_s_exception_ends_a_wait(program: str) -> None:
    point = faultinj.point("decl.waits")

    def interrupt(signum: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    began = time.monotonic()
    try:
        with faultinj.inject(f"decl.waits={program}") as guard, pytest.raises(KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            point()
        assert time.monotonic() - began < 20
        assert guard.fired == 1
        assert guard.block.paused() == ()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


_OUTLIVED = """
import gc, threading
import faultinj
from faultinj import process
point = faultinj.point("decl.outlived")
faultinj.set("decl.outlived", "pause")
first = faultinj.current()
thread = threading.Thread(target=point)
thread.start()
while not first.paused():
    pass
process.use(faultinj.Block.anonymous())
point()  # bound to the second block
number = first.point("decl.outlived")
del first
faultinj.current()
gc.collect()
thread.join(1.5)  # it looks into its block every half a second
assert thread.is_alive()
print("alive", flush=True)
import os
os._exit(0)
"""


def test_a_block_lives_as_long_as_a_thread_waits_in_it() -> None:
    done = subprocess.run([sys.executable, "-c", _OUTLIVED], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "alive"), done.stderr


def test_the_first_process_of_a_namespace_ends_too() -> None:
    """Its own SIGKILL does not end it."""
    script = "import faultinj as f; p = f.point('decl.first'); f.set('decl.first', 'kill'); p(); print('alive')"
    words = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]
    if subprocess.run([*words, "true"], capture_output=True, timeout=60, check=False).returncode != 0:
        pytest.skip("this machine makes no pid namespaces for us")
    done = subprocess.run([*words, sys.executable, "-c", script], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (137, b"")


def test_children_made_by_fork_share_the_counts() -> None:
    point = faultinj.point("decl.forked")
    with faultinj.inject("decl.forked=nth(3):kill") as guard:
        point()
        pid = os.fork()
        if pid == 0:
            try:
                point()
                point()
            finally:
                os._exit(9)
        assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == 9
        point()
    assert (guard.reached, guard.fired) == (4, 1)
    assert guard.injections[0].pid == pid


def test_the_cpu_filter_asks_attachments_that_are_made_later(arena: shmalloc.Arena) -> None:
    arena.zone("frame", size=64)
    with faultinj.inject("zone.alloc=return[cpu 0]"), shmalloc.Arena.attach(arena.name) as later:
        assert later.cpu_id != 0
        later.zone("frame").alloc(shmalloc.M_NOWAIT).free()
        faultinj.set("zone.alloc", f"return[cpu {later.cpu_id}]")
        with pytest.raises(shmalloc.OutOfMemory):
            later.zone("frame").alloc(shmalloc.M_NOWAIT)
        arena.zone("frame").alloc(shmalloc.M_NOWAIT).free()
        faultinj.clear()
    assert not arena.check().findings


def test_the_cpu_filter_asks_the_attachment(arena: shmalloc.Arena) -> None:
    faultinj.arm(arena)
    zone = arena.zone("frame", size=64)
    with faultinj.inject(f"zone.alloc=return[cpu {arena.cpu_id}]"), pytest.raises(shmalloc.OutOfMemory):
        zone.alloc(shmalloc.M_NOWAIT)
    with faultinj.inject("zone.alloc=return[cpu 63]"):
        zone.alloc(shmalloc.M_NOWAIT).free()
