"""The live screen: what it shows at two sizes, and what its keys do. The figures are fixed, so is the zone of time.

The screens expected are in screens/; SHMALLOC_SCREENS=write writes them anew, to be looked at before they are kept.
"""

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shmalloc.cli.top.live import Top
from shmalloc.cli.top.lookout import Look
from unit.shmalloc.cli.looks import look, on_screen

SCREENS = Path(__file__).parent / "screens"
SMALL, LARGE = (80, 24), (120, 40)
NEVER_S = 3600.0


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Times of day are those of UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def seen(size: tuple[int, int], *keys: str, first: Look | None = None, then: Look | None = None) -> list[str]:
    """The screen after these keys; "refresh" makes it look again, at `then`."""

    async def play() -> list[str]:
        app = Top(lambda: then or look(), first or look(), interval_s=NEVER_S)
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            for key in keys:
                if key == "refresh":
                    app.refresh_look()
                else:
                    await pilot.press(key)
            await pilot.pause()
            return on_screen(app.export_screenshot())

    return asyncio.run(play())


def expect_screen(name: str, lines: list[str]) -> None:
    file = SCREENS / f"{name}.txt"
    text = "\n".join(lines) + "\n"
    if os.environ.get("SHMALLOC_SCREENS") == "write":
        file.write_text(text)
    assert text == file.read_text(), f"not as in {file}"


SCENES: dict[str, tuple[tuple[int, int], tuple[str, ...]]] = {
    "mbufs-80": (SMALL, ()),
    "zones-80": (SMALL, ("2",)),
    "cpus-80": (SMALL, ("3",)),
    "log-80": (SMALL, ("4",)),
    "all-80": (SMALL, ("0",)),
    "all-120": (LARGE, ()),
    "zones-120": (LARGE, ("2",)),
    "filter-120": (LARGE, ("slash", "c", "l", "u")),
}


@pytest.mark.parametrize("scene", SCENES)
def test_the_screen_is_as_drawn(scene: str) -> None:
    size, keys = SCENES[scene]
    lines = seen(size, *keys)
    assert len(lines) == size[1]
    assert max(map(len, lines)) <= size[0]
    expect_screen(scene, lines)


def test_the_last_line_lists_the_keys() -> None:
    for size in (SMALL, LARGE):
        words = seen(size)[-1].split()
        assert words[::2] == ["0", "1", "2", "3", "4", "s", "r", "/", "p", "q"]


def _zones(lines: list[str]) -> list[str]:
    top = next(place for place, line in enumerate(lines) if line.startswith("ITEM"))
    return [line.split()[0] for line in lines[top + 1 : -1] if line]


def test_s_sorts_by_the_next_column_and_r_turns_the_order_round() -> None:
    by_used = ["mbuf_cluster", "mbuf_packet", "mbuf", "frame[0]", "route"]
    assert _zones(seen(SMALL, "2")) == by_used
    assert _zones(seen(SMALL, "2", "r")) == by_used[::-1]
    assert _zones(seen(SMALL, "2", "s", "s"))[:2] == ["mbuf_packet", "frame[0]"], "by REQ"
    by_name = seen(SMALL, "2", *"ssssss")
    assert by_name[1].startswith("─2 Zones by ITEM")
    assert _zones(by_name) == sorted(by_used)


def test_typing_filters_enter_keeps_and_escape_shows_all() -> None:
    assert _zones(seen(SMALL, "slash", "C", "l"))[:1] == ["mbuf_cluster"]
    kept = seen(SMALL, "slash", "c", "l", "enter")
    assert _zones(kept) == ["mbuf_cluster"]
    assert kept[-1].startswith("0 All")
    assert _zones(seen(SMALL, "slash", "c", "l", "enter", "r", "s")) == ["mbuf_cluster"], "keys are keys again"
    assert len(_zones(seen(SMALL, "slash", "c", "l", "escape"))) == 5
    assert len(_zones(seen(SMALL, "slash", "c", "l", "enter", "escape"))) == 5


def test_what_is_typed_is_no_markup() -> None:
    lines = seen(SMALL, "slash", "left_square_bracket", "slash", "right_square_bracket")
    assert "no zone has '[/]' in its name" in lines
    assert _zones(seen(SMALL, "slash", "left_square_bracket", "enter")) == ["frame[0]"]


def test_names_from_the_arena_do_not_steer_the_terminal() -> None:
    assert any("\\x1b[2Jwriter" in line for line in seen(SMALL, "3"))


def test_each_refresh_looks_again_unless_paused() -> None:
    later = look(note="something is new")
    assert not any("something is new" in line for line in seen(SMALL, then=later))
    assert any("something is new" in line for line in seen(SMALL, "refresh", then=later))
    paused = seen(SMALL, "p", "refresh", then=later)
    assert paused[0].endswith("PAUSED")
    assert not any("something is new" in line for line in paused)
    assert any("something is new" in line for line in seen(SMALL, "p", "p", "refresh", then=later))


def test_without_mbufs_the_zones_are_shown_first() -> None:
    bare = look(mbufs=None)
    assert seen(SMALL, first=bare, then=bare)[1].startswith("─2 Zones")
    assert "no mbufs in this arena" in seen(SMALL, "1", first=bare, then=bare)
    assert "no mbufs in this arena" in seen(LARGE, first=bare, then=bare)


def test_a_first_look_has_no_rates() -> None:
    lines = seen(SMALL, "3", first=look(rates=False))
    assert [line.split()[4:6] for line in lines if " live " in line] == [["-", "-"], ["-", "-"]]


def test_q_ends_it() -> None:
    async def play() -> bool:
        app = Top(look, look(), interval_s=NEVER_S)
        async with app.run_test(size=SMALL) as pilot:
            await pilot.press("q")
            await pilot.pause()
        return not app.is_running

    assert asyncio.run(play())


def test_it_refreshes_by_itself() -> None:
    async def play() -> int:
        counted = asyncio.Event()
        calls = 0

        def count() -> Look:
            nonlocal calls
            calls += 1
            if calls == 3:
                counted.set()
            return look()

        app = Top(count, look(), interval_s=0.01)
        async with app.run_test(size=SMALL):
            await asyncio.wait_for(counted.wait(), 20)
        return calls

    assert asyncio.run(play()) >= 3
