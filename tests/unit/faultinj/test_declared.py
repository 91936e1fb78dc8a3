"""Points of Python programs: how they are declared, reached, and what happens at them."""

import asyncio
import errno
import os

import pytest

import faultinj
import shmalloc
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
        "return[cpu 0]": False,  # a declared point has no CPU
    }.items():
        with faultinj.inject(f"decl.filtered={term}") as guard:
            if fires:
                with pytest.raises(faultinj.FaultInjected):
                    inner()
            else:
                inner()
        assert guard.fired == int(fires), term


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


def test_the_cpu_filter_asks_the_attachment(arena: shmalloc.Arena) -> None:
    faultinj.arm(arena)
    zone = arena.zone("frame", size=64)
    with faultinj.inject(f"zone.alloc=return[cpu {arena.cpu_id}]"), pytest.raises(shmalloc.OutOfMemory):
        zone.alloc(shmalloc.M_NOWAIT)
    with faultinj.inject("zone.alloc=return[cpu 63]"):
        zone.alloc(shmalloc.M_NOWAIT).free()
