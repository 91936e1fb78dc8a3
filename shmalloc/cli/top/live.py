"""The live screen of `top`: four panes, refreshed, with keys to choose, sort and filter.

Owns what is chosen; what is seen comes from a callable, how a pane is drawn from panes.py. Text out of an arena goes to
the terminal as Text, never as markup.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

from rich.console import RenderableType
from rich.text import Text
from textual import events, on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Footer, Input, Static

from shmalloc.cli.top.lookout import Look
from shmalloc.cli.top.panes import PANES, ZoneView, cpu_pane, facts_line, log_lines, mbuf_lines, zone_pane
from shmalloc.report.table import to_rich

__all__ = ["Top"]

_ALL = 0
_ROOM_FOR_ALL = 32  # lines of a terminal on which four panes are of use at once


class Pane(VerticalScroll):
    """One pane: its name on the line above, its content below, scrolled when it is longer than its room."""

    DEFAULT_CSS = """
    Pane { border-top: solid $primary; border-title-style: bold; height: 1fr; }
    Pane > Static { width: 100%; height: auto; }
    """

    def __init__(self, place: int) -> None:
        super().__init__(id=PANES[place].lower())
        self.border_title = f"{place + 1} {PANES[place]}"
        self._body = Static(id=f"{PANES[place].lower()}-body")

    def compose(self) -> ComposeResult:
        """The content alone."""
        yield self._body

    def show(self, content: RenderableType, title: str) -> None:
        """Replace the content and the name."""
        self.border_title = Content(title)  # a str would be read as markup
        self._body.update(content)


class Top(App[None]):
    """The screen. look: called for each refresh, must not raise; first: what is shown before."""

    TITLE = "shmalloc top"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #facts { height: 1; background: $primary; color: $text; text-style: bold; padding: 0 1; }
    #note { height: auto; background: $warning; color: black; padding: 0 1; }
    Top.all #mbufs { height: auto; max-height: 12; }
    Top.all #cpus { height: auto; max-height: 30%; }
    Top.all #log { height: 7; }
    #filter { height: 1; border: none; padding: 0 1; background: $boost; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("0", "choose(0)", "All"),
        Binding("1", "choose(1)", "Mbufs"),
        Binding("2", "choose(2)", "Zones"),
        Binding("3", "choose(3)", "CPUs"),
        Binding("4", "choose(4)", "Log"),
        Binding("s", "sort", "Sort"),
        Binding("r", "reverse", "Reverse"),
        Binding("slash", "filter", "Filter", key_display="/"),
        Binding("p", "pause", "Pause"),
        Binding("q", "quit", "Quit"),
        Binding("escape", "all_zones", show=False),
        Binding("ctrl+c", "quit", show=False, priority=True),
    ]

    def __init__(self, look: Callable[[], Look], first: Look, *, interval_s: float) -> None:
        super().__init__()
        self._next = look
        self._look = first
        self._interval_s = interval_s
        self._paused = False
        self._chosen: int | None = None  # nobody has chosen yet: the room decides
        self._view = ZoneView()
        # Held here, not looked for: a last refresh may come when the screen is already being taken down.
        self._facts, self._note = Static(id="facts"), Static(id="note")
        self._panes = tuple(Pane(place) for place in range(len(PANES)))
        self._wanted = Input(
            id="filter", placeholder="part of a zone's name; Enter keeps it, Escape shows all", compact=True
        )
        self._wanted.display = False

    def compose(self) -> ComposeResult:
        """From top to bottom."""
        yield self._facts
        yield self._note
        yield from self._panes
        yield self._wanted
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Begin to refresh."""
        self._draw()
        self.set_interval(self._interval_s, self.refresh_look)

    def on_resize(self, event: events.Resize) -> None:
        """Another width, other bars; another height, perhaps other panes."""
        self._draw()

    # ------------------------------------------------------------ keys

    def refresh_look(self) -> None:
        """Look again, unless paused."""
        if not self._paused:
            self._look = self._next()
            self._draw()

    def action_choose(self, pane: int) -> None:
        """Show one pane, or with 0 all."""
        self._chosen = pane
        self._draw()
        if pane != _ALL:
            self._panes[pane - 1].focus()

    def action_sort(self) -> None:
        """Sort the zones by the next column."""
        self._view = self._view.next_column()
        self._draw()

    def action_reverse(self) -> None:
        """Turn the order of the zones round."""
        self._view = replace(self._view, upwards=not self._view.upwards)
        self._draw()

    def action_pause(self) -> None:
        """Hold the figures still, or let them run again."""
        self._paused = not self._paused
        self._draw()

    def action_filter(self) -> None:
        """Type what the zones' names must contain."""
        if self._shown() not in (_ALL, 2):
            self._chosen = 2
        self._wanted.display = True
        self._wanted.focus()
        self._draw()

    def action_all_zones(self) -> None:
        """Show every zone again."""
        self._wanted.value = ""
        self._end_filter()

    @on(Input.Changed, "#filter")
    def _typed(self, event: Input.Changed) -> None:
        self._view = replace(self._view, wanted=event.value)
        self._draw()

    @on(Input.Submitted, "#filter")
    def _end_filter(self) -> None:
        self._wanted.display = False
        self._panes[1].focus()

    # ------------------------------------------------------------ drawing

    def _shown(self) -> int:
        if self._chosen is not None:
            return self._chosen
        if self.size.height >= _ROOM_FOR_ALL:
            return _ALL
        return 1 if self._look.totals.mbufs is not None else 2

    def _draw(self) -> None:
        look, shown = self._look, self._shown()
        every = f"  every {self._interval_s:g} s" + ("  PAUSED" if self._paused else "")
        self._facts.update(Text(facts_line(look) + every, no_wrap=True, overflow="ellipsis"))
        self._note.display = bool(look.note)
        self._note.update(Text(look.note))
        bars = Text("\n".join(mbuf_lines(look, width=self.size.width - 2, figures=shown != _ALL)))
        bars.highlight_regex(r"(?m)(?<=[ X])X+(?= |$)", "green")
        zones = f"2 Zones by {self._view.head}" + (f" with {self._view.wanted!r}" if self._view.wanted else "")
        contents: tuple[tuple[RenderableType, str], ...] = (
            (bars, "1 Mbufs"),
            (to_rich(zone_pane(look, self._view)), zones),
            (to_rich(cpu_pane(look)), "3 CPUs"),
            (Text("\n".join(log_lines(look))), "4 Log"),
        )
        self.set_class(shown == _ALL, "all")
        for place, pane in enumerate(self._panes, 1):
            pane.display = shown in (_ALL, place)
            pane.show(*contents[place - 1])
